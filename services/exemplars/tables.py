"""The tables of scans, of what they tell of each unit, and of the crops that show it."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from services.access.tables import ApiKeyRow
from services.base.states import ScanState
from services.base.tables import CREATED, Base, Id, Json, one_of
from services.catalog.tables import NetworkRow


class ScanRow(Base):
    """A look at real pictures with a network. `no` stands for it in rows that there are millions of. While it
    goes on, a row of `work` of the kind `scan` says so. `checkpoint_object` holds its state until all
    pictures were seen and all crops made; `progress` says how far it is. `error` says why it failed, or why
    the last worker to try could not go on with it.
    """

    __tablename__ = "scans"
    __table_args__ = (
        one_of("state", ScanState),
        sa.CheckConstraint("state <> 'failed' OR error IS NOT NULL", name="failed_has_error"),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'failed', 'canceled')) = (finished_at IS NOT NULL)", name="finished"
        ),
        sa.UniqueConstraint("id"),
        sa.Index("ix_scans_network", "network_id", "no"),
        sa.Index(
            "uq_scans_idempotency_key",
            "owner_key_id",
            "idempotency_key",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=sa.text("idempotency_key IS NOT NULL"),
        ),
    )

    no: Mapped[int] = mapped_column(sa.Integer, sa.Identity(always=True), primary_key=True)
    id: Mapped[str] = mapped_column(Id)
    network_id: Mapped[str] = mapped_column(Id, sa.ForeignKey(NetworkRow.id, ondelete="CASCADE"))
    network_sha256: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="queued")
    request: Mapped[Json]
    owner_key_id: Mapped[str | None] = mapped_column(Id, sa.ForeignKey(ApiKeyRow.id))
    idempotency_key: Mapped[str | None]
    request_hash: Mapped[str]
    progress: Mapped[Json] = mapped_column(server_default="{}")
    error: Mapped[Json | None]
    checkpoint_object: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class UnitStatisticsRow(Base):
    """How strongly the pictures of a scan excite a unit: quantiles, at
    `imago_engine.exemplars.quantiles.LEVELS`, at the strongest place of each picture and, where the layer has
    places, at its usual one."""

    __tablename__ = "unit_statistics"
    __table_args__ = (
        # Units that no picture of a scan excites.
        sa.Index(
            "ix_unit_statistics_dead", "scan_no", "layer", "unit", postgresql_where=sa.text("non_zero = 0")
        ),
    )

    scan_no: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    layer: Mapped[str] = mapped_column(Id, primary_key=True)
    unit: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    counted: Mapped[int]
    non_zero: Mapped[float] = mapped_column(sa.REAL)
    quantiles: Mapped[list[float]] = mapped_column(ARRAY(sa.REAL))
    usual_quantiles: Mapped[list[float] | None] = mapped_column(ARRAY(sa.REAL))


class CropPackRow(Base):
    """An object that holds crops one behind the other: there are too many for an object each."""

    __tablename__ = "crop_packs"
    __table_args__ = (sa.Index("ix_crop_packs_object", "object", postgresql_using="hash"),)

    scan_no: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    object: Mapped[str]
    bytes: Mapped[int]


class ExemplarRow(Base):
    """One of the pictures that excite a unit most, the strongest has rank 0. The crop is `length` bytes of
    its pack from `start` on; units that see the same part of a picture share them. `box` is that part, [left,
    top, right, bottom] in pixels of the network's input, NULL for all of it.
    """

    __tablename__ = "exemplars"

    scan_no: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    layer: Mapped[str] = mapped_column(Id, primary_key=True)
    unit: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    rank: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    activation: Mapped[float] = mapped_column(sa.REAL)
    picture: Mapped[str]
    place_y: Mapped[int | None] = mapped_column(sa.SmallInteger)
    place_x: Mapped[int | None] = mapped_column(sa.SmallInteger)
    box: Mapped[list[int] | None] = mapped_column(ARRAY(sa.SmallInteger))
    pack: Mapped[int]
    start: Mapped[int]
    length: Mapped[int]


FOUND = (ExemplarRow, CropPackRow, UnitStatisticsRow)
"""What scans have found, by `scan_no`. These are no foreign keys: see `services.exemplars.forgetting`."""
