"""What a picture consists of is listed in a table of its own, and a picture needs no generator.

Sizes in bytes of all but the image were not noted before. On the way back, artifacts of other kinds than the
four of the release before are forgotten; their objects are collected as unused.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


_KEYS = ("image_object", "crop_object", "code_object", "trace_object")
_SIZES = ("image_bytes", "width", "height")
_FROM_COLUMNS = """
    INSERT INTO artifacts (digest, kind, object, media_type, bytes, width, height)
    SELECT v.digest, a.kind, a.object, a.media_type, a.bytes, a.width, a.height
    FROM visualizations v CROSS JOIN LATERAL (VALUES
        ('image', v.image_object, 'image/png', v.image_bytes, v.width, v.height),
        ('crop', v.crop_object, 'image/png', NULL,
            (v.crop_box ->> 2)::int - (v.crop_box ->> 0)::int,
            (v.crop_box ->> 3)::int - (v.crop_box ->> 1)::int),
        ('code', v.code_object, 'application/octet-stream', NULL, NULL, NULL),
        ('trace', v.trace_object, 'application/octet-stream', NULL, NULL, NULL)
    ) AS a (kind, object, media_type, bytes, width, height)
    WHERE a.object IS NOT NULL
"""
_TO_COLUMNS = """
    UPDATE visualizations v SET
        image_object = a.image, crop_object = a.crop, code_object = a.code, trace_object = a.trace,
        image_bytes = a.bytes, width = a.width, height = a.height
    FROM (
        SELECT digest,
            max(object) FILTER (WHERE kind = 'image') AS image,
            max(object) FILTER (WHERE kind = 'crop') AS crop,
            max(object) FILTER (WHERE kind = 'code') AS code,
            max(object) FILTER (WHERE kind = 'trace') AS trace,
            max(bytes) FILTER (WHERE kind = 'image') AS bytes,
            max(width) FILTER (WHERE kind = 'image') AS width,
            max(height) FILTER (WHERE kind = 'image') AS height
        FROM artifacts GROUP BY digest
    ) AS a
    WHERE v.digest = a.digest
"""


def upgrade() -> None:
    op.create_table(
        "artifacts",
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
    )
    op.execute(_FROM_COLUMNS)
    # After the rows are there: the fastest way to make an index.
    op.create_primary_key(op.f("pk_artifacts"), "artifacts", ["digest", "kind"])
    op.create_index("ix_artifacts_object", "artifacts", ["object"], postgresql_using="hash")
    op.create_foreign_key(
        op.f("fk_artifacts_digest"), "artifacts", "visualizations", ["digest"], ["digest"], ondelete="CASCADE"
    )
    op.execute("ANALYZE artifacts")
    op.drop_constraint(op.f("ck_visualizations_done_has_image"), "visualizations", type_="check")
    for name in (*_KEYS, *_SIZES):  # with their indexes
        op.drop_column("visualizations", name)
    op.alter_column("visualizations", "generator_id", nullable=True)
    op.alter_column("learned_costs", "generator_id", nullable=True)


def downgrade() -> None:
    _refuse_what_has_no_generator()
    for name in _KEYS:
        op.add_column("visualizations", sa.Column(name, sa.Text(), nullable=True))
    for name in _SIZES:
        op.add_column("visualizations", sa.Column(name, sa.Integer(), nullable=True))
    op.execute(_TO_COLUMNS)
    op.create_check_constraint(
        op.f("ck_visualizations_done_has_image"),
        "visualizations",
        "state <> 'done' OR image_object IS NOT NULL",
    )
    for name in _KEYS:
        op.create_index(f"ix_visualizations_{name}", "visualizations", [name], postgresql_using="hash")
    op.drop_table("artifacts")
    op.execute("DELETE FROM learned_costs WHERE generator_id IS NULL")
    op.alter_column("learned_costs", "generator_id", nullable=False)
    op.alter_column("visualizations", "generator_id", nullable=False)


def _refuse_what_has_no_generator() -> None:
    """The schema before cannot hold such pictures, and pictures are never thrown away."""
    found = op.get_bind().scalar(
        sa.text("SELECT digest FROM visualizations WHERE generator_id IS NULL ORDER BY digest LIMIT 1")
    )
    if found is not None:
        raise ValueError(
            f"There are visualizations without a generator, such as {found}. The release before cannot hold"
            " them: restore a backup that it has made, or stay with this release."
        )
