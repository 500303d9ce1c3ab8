"""The table of learned costs."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from services.base.tables import CREATED, Base, Id


class LearnedCostRow(Base):
    """What one kind of work has cost on one kind of device, as `services.estimates.costs` learns it.

    `seconds` is what a round of `round_items` items takes, `spread` how far batches were off, as a share of
    it. A kind is a batch key; what the key is made of stands beside it, to compare kinds by.
    """

    __tablename__ = "learned_costs"
    __table_args__ = (
        sa.CheckConstraint("seconds > 0 AND spread >= 0 AND batches > 0 AND round_items > 0", name="figures"),
        sa.Index("ix_learned_costs_network", "network_id", "updated_at"),
        sa.Index("ix_learned_costs_updated", "updated_at"),
    )

    device: Mapped[str] = mapped_column(Id, primary_key=True)
    batch_key: Mapped[str] = mapped_column(Id, primary_key=True)
    network_id: Mapped[str] = mapped_column(Id)
    depth: Mapped[int]
    generator_id: Mapped[str | None] = mapped_column(Id)
    technique: Mapped[str]
    steps: Mapped[int]
    input_size: Mapped[int | None]
    round_items: Mapped[int]
    seconds: Mapped[float]
    spread: Mapped[float]
    batches: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(server_default=CREATED)
