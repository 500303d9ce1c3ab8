"""What there is of each of some networks: layers, units, atlases, how much is covered, pictures for a card.

A handful of statements for all networks together, and none that counts pictures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.access.keys import Principal
from services.atlases.tables import AtlasLayerRow, AtlasRow, AtlasVersionRow
from services.atlases.visibility import seen_by
from services.catalog.networks import Network
from services.catalog.tables import LayerRow
from services.grids import strips
from services.grids.strips import Glimpse

_IS_BLOCK = sa.or_(LayerRow.role.is_not(None), LayerRow.kind == "output")
_OF_JOBS = text("""
    SELECT layer_no, sum(done) + sum(unreachable) AS ended FROM jobs WHERE atlas_no = :no GROUP BY layer_no
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
    found = []
    for network in networks:
        there, atlases = layers.get(network.id), counted.get(network.id)
        shown = None if atlases is None else shown_version(session, atlases.shown)
        found.append(
            Overview(
                network,
                there.layers if there else 0,
                there.blocks if there else 0,
                int(there.units or 0) if there else 0,
                atlases.atlases if atlases else 0,
                atlases.versions if atlases else 0,
                shown,
                _poster(session, network, shown, pictures),
            )
        )
    return found


def shown_version(session: Session, atlas: str, number: int | None = None) -> ShownVersion | None:
    """A version of an atlas: of this number, else the newest that was published or the one that is being
    built. The caller has seen to it that the reader may see it."""
    query = (
        sa.select(AtlasRow.no, AtlasRow.name, AtlasVersionRow)
        .join(AtlasVersionRow, AtlasVersionRow.atlas_no == AtlasRow.no)
        .where(AtlasRow.id == atlas)
        .order_by(AtlasVersionRow.published_at.is_(None), AtlasVersionRow.number.desc())
        .limit(1)
    )
    if number is not None:
        query = query.where(AtlasVersionRow.number == number)
    found = session.execute(query).first()
    if found is None:
        return None
    no, name, version = found
    if version.layers is not None:
        kept = sorted(version.layers, key=lambda layer: layer["ordinal"])
        covered = {layer["layer"]: layer["shown_units"] for layer in kept}
        layers = {layer["layer_no"]: layer["layer"] for layer in kept}
    else:
        ended = {row.layer_no: int(row.ended) for row in session.execute(_OF_JOBS, {"no": no})}
        asked = sa.select(AtlasLayerRow).where(AtlasLayerRow.atlas_no == no).order_by(AtlasLayerRow.ordinal)
        rows = session.scalars(asked).all()
        covered = {row.layer: min(row.unit_count, ended.get(row.layer_no, 0)) for row in rows}
        layers = {row.layer_no: row.layer for row in rows}
    return ShownVersion(atlas, name, version.number, version.published_at, covered, layers, no)


def strips_of(
    session: Session, network: Network, shown: ShownVersion | None, layers: Sequence[str], most: int
) -> Mapping[str, Sequence[Glimpse]]:
    """Pictures of each of the layers, in their order: of the version, else the best that there are."""
    if shown is None:
        return strips.of_best(session, network.id, network.spec_sha256, layers, most)
    wanted = {no: name for no, name in shown.layers.items() if name in set(layers)}
    return strips.of_version(session, shown.atlas_no, shown.number, wanted, most)


def _poster(session: Session, network: Network, shown: ShownVersion | None, most: int) -> Sequence[Glimpse]:
    if network.state != "ready":
        return ()
    if shown is not None:
        names = list(shown.layers.values())
    else:
        row = LayerRow
        blocks = sa.select(row.name).where(row.network_id == network.id, row.is_current, _IS_BLOCK)
        names = list(session.scalars(blocks.order_by(row.ordinal)))
    # The deepest are shown; the others are looked at where these have no pictures yet.
    for some in (names[-2 * most :], names):
        if found := strips.poster(strips_of(session, network, shown, some, most), most):
            return found
    return ()


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
