"""The tables of imports that go on, and of exports that the service itself has written down."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from services.atlases.tables import AtlasRow
from services.base.tables import CREATED, Base, Json


class AtlasImportRow(Base):
    """An atlas that is being imported and that nobody sees yet: of the entries of its manifest, the first
    `received` are there. The row goes when the atlas is whole."""

    __tablename__ = "atlas_imports"
    __table_args__ = (sa.CheckConstraint("received >= 0", name="received"),)

    atlas_no: Mapped[int] = mapped_column(sa.ForeignKey(AtlasRow.no, ondelete="CASCADE"), primary_key=True)
    manifest: Mapped[Json]
    received: Mapped[int] = mapped_column(server_default="0")
    touched_at: Mapped[datetime] = mapped_column(server_default=CREATED)


class AtlasExportRow(Base):
    """The export of a published version, but for its pictures, which lie in the store anyway. It is whole
    once `made_at` is set: `manifest_object` is its manifest, `sums_object` the last lines of its SHA256SUMS,
    `bytes` the size of all of it as a tar. `map` is the name of that whose places its table has."""

    __tablename__ = "atlas_exports"
    __table_args__ = (
        sa.CheckConstraint("(made_at IS NULL) = (manifest_object IS NULL)", name="made"),
        sa.Index("ix_atlas_exports_manifest", "manifest_object", postgresql_using="hash"),
        sa.Index("ix_atlas_exports_sums", "sums_object", postgresql_using="hash"),
    )

    atlas_no: Mapped[int] = mapped_column(sa.ForeignKey(AtlasRow.no, ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    map: Mapped[str | None]
    manifest_object: Mapped[str | None]
    manifest_bytes: Mapped[int | None]
    sums_object: Mapped[str | None]
    sums_bytes: Mapped[int | None]
    bytes: Mapped[int | None] = mapped_column(sa.BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    made_at: Mapped[datetime | None]


class AtlasExportPartRow(Base):
    """Some entries of an export, up to the one of `layer_no`, `unit` and `facet`: their lines of units.jsonl,
    of the table and of SHA256SUMS, the latter two null where none of them has a picture.

    `pictures_bytes`: what the pictures take in a tar. `layers` are [name, lines before the first of it in
    bytes, lines, pictures] in their order; `recipes` and `generators` what the pictures were made by.
    """

    __tablename__ = "atlas_export_parts"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["atlas_no", "number"], [AtlasExportRow.atlas_no, AtlasExportRow.number], ondelete="CASCADE"
        ),
        sa.Index("ix_atlas_export_parts_units", "units_object", postgresql_using="hash"),
        sa.Index("ix_atlas_export_parts_table", "table_object", postgresql_using="hash"),
        sa.Index("ix_atlas_export_parts_sums", "sums_object", postgresql_using="hash"),
    )

    atlas_no: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    part: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    layer_no: Mapped[int] = mapped_column(sa.SmallInteger)
    unit: Mapped[int]
    facet: Mapped[int] = mapped_column(sa.SmallInteger)
    units_object: Mapped[str]
    units_bytes: Mapped[int]
    table_object: Mapped[str | None]
    table_bytes: Mapped[int]
    sums_object: Mapped[str | None]
    sums_bytes: Mapped[int]
    pictures_bytes: Mapped[int] = mapped_column(sa.BigInteger)
    layers: Mapped[list[Any]]
    recipes: Mapped[list[Any]]
    generators: Mapped[list[Any]]
