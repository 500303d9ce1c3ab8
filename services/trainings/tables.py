"""The tables of trainings."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from services.access.tables import ApiKeyRow
from services.base.states import TrainingState
from services.base.tables import CREATED, Base, Id, Json, one_of
from services.catalog.tables import GeneratorRow
from services.queue.tables import LeaseRow


class TrainingRow(Base):
    """A generator that is to be trained. `lease_id` is that of the worker that has it.

    `refused_by` are the workers that could not go on with it when they tried last, `stuck_since` the time
    since when none could, and `setbacks` how often since then; it is not claimed again before `not_before`.
    `error` says why, as it does of one that has failed.
    `crashes` counts ends of the training's process, `deaths` those of its workers since the last checkpoint.
    `cleared`: nothing is left in the store but what the row points to.
    """

    __tablename__ = "trainings"
    __table_args__ = (
        one_of("state", TrainingState),
        sa.CheckConstraint("(state IN ('running', 'canceling')) = (lease_id IS NOT NULL)", name="held"),
        sa.CheckConstraint(
            "state <> 'succeeded' OR generator_id IS NOT NULL", name="succeeded_has_generator"
        ),
        sa.CheckConstraint("state <> 'failed' OR error IS NOT NULL", name="failed_has_error"),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'failed', 'canceled')) = (finished_at IS NOT NULL)", name="finished"
        ),
        # The name is taken from the submission on, not only when the generator is there.
        sa.Index(
            "uq_trainings_name",
            "name",
            unique=True,
            postgresql_where=sa.text("state IN ('queued', 'running', 'canceling')"),
        ),
        sa.Index(
            "uq_trainings_idempotency_key",
            "owner_key_id",
            "idempotency_key",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=sa.text("idempotency_key IS NOT NULL"),
        ),
        sa.Index("ix_trainings_lease", "lease_id", postgresql_where=sa.text("lease_id IS NOT NULL")),
        sa.Index(
            "ix_trainings_open",
            "id",
            postgresql_where=sa.text("state IN ('queued', 'running', 'canceling') OR NOT cleared"),
        ),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(Id)
    state: Mapped[str] = mapped_column(server_default="queued")
    request: Mapped[Json]
    owner_key_id: Mapped[str | None] = mapped_column(Id, sa.ForeignKey(ApiKeyRow.id))
    idempotency_key: Mapped[str | None]
    request_hash: Mapped[str]
    lease_id: Mapped[int | None] = mapped_column(sa.BigInteger, sa.ForeignKey(LeaseRow.id))
    refused_by: Mapped[list[str]] = mapped_column(ARRAY(sa.Text), server_default="{}")
    stuck_since: Mapped[datetime | None]
    setbacks: Mapped[int] = mapped_column(server_default="0")
    not_before: Mapped[datetime] = mapped_column(server_default=CREATED)
    crashes: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    deaths: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    progress: Mapped[Json] = mapped_column(server_default="{}")
    error: Mapped[Json | None]
    checkpoint_object: Mapped[str | None]
    log_object: Mapped[str | None]
    card_object: Mapped[str | None]
    generator_id: Mapped[str | None] = mapped_column(Id, sa.ForeignKey(GeneratorRow.id))
    cleared: Mapped[bool] = mapped_column(server_default=sa.false())
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class TrainingSampleRow(Base):
    """What a training could do after so many pictures: held-out metrics, and a grid of pictures if one was
    drawn."""

    __tablename__ = "training_samples"
    __table_args__ = (sa.Index("ix_training_samples_image_object", "image_object", postgresql_using="hash"),)

    training_id: Mapped[str] = mapped_column(
        Id, sa.ForeignKey(TrainingRow.id, ondelete="CASCADE"), primary_key=True
    )
    pictures: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    held_out: Mapped[Json]
    image_object: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
