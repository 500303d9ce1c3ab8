"""The tables of what keeps the store whole."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from services.base.tables import Base, Id


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
