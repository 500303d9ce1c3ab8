"""Units of a layer of tokens may be read at another token than the usual one.

Layers say how many tokens they have when they are inspected again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("tokens", "usual_token", "class_token"):
        op.add_column("layers", sa.Column(name, sa.Integer(), nullable=True))
    op.create_check_constraint(
        op.f("ck_layers_tokens"),
        "layers",
        "(tokens IS NULL) = (usual_token IS NULL) AND (tokens IS NULL OR height IS NULL)"
        " AND (class_token IS NULL OR class_token = usual_token)",
    )
    op.add_column("visualizations", sa.Column("token", sa.Integer(), nullable=True))
    op.create_check_constraint(
        op.f("ck_visualizations_token"),
        "visualizations",
        "token IS NULL OR token >= 0 AND position_y IS NULL",
    )


def downgrade() -> None:
    _refuse_other_tokens()
    op.drop_constraint(op.f("ck_visualizations_token"), "visualizations", type_="check")
    op.drop_column("visualizations", "token")
    op.drop_constraint(op.f("ck_layers_tokens"), "layers", type_="check")
    for name in ("class_token", "usual_token", "tokens"):
        op.drop_column("layers", name)


def _refuse_other_tokens() -> None:
    """Without the column such a picture would pass for one of the usual token; none is thrown away."""
    found = op.get_bind().scalar(
        sa.text("SELECT digest FROM visualizations WHERE token IS NOT NULL ORDER BY digest LIMIT 1")
    )
    if found is not None:
        raise ValueError(
            f"There are visualizations of units at a token, such as {found}. The release before cannot hold"
            " them: restore a backup that it has made, or stay with this release."
        )
