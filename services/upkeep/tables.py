"""The tables of what keeps the store whole."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from services.base.tables import CREATED, Base, Id, Json, one_of
from services.queue.tables import LeaseRow


class TallyRow(Base):
    """How often something has happened since the database was made: what `/metrics` shows as counters."""

    __tablename__ = "tallies"

    name: Mapped[str] = mapped_column(Id, primary_key=True)
    value: Mapped[int] = mapped_column(sa.BigInteger)


class CollectedRow(Base):
    """An object that is being removed from the store, or was lately: see `services.upkeep.collection`."""

    __tablename__ = "collected"
    __table_args__ = (
        sa.Index("ix_collected_removed", "removed_at", postgresql_where=sa.text("removed_at IS NOT NULL")),
    )

    key: Mapped[str] = mapped_column(Id, primary_key=True)
    removed_at: Mapped[datetime | None]


class WorkRow(Base):
    """A thing to be done beside the queue; it counts in no job. What each kind means stands in
    `pictures.losses`, `upkeep.scrubbing` and `upkeep.collection`, what may happen to a row in `chores`.

    `given_up`: tried too often; `error` says why. It is only looked at from then on.
    """

    __tablename__ = "work"
    __table_args__ = (
        one_of("kind", ("repair", "scrub", "collect")),
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
