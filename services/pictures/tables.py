"""The tables of recipes and visualizations."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from imago_engine.weights import EYE
from services.base.states import Lane, State
from services.base.tables import CREATED, Base, Id, Json, one_of
from services.catalog.tables import GeneratorRow, LayerRow
from services.queue.tables import LeaseRow


class RecipeRow(Base):
    """A technique with all its parameters, named by its digest. None is ever removed."""

    __tablename__ = "recipes"

    digest: Mapped[str] = mapped_column(Id, primary_key=True)
    technique: Mapped[str]
    parameters: Mapped[Json]


class VisualizationRow(Base):
    """One spec and what came of it. `queue_order` is the turn within a lane; lower goes first.
    `generator_id` is NULL where the technique needs no generator, the position at the centre of a map, and
    `token` where a layer has none or its usual one is read. `score` says how good the network finds the whole
    picture; NULL where it is no number, and for what releases made that did not ask. `eye` is that of which
    it has a row in `embeddings`, NULL before it is embedded. No foreign key leads to the
    recipe, which stays."""

    __tablename__ = "visualizations"
    __table_args__ = (
        one_of("state", State),
        one_of("lane", Lane),
        sa.ForeignKeyConstraint(["network_id", "layer"], [LayerRow.network_id, LayerRow.name]),
        sa.CheckConstraint("length(digest) = 64", name="digest"),
        sa.CheckConstraint("(position_y IS NULL) = (position_x IS NULL)", name="position"),
        sa.CheckConstraint("token IS NULL OR token >= 0 AND position_y IS NULL", name="token"),
        sa.CheckConstraint(
            "CASE state WHEN 'leased' THEN lease_id IS NOT NULL"
            " WHEN 'canceled' THEN true ELSE lease_id IS NULL END",
            name="lease",
        ),
        sa.CheckConstraint("state <> 'failed' OR error IS NOT NULL", name="failed_has_error"),
        sa.CheckConstraint(
            "(finished_at IS NOT NULL) = (state IN ('done', 'failed', 'unreachable', 'canceled'))",
            name="finished",
        ),
        # What the claim reads: the turn within a lane, and within what can be computed together. Partial, so
        # that they stay as small as the queue while the table grows for ever.
        sa.Index(
            "ix_visualizations_turn", "lane", "queue_order", postgresql_where=sa.text("state = 'queued'")
        ),
        sa.Index(
            "ix_visualizations_batch",
            "lane",
            "batch_key",
            "queue_order",
            postgresql_where=sa.text("state = 'queued'"),
        ),
        sa.Index("ix_visualizations_lease", "lease_id", postgresql_where=sa.text("lease_id IS NOT NULL")),
        # What has ended since a moment: whoever watches a job is told.
        sa.Index("ix_visualizations_finished", "finished_at"),
        # Whether a generator can be removed, which the foreign key asks too.
        sa.Index("ix_visualizations_generator", "generator_id"),
        # What readers page through.
        sa.Index("ix_visualizations_unit", "network_id", "layer", "unit", "digest"),
        sa.Index(
            "ix_visualizations_without_picture",
            "network_id",
            "layer",
            "unit",
            "digest",
            postgresql_where=sa.text("state IN ('failed', 'unreachable', 'canceled')"),
        ),
        # The best picture of each unit, in the order of `services.pictures.best`, and whether it counts:
        # chosen for all of a layer without a look at the table.
        sa.Index(
            "ix_visualizations_best",
            "network_id",
            "layer",
            "unit",
            sa.text("(position_y IS NOT NULL OR token IS NOT NULL)"),
            sa.text("score DESC NULLS LAST"),
            sa.text("activation DESC NULLS LAST"),
            "digest",
            postgresql_include=["network_sha256", "eye", "position_y", "token"],
            postgresql_where=sa.text("state = 'done'"),
        ),
        # What the eye of this release has not seen yet: small, and soon empty.
        sa.Index(
            "ix_visualizations_unseen",
            "network_id",
            "layer",
            "unit",
            "digest",
            postgresql_where=sa.text(f"state = 'done' AND eye IS DISTINCT FROM '{EYE}'"),
        ),
    )

    digest: Mapped[str] = mapped_column(Id, primary_key=True)
    network_id: Mapped[str] = mapped_column(Id)
    network_sha256: Mapped[str]
    layer: Mapped[str] = mapped_column(Id)
    unit: Mapped[int]
    position_y: Mapped[int | None]
    position_x: Mapped[int | None]
    token: Mapped[int | None]
    generator_id: Mapped[str | None] = mapped_column(Id, sa.ForeignKey(GeneratorRow.id))
    recipe_digest: Mapped[str] = mapped_column(Id)
    seed: Mapped[int]
    engine: Mapped[str]
    batch_key: Mapped[str] = mapped_column(Id)

    state: Mapped[str] = mapped_column(server_default="queued")
    lane: Mapped[str]
    queue_order: Mapped[int] = mapped_column(sa.BigInteger)
    lease_id: Mapped[int | None] = mapped_column(sa.BigInteger, sa.ForeignKey(LeaseRow.id))
    attempt: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    crash_count: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    not_before: Mapped[datetime | None]
    error: Mapped[Json | None]

    activation: Mapped[float | None]
    score: Mapped[float | None]
    predictions: Mapped[list[Any] | None]
    crop_box: Mapped[list[Any] | None]
    provenance: Mapped[Json | None]
    eye: Mapped[str | None] = mapped_column(Id)
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    finished_at: Mapped[datetime | None]


class ArtifactRow(Base):
    """One of the things that a finished visualization consists of, and the object that holds it.

    Kinds are those of `imago_engine.artifacts.ArtifactKind`; no CHECK lists them, so that a new one is no
    change of the schema. `bytes` is NULL where an earlier release did not note it; `width` and `height` are
    those of pictures.
    """

    __tablename__ = "artifacts"
    __table_args__ = (
        # Whether anything points to an object: by hash, the smallest index that tells.
        sa.Index("ix_artifacts_object", "object", postgresql_using="hash"),
    )

    digest: Mapped[str] = mapped_column(
        Id, sa.ForeignKey(VisualizationRow.digest, ondelete="CASCADE"), primary_key=True
    )
    kind: Mapped[str] = mapped_column(Id, primary_key=True)
    object: Mapped[str]
    media_type: Mapped[str]
    bytes: Mapped[int | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
