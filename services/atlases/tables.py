"""The tables of atlases, their versions, layers and entries."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from services.access.tables import ApiKeyRow
from services.base.states import AtlasWish, Visibility
from services.base.tables import CREATED, Base, Id, Json, one_of
from services.catalog.tables import GeneratorRow, NetworkRow


class AtlasRow(Base):
    """The pictures of many units of one network. `no` stands for it in rows that there are millions of.
    `wish` is what its owner wants done with it; how far that is follows from its layers and jobs.
    `retry_after`: failed items of jobs with a greater id are still to be queued again; None for no job.
    """

    __tablename__ = "atlases"
    __table_args__ = (
        one_of("visibility", Visibility),
        one_of("wish", AtlasWish),
        sa.UniqueConstraint("id"),
        sa.Index("ix_atlases_network", "network_id", "id"),
        sa.Index("ix_atlases_owner", "owner_key_id", "id"),
        # Anonymous submitters share one owner, as for jobs.
        sa.Index(
            "uq_atlases_idempotency_key",
            "owner_key_id",
            "idempotency_key",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=sa.text("idempotency_key IS NOT NULL"),
        ),
    )

    no: Mapped[int] = mapped_column(sa.Integer, sa.Identity(always=True), primary_key=True)
    id: Mapped[str] = mapped_column(Id)
    name: Mapped[str]
    network_id: Mapped[str] = mapped_column(Id, sa.ForeignKey(NetworkRow.id))
    owner_key_id: Mapped[str | None] = mapped_column(Id, sa.ForeignKey(ApiKeyRow.id))
    visibility: Mapped[str]
    wish: Mapped[str] = mapped_column(server_default="build")
    retry_after: Mapped[str | None] = mapped_column(Id)
    idempotency_key: Mapped[str | None]
    request_hash: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)


class AtlasVersionRow(Base):
    """The open version of an atlas, or one that was published and never changes.

    `request` is what was asked for last, `network_sha256` and `generator_id` what its pictures are made of.
    `layers` is written as it is published: of each layer its number, name, units, facets, technique and
    counts of pictures, so that nothing that happens later shows in it. `publishing` is how far that is: what
    had been asked for when it began, the layers with what was counted so far, and the place up to which
    entries were looked at.
    """

    __tablename__ = "atlas_versions"
    __table_args__ = (
        sa.CheckConstraint("number > 0", name="number"),
        sa.CheckConstraint("(published_at IS NULL) = (layers IS NULL)", name="published"),
        sa.CheckConstraint("published_at IS NULL OR publishing IS NULL", name="publishing"),
        sa.Index(
            "uq_atlas_versions_open",
            "atlas_no",
            unique=True,
            postgresql_where=sa.text("published_at IS NULL"),
        ),
        sa.Index("ix_atlas_versions_generator", "generator_id"),
    )

    atlas_no: Mapped[int] = mapped_column(sa.ForeignKey(AtlasRow.no, ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True)
    request: Mapped[Json]
    network_sha256: Mapped[str]
    generator_id: Mapped[str | None] = mapped_column(Id, sa.ForeignKey(GeneratorRow.id))
    layers: Mapped[list[Any] | None]
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    published_at: Mapped[datetime | None]
    publishing: Mapped[Json | None]

    @property
    def shows(self) -> int:
        """The version as which its entries are read. The open one has all, also those that move on to the
        next while it is being published."""
        return self.number if self.published_at is not None else self.number + 1


class AtlasLayerRow(Base):
    """A layer of an atlas as it is to be: `units` are in the words of a request, `unit_count` of them, each
    with the facets 0 to `facets` - 1. `making` is the settled recipe: technique, parameters, generator, and
    the batch key. Of its entries, facet by facet in the order of the units, the first `expanded` have been
    written; all of them when it equals `unit_count` times `facets`.
    """

    __tablename__ = "atlas_layers"
    __table_args__ = (
        sa.UniqueConstraint("atlas_no", "layer"),
        sa.CheckConstraint("expanded BETWEEN 0 AND unit_count * facets", name="expanded"),
    )

    atlas_no: Mapped[int] = mapped_column(sa.ForeignKey(AtlasRow.no, ondelete="CASCADE"), primary_key=True)
    layer_no: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True)
    layer: Mapped[str] = mapped_column(Id)
    ordinal: Mapped[int]
    units: Mapped[str]
    unit_count: Mapped[int]
    facets: Mapped[int] = mapped_column(sa.SmallInteger)
    making: Mapped[Json]
    expanded: Mapped[int] = mapped_column(server_default="0")


class AtlasEntryRow(Base):
    """A picture of an atlas: the facet of a unit, in the versions from `since` on, up to and without `until`
    where there is one. Versions share rows, so that a new version costs what is new in it.

    No foreign key leads to the layer or the picture: of a million rows each would cost seconds. An atlas is
    removed entry by entry before its layers (`services.atlases.building.deletion`), and pictures only with
    their network, which the atlas keeps.
    """

    __tablename__ = "atlas_entries"
    __table_args__ = (
        sa.CheckConstraint("until > since", name="versions"),
        # Which atlases show a picture.
        sa.Index("ix_atlas_entries_digest", "digest"),
    )

    atlas_no: Mapped[int] = mapped_column(primary_key=True)
    layer_no: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True)
    unit: Mapped[int] = mapped_column(primary_key=True)
    facet: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True)
    since: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True)
    until: Mapped[int | None] = mapped_column(sa.SmallInteger)
    digest: Mapped[str] = mapped_column(Id)
