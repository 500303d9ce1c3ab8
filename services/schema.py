"""The tables. What each state means stands in `states`.

Enumerations are text with a named CHECK, which a migration can change. Ids and digests collate as "C": Python
compares them byte by byte too, and the order in which rows are locked relies on both sides agreeing.

Locks are taken in one order everywhere, so that no two transactions can wait for each other: that of writers
against the collector (`collected`), then the lease, or the rows of `work` that are held by subject, then
visualizations by digest, then jobs by id, then tallies by name,
then the learned cost of the work.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from services.cost_schema import LearnedCostRow
from services.schema_base import CREATED, Base, Id, Json, one_of
from services.states import LIVE_JOBS, JobState, Lane, State, TrainingState
from services.training_schema import TrainingRow, TrainingSampleRow
from services.work_schema import CollectedRow, TallyRow, WorkRow

__all__ = [
    "LIVE_JOBS",
    "QUEUE_TURNS",
    "ApiKeyRow",
    "Base",
    "CollectedRow",
    "GeneratorRow",
    "JobRow",
    "JobState",
    "JobVisualizationRow",
    "Lane",
    "LayerRow",
    "LearnedCostRow",
    "LeaseRow",
    "NetworkRow",
    "RecipeRow",
    "State",
    "TallyRow",
    "TrainingRow",
    "TrainingSampleRow",
    "TrainingState",
    "VisualizationRow",
    "WorkRow",
    "WorkerRow",
]


class NetworkRow(Base):
    """A network that can be explained. Once `ready` it changes only when it is inspected again, and digests
    are made from `spec_sha256`, which then changes with it."""

    __tablename__ = "networks"
    __table_args__ = (
        one_of("source", ("efficientnet-lite", "torchvision", "timm", "file")),
        one_of("state", ("pending", "ready", "failed")),
        sa.CheckConstraint("state <> 'ready' OR weights_sha256 IS NOT NULL", name="ready_has_weights"),
        sa.CheckConstraint("state <> 'ready' OR spec_sha256 IS NOT NULL", name="ready_has_spec_sha256"),
        sa.CheckConstraint("state <> 'failed' OR error IS NOT NULL", name="failed_has_error"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    source: Mapped[str]
    architecture: Mapped[str]
    weights: Mapped[str | None]
    classes: Mapped[int | None]
    stated: Mapped[Json] = mapped_column(server_default="{}")
    state: Mapped[str] = mapped_column(server_default="pending")
    error: Mapped[str | None]
    weights_sha256: Mapped[str | None]
    spec_sha256: Mapped[str | None]
    preprocessing: Mapped[Json | None]
    input_sizes: Mapped[Json | None]
    outputs: Mapped[int | None]
    labels: Mapped[list[Any]] = mapped_column(server_default="[]")
    owner_key_id: Mapped[str | None] = mapped_column(Id, sa.ForeignKey("api_keys.id"))
    inspection_tries: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    inspection_until: Mapped[datetime | None]
    inspection_version: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    inspection_due: Mapped[bool] = mapped_column(server_default=sa.false())
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    inspected_at: Mapped[datetime | None]


class LayerRow(Base):
    """`is_current` is false for what a later inspection did not find any more."""

    __tablename__ = "layers"
    __table_args__ = (
        sa.CheckConstraint("units > 0", name="units"),
        sa.CheckConstraint("(height IS NULL) = (width IS NULL)", name="spatial"),
    )

    network_id: Mapped[str] = mapped_column(
        Id, sa.ForeignKey("networks.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(Id, primary_key=True)
    ordinal: Mapped[int]
    kind: Mapped[str]
    units: Mapped[int]
    height: Mapped[int | None]
    width: Mapped[int | None]
    receptive_field: Mapped[int | None]
    stride: Mapped[int | None]
    is_current: Mapped[bool] = mapped_column(server_default=sa.true())


class GeneratorRow(Base):
    """Its file lies in the store, under `storage.generator_key` of its hash."""

    __tablename__ = "generators"
    __table_args__ = (
        sa.UniqueConstraint("weights_sha256"),
        sa.Index("uq_generators_default", "is_default", unique=True, postgresql_where=sa.text("is_default")),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    weights_sha256: Mapped[str]
    architecture: Mapped[str]
    code_shape: Mapped[list[Any]]
    image_size: Mapped[int]
    encoder: Mapped[str]
    info: Mapped[Json]
    is_default: Mapped[bool] = mapped_column(server_default=sa.false())
    owner_key_id: Mapped[str | None] = mapped_column(Id, sa.ForeignKey("api_keys.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)


class RecipeRow(Base):
    __tablename__ = "recipes"

    digest: Mapped[str] = mapped_column(Id, primary_key=True)
    technique: Mapped[str]
    parameters: Mapped[Json]


class LeaseRow(Base):
    """A worker's right to compute a batch. The increasing id is the fence."""

    __tablename__ = "leases"
    __table_args__ = (
        one_of("outcome", ("finished", "released", "expired")),
        sa.CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="ended_has_outcome"),
        sa.Index("ix_leases_open", "expires_at", postgresql_where=sa.text("ended_at IS NULL")),
        sa.Index("ix_leases_ended", "ended_at", postgresql_where=sa.text("ended_at IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    worker_id: Mapped[str]
    items: Mapped[int]
    settled: Mapped[int] = mapped_column(server_default="0")
    steps: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]


class VisualizationRow(Base):
    """One spec and what came of it. `queue_order` is the turn within a lane; lower goes first."""

    __tablename__ = "visualizations"
    __table_args__ = (
        one_of("state", State),
        one_of("lane", Lane),
        sa.ForeignKeyConstraint(["network_id", "layer"], ["layers.network_id", "layers.name"]),
        sa.CheckConstraint("length(digest) = 64", name="digest"),
        sa.CheckConstraint("(position_y IS NULL) = (position_x IS NULL)", name="position"),
        sa.CheckConstraint(
            "CASE state WHEN 'leased' THEN lease_id IS NOT NULL"
            " WHEN 'canceled' THEN true ELSE lease_id IS NULL END",
            name="lease",
        ),
        sa.CheckConstraint("state <> 'done' OR image_object IS NOT NULL", name="done_has_image"),
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
        # Whether anything points to an object: by hash, the smallest index that tells.
        sa.Index("ix_visualizations_image_object", "image_object", postgresql_using="hash"),
        sa.Index("ix_visualizations_crop_object", "crop_object", postgresql_using="hash"),
        sa.Index("ix_visualizations_code_object", "code_object", postgresql_using="hash"),
        sa.Index("ix_visualizations_trace_object", "trace_object", postgresql_using="hash"),
    )

    digest: Mapped[str] = mapped_column(Id, primary_key=True)
    network_id: Mapped[str] = mapped_column(Id)
    network_sha256: Mapped[str]
    layer: Mapped[str] = mapped_column(Id)
    unit: Mapped[int]
    position_y: Mapped[int | None]
    position_x: Mapped[int | None]
    generator_id: Mapped[str] = mapped_column(Id, sa.ForeignKey("generators.id"))
    recipe_digest: Mapped[str] = mapped_column(Id, sa.ForeignKey("recipes.digest"))
    seed: Mapped[int]
    engine: Mapped[str]
    batch_key: Mapped[str] = mapped_column(Id)

    state: Mapped[str] = mapped_column(server_default="queued")
    lane: Mapped[str]
    queue_order: Mapped[int] = mapped_column(sa.BigInteger)
    lease_id: Mapped[int | None] = mapped_column(sa.BigInteger, sa.ForeignKey("leases.id"))
    attempt: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    crash_count: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    not_before: Mapped[datetime | None]
    error: Mapped[Json | None]

    activation: Mapped[float | None]
    predictions: Mapped[list[Any] | None]
    image_object: Mapped[str | None]
    crop_object: Mapped[str | None]
    code_object: Mapped[str | None]
    trace_object: Mapped[str | None]
    image_bytes: Mapped[int | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    crop_box: Mapped[list[Any] | None]
    provenance: Mapped[Json | None]
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    finished_at: Mapped[datetime | None]


QUEUE_TURNS = sa.Sequence("queue_turns", metadata=Base.metadata)
"""One number a submission, whose items then share it: see `services.turns`."""


class ApiKeyRow(Base):
    """A key; of its secret only the hash is kept."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str]
    prefix: Mapped[str]
    secret_sha256: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(sa.Text))
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class JobRow(Base):
    """What a user submitted. Its items that have ended are counted here, in the transactions that end them,
    until the job ends itself; `errors` are {code: {count, message}} of those that failed.
    `parts` tells what kinds of items waited for its turn when it was submitted, see `services.forecast`.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        one_of("state", JobState),
        one_of("lane", Lane),
        sa.CheckConstraint("total > 0 AND cached BETWEEN 0 AND total", name="total"),
        sa.CheckConstraint("least(done, failed, unreachable, canceled) >= 0", name="counts"),
        sa.CheckConstraint(
            "CASE WHEN state IN ('queued', 'running') THEN done + failed + unreachable + canceled <= total"
            " ELSE done + failed + unreachable + canceled = total END",
            name="ended_counts",
        ),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'failed', 'canceled')) = (finished_at IS NOT NULL)", name="finished"
        ),
        # Anonymous submitters share one owner, so that their keys cannot collide unnoticed either.
        sa.Index(
            "uq_jobs_idempotency_key",
            "owner_key_id",
            "idempotency_key",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=sa.text("idempotency_key IS NOT NULL"),
        ),
        sa.Index(
            "ix_jobs_open", "id", postgresql_where=sa.text("state IN ('queued', 'running', 'canceling')")
        ),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    state: Mapped[str]
    lane: Mapped[str]
    request: Mapped[Json]
    owner_key_id: Mapped[str | None] = mapped_column(Id, sa.ForeignKey("api_keys.id"))
    idempotency_key: Mapped[str | None]
    request_hash: Mapped[str]
    total: Mapped[int]
    cached: Mapped[int]
    done: Mapped[int] = mapped_column(server_default="0")
    failed: Mapped[int] = mapped_column(server_default="0")
    unreachable: Mapped[int] = mapped_column(server_default="0")
    canceled: Mapped[int] = mapped_column(server_default="0")
    errors: Mapped[Json] = mapped_column(server_default="{}")
    turn: Mapped[int] = mapped_column(sa.BigInteger)
    parts: Mapped[Json | None]
    rate: Mapped[float | None]
    rate_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class JobVisualizationRow(Base):
    """Which job wants which picture. Many jobs may want one: it is computed once."""

    __tablename__ = "job_visualizations"
    __table_args__ = (sa.UniqueConstraint("digest", "job_id"),)

    job_id: Mapped[str] = mapped_column(Id, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(Id, sa.ForeignKey("visualizations.digest"))


class WorkerRow(Base):
    """`has_data_root`: whether it sees pictures, and so whether it takes trainings; `reason`, for people: why
    it takes no work now, or not all; `heartbeat_seconds`: how often it means to be seen; `lacks`: networks
    and generators that it could not load a moment ago."""

    __tablename__ = "workers"
    __table_args__ = (one_of("state", ("running", "stopped")),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    host: Mapped[str]
    device: Mapped[str]
    state: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    seen_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    has_data_root: Mapped[bool] = mapped_column(server_default=sa.false())
    reason: Mapped[str | None]
    heartbeat_seconds: Mapped[float] = mapped_column(server_default="20")
    lacks: Mapped[list[str]] = mapped_column(ARRAY(sa.Text), server_default="{}")
