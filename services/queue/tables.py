"""The tables of leases, of work beside the pictures, and of workers."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from services.base.tables import CREATED, Base, Id, Json, one_of


class LeaseRow(Base):
    """A worker's right to do something, of the kind of work that `kind` names: see `services.queue.leases`.
    The increasing id is the fence.

    `items` is how many things were claimed, `settled` how many of them have ended.
    """

    __tablename__ = "leases"
    __table_args__ = (
        one_of("outcome", ("finished", "released", "expired")),
        sa.CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="ended_has_outcome"),
        sa.Index("ix_leases_open", "expires_at", postgresql_where=sa.text("ended_at IS NULL")),
        sa.Index("ix_leases_ended", "ended_at", postgresql_where=sa.text("ended_at IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    kind: Mapped[str]
    worker_id: Mapped[str]
    items: Mapped[int]
    settled: Mapped[int] = mapped_column(server_default="0")
    steps: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]


class WorkerRow(Base):
    """`has_data_root`: whether it sees pictures, and so whether it takes trainings; `draws_maps`: whether
    what draws maps is installed there; `reason`, for people: why it takes no work now, or not all;
    `heartbeat_seconds`: how often it means to be seen; `lacks`: networks and generators that it could not
    load a moment ago, and batches that only a later release computes."""

    __tablename__ = "workers"
    __table_args__ = (one_of("state", ("running", "stopped")),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    host: Mapped[str]
    device: Mapped[str]
    state: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    seen_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    has_data_root: Mapped[bool] = mapped_column(server_default=sa.false())
    draws_maps: Mapped[bool] = mapped_column(server_default=sa.false())
    reason: Mapped[str | None]
    heartbeat_seconds: Mapped[float] = mapped_column(server_default="20")
    lacks: Mapped[list[str]] = mapped_column(ARRAY(sa.Text), server_default="{}")


CHORES = (
    *("repair", "scrub", "collect", "expand", "index", "sheet", "map", "scan", "export", "import"),
    *("compare", "look"),
)
"""Kinds of rows of `work`."""


class WorkRow(Base):
    """A thing to be done beside the pictures; it counts in no job. What each kind means stands in the feature
    that it belongs to, what may happen to a row in `services.queue.chores`.

    `given_up`: tried too often; `error` says why. It is only looked at from then on.
    """

    __tablename__ = "work"
    __table_args__ = (
        one_of("kind", CHORES),
        sa.CheckConstraint("NOT given_up OR error IS NOT NULL", name="given_up_has_error"),
        sa.Index("ix_work_due", "kind", "not_before", postgresql_where=sa.text("lease_id IS NULL")),
        sa.Index("ix_work_lease", "lease_id", postgresql_where=sa.text("lease_id IS NOT NULL")),
    )

    kind: Mapped[str] = mapped_column(Id, primary_key=True)
    subject: Mapped[str] = mapped_column(Id, primary_key=True)
    payload: Mapped[Json] = mapped_column(server_default="{}")
    lease_id: Mapped[int | None] = mapped_column(sa.BigInteger, sa.ForeignKey(LeaseRow.id))
    attempt: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    crash_count: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    not_before: Mapped[datetime] = mapped_column(server_default=CREATED)
    given_up: Mapped[bool] = mapped_column(server_default=sa.false())
    error: Mapped[Json | None]
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
