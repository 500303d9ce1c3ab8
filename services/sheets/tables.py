"""The tables of sheets, their tiles, and which version of an atlas shows which."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from services.atlases.tables import AtlasRow
from services.base.tables import CREATED, Base, Id


class SheetRow(Base):
    """A sheet, named by the SHA-256 of what determines it: its layout and the digests of its pictures.

    `strips` are [title, cells], see `services.sheets.layout`. `plan_object` holds the digests while it is
    made; `picture_object` all of it in one picture, reduced where it is large. It is whole once `made_at` is
    set.
    """

    __tablename__ = "sheets"
    __table_args__ = (
        sa.CheckConstraint("made_at IS NULL OR picture_object IS NOT NULL", name="made"),
        sa.CheckConstraint("made_at IS NOT NULL OR plan_object IS NOT NULL", name="planned"),
        sa.Index("ix_sheets_plan", "plan_object", postgresql_using="hash"),
        sa.Index("ix_sheets_picture", "picture_object", postgresql_using="hash"),
    )

    name: Mapped[str] = mapped_column(Id, primary_key=True)
    columns: Mapped[int]
    strips: Mapped[list[Any]]
    plan_object: Mapped[str | None]
    picture_object: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    made_at: Mapped[datetime | None]


class SheetTileRow(Base):
    """A tile of a sheet's pyramid; level 0 is one pixel, the top level the sheet as it is."""

    __tablename__ = "sheet_tiles"
    __table_args__ = (sa.Index("ix_sheet_tiles_object", "object", postgresql_using="hash"),)

    sheet: Mapped[str] = mapped_column(Id, sa.ForeignKey(SheetRow.name, ondelete="CASCADE"), primary_key=True)
    level: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    col: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    row: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    object: Mapped[str]
    bytes: Mapped[int]


class AtlasSheetRow(Base):
    """The sheet of a layer in a version of an atlas; the poster of the version where `layer_no` is -1.

    `making` is the one that is to replace `sheet`. Of the newer of both: `pictures` is how many there were as
    it was planned; `final`, whether the version was published by then, so that it stays as it is.
    """

    __tablename__ = "atlas_sheets"
    __table_args__ = (
        sa.Index("ix_atlas_sheets_sheet", "sheet"),
        sa.Index("ix_atlas_sheets_making", "making"),
    )

    atlas_no: Mapped[int] = mapped_column(sa.ForeignKey(AtlasRow.no, ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    layer_no: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    sheet: Mapped[str | None] = mapped_column(Id, sa.ForeignKey(SheetRow.name))
    making: Mapped[str | None] = mapped_column(Id, sa.ForeignKey(SheetRow.name))
    pictures: Mapped[int]
    final: Mapped[bool]
