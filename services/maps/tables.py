"""The tables of maps, and which version of an atlas shows which."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from services.atlases.tables import AtlasRow
from services.base.tables import CREATED, Base, Id


class MapRow(Base):
    """A map that was made, named by the SHA-256 of what determines it: its units with the digests of their
    pictures, and the eye. `layers` are the names that the numbers in `points_object` stand for, `labels`
    has a list per level (`worker.maps.clusters.labels`). `fitted`: how many units UMAP was fitted to.
    """

    __tablename__ = "maps"
    __table_args__ = (sa.Index("ix_maps_points", "points_object", postgresql_using="hash"),)

    name: Mapped[str] = mapped_column(Id, primary_key=True)
    eye: Mapped[str] = mapped_column(Id)
    units: Mapped[int]
    fitted: Mapped[int]
    layers: Mapped[list[Any]]
    labels: Mapped[list[Any]]
    points_object: Mapped[str]
    points_bytes: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)


class AtlasMapRow(Base):
    """The map of a version of an atlas by an eye. As of when it was read: `pictures` is how many the version
    had, `unseen` how many units had pictures without an embedding, `final` whether it was published.
    """

    __tablename__ = "atlas_maps"
    __table_args__ = (sa.Index("ix_atlas_maps_map", "map"),)

    atlas_no: Mapped[int] = mapped_column(sa.ForeignKey(AtlasRow.no, ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    eye: Mapped[str] = mapped_column(Id, primary_key=True)
    map: Mapped[str] = mapped_column(Id, sa.ForeignKey(MapRow.name))
    pictures: Mapped[int]
    unseen: Mapped[int]
    final: Mapped[bool]
    made_at: Mapped[datetime] = mapped_column(server_default=CREATED)
