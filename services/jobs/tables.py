"""The tables of jobs and their items."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from services.access.tables import ApiKeyRow
from services.atlases.tables import AtlasLayerRow
from services.base.states import JobState, Lane
from services.base.tables import CREATED, Base, Id, Json, one_of


class JobRow(Base):
    """What a user submitted. Its items that have ended are counted here, in the transactions that end them,
    until the job ends itself; `errors` are {code: {count, message}} of those that failed.
    `parts` tells what kinds of items waited for its turn when it was submitted, see
    `services.estimates.forecast`. A job with an `atlas_no` is a part of its building;
    `undecided`: it makes candidates of which the atlas has yet to choose what it shows.
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
        sa.ForeignKeyConstraint(
            ["atlas_no", "layer_no"], [AtlasLayerRow.atlas_no, AtlasLayerRow.layer_no], ondelete="SET NULL"
        ),
        sa.Index("ix_jobs_atlas", "atlas_no", "layer_no", postgresql_where=sa.text("atlas_no IS NOT NULL")),
        sa.Index("ix_jobs_undecided", "atlas_no", "id", postgresql_where=sa.text("undecided")),
        # What a list of jobs pages through: there may be thousands of others between two of these.
        sa.Index("ix_jobs_listed", "id", postgresql_where=sa.text("atlas_no IS NULL")),
        # The same of those in one state, however few these are.
        sa.Index("ix_jobs_state", "state", "id", postgresql_where=sa.text("atlas_no IS NULL")),
        sa.Index("ix_jobs_owner", "owner_key_id", "id", postgresql_where=sa.text("atlas_no IS NULL")),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    state: Mapped[str]
    lane: Mapped[str]
    request: Mapped[Json]
    owner_key_id: Mapped[str | None] = mapped_column(Id, sa.ForeignKey(ApiKeyRow.id))
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
    atlas_no: Mapped[int | None]
    layer_no: Mapped[int | None] = mapped_column(sa.SmallInteger)
    undecided: Mapped[bool] = mapped_column(server_default=sa.false())
    rate: Mapped[float | None]
    rate_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class JobVisualizationRow(Base):
    """Which job wants which picture. Many jobs may want one: it is computed once.

    No foreign key leads to the picture: of a million rows it would cost seconds. Pictures are removed with
    their network only, when no job wants them; for that it is locked, as each submission locks it.
    """

    __tablename__ = "job_visualizations"
    __table_args__ = (sa.UniqueConstraint("digest", "job_id"),)

    job_id: Mapped[str] = mapped_column(Id, sa.ForeignKey(JobRow.id, ondelete="CASCADE"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(Id)
