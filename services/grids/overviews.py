"""What there is of each of some networks: layers, units, atlases, how much is covered, pictures for a card.

A handful of statements for all networks together, and none that counts pictures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from services.access.keys import Principal
from services.atlases.tables import AtlasRow, AtlasVersionRow
from services.atlases.visibility import seen_by
from services.catalog.networks import Network
from services.catalog.tables import LayerRow
from services.grids import strips
from services.grids.strips import Glimpse, OfBest, OfVersion

_IS_BLOCK = sa.or_(LayerRow.role.is_not(None), LayerRow.kind == "output")
_OF_JOBS = text("""
    SELECT l.atlas_no, l.layer_no, l.layer, l.ordinal,
        CAST(least(l.unit_count, coalesce(ended.items, 0)) AS int) AS shown_units
    FROM atlas_layers l LEFT JOIN (
        SELECT atlas_no, layer_no, sum(done) + sum(unreachable) AS items FROM jobs
        WHERE atlas_no = ANY(CAST(:nos AS int[])) GROUP BY atlas_no, layer_no
    ) AS ended USING (atlas_no, layer_no)
    WHERE l.atlas_no = ANY(CAST(:nos AS int[])) ORDER BY l.ordinal
""")


@dataclass(frozen=True)
class ShownVersion:
    """The version that stands for a network, of the atlas that `atlases.to_show_first` tells. `covered`:
    units by their layers' names that it has a picture of, or that can have none; each at most once."""

    atlas: str
    name: str
    number: int
    published_at: datetime | None
    covered: Mapping[str, int]
    layers: Mapping[int, str]
    atlas_no: int


@dataclass(frozen=True)
class Overview:
    """`blocks` and `units` are those of the layers that `blocks` means, `layers` counts all. `versions` are
    those that were published of all its atlases that the reader sees."""

    network: Network
    layers: int
    blocks: int
    units: int
    atlases: int
    versions: int
    shown: ShownVersion | None
    poster: Sequence[Glimpse] = field(default=())

    @property
    def share(self) -> float | None:
        """How much of its blocks' units the shown version covers; None without an atlas."""
        if self.shown is None or not self.units:
            return None
        return min(1.0, sum(self.shown.covered.values()) / self.units)


def overviews(
    session: Session, networks: Sequence[Network], *, by: Principal | None, pictures: int = 6
) -> Sequence[Overview]:
    """One of each network, in their order."""
    ids = [network.id for network in networks]
    layers = {row.network_id: row for row in session.execute(_layers(ids))}
    counted = {row.network_id: row for row in session.execute(_atlases(ids, by))}
    versions = shown_versions(session, [row.shown for row in counted.values()])
    shown = [versions.get(counted[id].shown) if id in counted else None for id in ids]
    posters = _posters(session, networks, shown, pictures)
    found = []
    for network, version, poster in zip(networks, shown, posters, strict=True):
        there, atlases = layers.get(network.id), counted.get(network.id)
        found.append(
            Overview(
                network,
                there.layers if there else 0,
                there.blocks if there else 0,
                int(there.units or 0) if there else 0,
                atlases.atlases if atlases else 0,
                atlases.versions if atlases else 0,
                version,
                poster,
            )
        )
    return found


def shown_versions(
    session: Session, atlases: Sequence[str], number: int | None = None
) -> Mapping[str, ShownVersion]:
    """A version of each atlas, by the atlases' ids: of this number, else the newest that was published or the
    one that is being built. The caller has seen to it that the reader may see them."""
    query = (
        sa.select(AtlasRow.id, AtlasRow.name, AtlasVersionRow)
        .join(AtlasVersionRow, AtlasVersionRow.atlas_no == AtlasRow.no)
        .where(AtlasRow.id.in_(atlases))
        .order_by(AtlasRow.no, AtlasVersionRow.published_at.is_(None), AtlasVersionRow.number.desc())
        .ext(distinct_on(AtlasRow.no))
    )
    if number is not None:
        query = query.where(AtlasVersionRow.number == number)
    rows = session.execute(query).all()
    being_built = _as_built(session, [version.atlas_no for _, _, version in rows if version.layers is None])
    found = {}
    for id, name, version in rows:
        there = being_built.get(version.atlas_no, ()) if version.layers is None else version.layers
        kept = sorted(there, key=lambda layer: layer["ordinal"])
        covered = {layer["layer"]: layer["shown_units"] for layer in kept}
        layers = {layer["layer_no"]: layer["layer"] for layer in kept}
        found[id] = ShownVersion(
            id, name, version.number, version.published_at, covered, layers, version.atlas_no
        )
    return found


def _as_built(session: Session, atlases: Sequence[int]) -> Mapping[int, Sequence[Mapping[str, Any]]]:
    """The layers of atlases as they stand, as published versions keep them."""
    found: dict[int, list[Mapping[str, Any]]] = {}
    for row in session.execute(_OF_JOBS, {"nos": [*atlases]}) if atlases else ():
        found.setdefault(row.atlas_no, []).append(dict(row._mapping))
    return found


def strips_of(
    session: Session, network: Network, shown: ShownVersion | None, layers: Sequence[str], most: int
) -> Mapping[str, Sequence[Glimpse]]:
    """Pictures of each of the layers, in their order: of the version, else the best that there are."""
    if shown is None:
        return strips.strips_of(session, OfBest(network.id, network.spec_sha256, layers), most)
    wanted = {no: name for no, name in shown.layers.items() if name in set(layers)}
    return strips.strips_of(session, OfVersion(shown.atlas_no, shown.number, wanted), most)


def _posters(
    session: Session, networks: Sequence[Network], shown: Sequence[ShownVersion | None], most: int
) -> Sequence[Sequence[Glimpse]]:
    without = [network.id for network, version in zip(networks, shown, strict=True) if version is None]
    names: dict[str, list[str]] = {}
    if without:
        blocks = sa.select(LayerRow.network_id, LayerRow.name).where(
            LayerRow.network_id.in_(without), LayerRow.is_current, _IS_BLOCK
        )
        for id, name in session.execute(blocks.order_by(LayerRow.ordinal)):
            names.setdefault(id, []).append(name)
    asked = [
        OfBest(network.id, network.spec_sha256, names.get(network.id, ()))
        if version is None
        else OfVersion(version.atlas_no, version.number, version.layers)
        for network, version in zip(networks, shown, strict=True)
    ]
    return strips.posters(session, asked, most)


def _layers(ids: Sequence[str]) -> sa.Select[*tuple[Any, ...]]:
    row = LayerRow
    return (
        sa.select(
            row.network_id,
            sa.func.count().label("layers"),
            sa.func.count().filter(_IS_BLOCK).label("blocks"),
            sa.func.sum(row.units).filter(_IS_BLOCK).label("units"),
        )
        .where(row.network_id.in_(ids), row.is_current)
        .group_by(row.network_id)
    )


def _atlases(ids: Sequence[str], by: Principal | None) -> sa.Select[*tuple[Any, ...]]:
    version = AtlasVersionRow
    return (
        sa.select(
            AtlasRow.network_id,
            sa.func.count(AtlasRow.no.distinct()).label("atlases"),
            sa.func.count(version.number).filter(version.published_at.is_not(None)).label("versions"),
            sa.func.coalesce(
                sa.func.max(AtlasRow.id).filter(version.published_at.is_not(None)), sa.func.max(AtlasRow.id)
            ).label("shown"),
        )
        .join(version, version.atlas_no == AtlasRow.no)
        .where(AtlasRow.network_id.in_(ids), seen_by(by))
        .group_by(AtlasRow.network_id)
    )
