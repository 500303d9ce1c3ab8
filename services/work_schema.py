"""The tables of work that keeps the store whole. `services.schema` has all tables, these too."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from services.schema_base import CREATED, Base, Id, Json, one_of

WORK_FENCES = sa.Sequence("work_fences", metadata=Base.metadata)
"""One increasing number a claim: whatever a worker reports changes only rows that carry its number."""


class WorkRow(Base):
    """A thing to be done beside the queue; it counts in no job. What each kind means stands in `losses`,
    `scrubbing` and `collection`, what may happen to a row in `work`.

    `given_up`: tried too often; `error` says why. It is only looked at from then on.
    """

    __tablename__ = "work"
    __table_args__ = (
        one_of("kind", ("repair", "scrub", "collect")),
        sa.CheckConstraint("(worker_id IS NULL) = (expires_at IS NULL)", name="held"),
        sa.CheckConstraint("NOT given_up OR error IS NOT NULL", name="given_up_has_error"),
        sa.Index("ix_work_due", "kind", "not_before", postgresql_where=sa.text("worker_id IS NULL")),
        sa.Index("ix_work_held", "expires_at", postgresql_where=sa.text("worker_id IS NOT NULL")),
        sa.Index("ix_work_fence", "fence", postgresql_where=sa.text("worker_id IS NOT NULL")),
    )

    kind: Mapped[str] = mapped_column(Id, primary_key=True)
    subject: Mapped[str] = mapped_column(Id, primary_key=True)
    payload: Mapped[Json] = mapped_column(server_default="{}")
    fence: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    worker_id: Mapped[str | None]
    expires_at: Mapped[datetime | None]
    attempt: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    crash_count: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    not_before: Mapped[datetime] = mapped_column(server_default=CREATED)
    given_up: Mapped[bool] = mapped_column(server_default=sa.false())
    error: Mapped[Json | None]
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)


class TallyRow(Base):
    """How often something has happened since the database was made: what `/metrics` shows as counters."""

    __tablename__ = "tallies"

    name: Mapped[str] = mapped_column(Id, primary_key=True)
    value: Mapped[int] = mapped_column(sa.BigInteger)


class CollectedRow(Base):
    """An object that is being removed from the store, or was lately: see `services.collection`."""

    __tablename__ = "collected"
    __table_args__ = (
        sa.Index("ix_collected_removed", "removed_at", postgresql_where=sa.text("removed_at IS NOT NULL")),
    )

    key: Mapped[str] = mapped_column(Id, primary_key=True)
    removed_at: Mapped[datetime | None]
