"""The tables of comparisons: of each layer a figure, and its units by how much they changed."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from services.atlases.tables import AtlasRow
from services.base.tables import CREATED, Base, Id, Json


class ComparisonRow(Base):
    """Two versions of atlases, compared as they were at some moment; made anew in another row.

    `basis` is a hash of what it follows from (`services.comparison.comparisons`). `lacking`: pictures were
    not indexed as it began. `unmatched`: layers that are not compared, and why. Whole once `made_at` is set.
    """

    __tablename__ = "comparisons"
    __table_args__ = (
        sa.Index("ix_comparisons_pair", "a_no", "a_number", "b_no", "b_number", "no"),
        sa.Index("ix_comparisons_b", "b_no"),
        sa.Index("ix_comparisons_asked", "asked_at"),
        # One at a time is being made of the same two.
        sa.Index(
            "uq_comparisons_making",
            "a_no",
            "a_number",
            "b_no",
            "b_number",
            unique=True,
            postgresql_where=sa.text("made_at IS NULL"),
        ),
    )

    no: Mapped[int] = mapped_column(sa.Integer, sa.Identity(always=True), primary_key=True)
    a_no: Mapped[int] = mapped_column(sa.ForeignKey(AtlasRow.no))
    a_number: Mapped[int] = mapped_column(sa.SmallInteger)
    b_no: Mapped[int] = mapped_column(sa.ForeignKey(AtlasRow.no))
    b_number: Mapped[int] = mapped_column(sa.SmallInteger)
    basis: Mapped[str] = mapped_column(Id)
    lacking: Mapped[bool]
    unmatched: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    asked_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    made_at: Mapped[datetime | None]


class ComparedLayerRow(Base):
    """A layer that both have, `layer` of a and `other_layer` of b, with their numbers in the atlases.

    Units up to and without `seen` were looked at, of `unit_count`; the counts are of these. `figures` are
    there once all were. `sheet_object` shows the most changed pairs.
    """

    __tablename__ = "compared_layers"
    __table_args__ = (
        sa.Index("ix_compared_layers_sheet", "sheet_object", postgresql_using="hash"),
        sa.CheckConstraint("seen BETWEEN 0 AND unit_count", name="seen"),
    )

    comparison: Mapped[int] = mapped_column(
        sa.ForeignKey(ComparisonRow.no, ondelete="CASCADE"), primary_key=True
    )
    ordinal: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    layer: Mapped[str] = mapped_column(Id)
    other_layer: Mapped[str] = mapped_column(Id)
    a_layer_no: Mapped[int] = mapped_column(sa.SmallInteger)
    b_layer_no: Mapped[int] = mapped_column(sa.SmallInteger)
    unit_count: Mapped[int]
    seen: Mapped[int] = mapped_column(server_default="0")
    only_a: Mapped[int] = mapped_column(server_default="0")
    only_b: Mapped[int] = mapped_column(server_default="0")
    not_indexed: Mapped[int] = mapped_column(server_default="0")
    figures: Mapped[Json | None]
    sheet_object: Mapped[str | None]


class ComparedUnitRow(Base):
    """A unit with a picture in both, and how unlike these are. `same_label`: whether the networks see the
    same in them, NULL where one says nothing. Digests are 32 bytes: there are millions of rows.

    No foreign key leads to the comparison, which is removed row by row before itself
    (`services.comparison.removal`).
    """

    __tablename__ = "compared_units"
    __table_args__ = (
        sa.Index("ix_compared_units_most", "comparison", "layer", sa.text("distance DESC"), "unit"),
    )

    comparison: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    layer: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    unit: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    distance: Mapped[float]
    a_digest: Mapped[bytes]
    b_digest: Mapped[bytes]
    a_activation: Mapped[float | None]
    b_activation: Mapped[float | None]
    a_percentile: Mapped[float | None] = mapped_column(sa.REAL)
    b_percentile: Mapped[float | None] = mapped_column(sa.REAL)
    same_label: Mapped[bool | None]
