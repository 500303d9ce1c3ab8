"""Read the units that a version of an atlas shows, with their facets, in pages or one after the other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.networks import OUTPUT_ALIASES
from services.access.keys import Principal
from services.atlases.atlases import version_row
from services.atlases.tables import AtlasLayerRow, AtlasRow
from services.atlases.visibility import atlas_row
from services.base.database import Database
from services.base.errors import NotFound
from services.base.paging import Key, Keyset, Page, streamed
from services.base.states import State
from services.catalog.layers import get_layer, labels_of_layer

_AT_ONCE = 200
_KEYSET = Keyset("atlas-units", (int,))
_PAGE = text("""
    SELECT e.unit, e.facet, e.digest, v.state, v.activation, v.error
    FROM atlas_entries e JOIN visualizations v ON v.digest = e.digest
    WHERE e.atlas_no = :no AND e.layer_no = :layer AND e.unit > :after AND e.facet < :facets
    AND e.since <= :number AND (e.until IS NULL OR e.until > :number)
    ORDER BY e.unit, e.facet LIMIT :most
""")
_BESIDE = text("""
    SELECT max(unit) FILTER (WHERE unit < :unit) AS before, max(unit) FILTER (WHERE unit > :unit) AS after
    FROM (
        (SELECT unit FROM atlas_entries
        WHERE atlas_no = :no AND layer_no = :layer AND unit < :unit AND facet < :facets
        AND since <= :number AND (until IS NULL OR until > :number) ORDER BY unit DESC LIMIT 1)
        UNION ALL
        (SELECT unit FROM atlas_entries
        WHERE atlas_no = :no AND layer_no = :layer AND unit > :unit AND facet < :facets
        AND since <= :number AND (until IS NULL OR until > :number) ORDER BY unit LIMIT 1)
    ) AS beside
""")
_PICTURE = text("""
    SELECT digest FROM atlas_entries
    WHERE atlas_no = :no AND layer_no = :layer AND unit = :unit AND facet = :facet
    AND since <= :number AND (until IS NULL OR until > :number)
""")


@dataclass(frozen=True)
class Facet:
    """A picture of a unit: `facet` is its seed, or that of the first of its candidates."""

    facet: int
    digest: str
    state: State
    activation: float | None
    error: Mapping[str, Any] | None


@dataclass(frozen=True)
class AtlasUnit:
    """A unit of an atlas with those of its facets that the version has. `label`: as in `catalog.layers`."""

    network: str
    layer: str
    unit: int
    label: str | None
    facets: tuple[Facet, ...]


@dataclass(frozen=True)
class Units:
    """The units of one layer in one version. `number` is the version's, `shows` as in its row."""

    atlas: str
    number: int
    shows: int
    published: bool
    atlas_no: int
    network: str
    layer_no: int
    layer: str
    facets: int
    labels: Sequence[str]

    def read(self, session: Session, after: int, most: int) -> list[AtlasUnit]:
        """Up to so many units that follow the unit `after`."""
        place = {"no": self.atlas_no, "layer": self.layer_no, "number": self.shows, "after": after}
        # Facets that were added since are left out, so that all of each unit are among so many rows.
        bounds = {"facets": self.facets, "most": most * self.facets}
        rows = session.execute(_PAGE, {**place, **bounds}).all()
        units = [(unit, tuple(map(_facet, found))) for unit, found in groupby(rows, lambda row: row.unit)]
        return [
            AtlasUnit(
                self.network,
                self.layer,
                unit,
                self.labels[unit] if unit < len(self.labels) else None,
                facets,
            )
            for unit, facets in units[:most]
        ]

    def beside(self, session: Session, unit: int) -> tuple[int | None, int | None]:
        """The units that the version has next before and after one, None where there is none."""
        place = {"no": self.atlas_no, "layer": self.layer_no, "number": self.number, "unit": unit}
        found = session.execute(_BESIDE, {**place, "facets": self.facets}).one()
        return found.before, found.after

    def page(self, session: Session, cursor: str | None, limit: int) -> Page[AtlasUnit]:
        """Raises `Invalid` for a wrong cursor or limit."""

        def read(after: Key | None, most: int) -> Sequence[AtlasUnit]:
            return self.read(session, -1 if after is None else int(after[0]), most)

        return _KEYSET.page(cursor, limit, read, lambda unit: [unit.unit])

    def after(self, cursor: str | None) -> int:
        """The unit that a cursor stands behind, -1 for None. Raises `Invalid` for a wrong one."""
        return -1 if cursor is None else int(_KEYSET.key_in(cursor)[0])

    def all(self, database: Database, after: int = -1) -> Iterator[AtlasUnit]:
        """Every unit after that one, as `paging.streamed` reads."""
        return streamed(database, self.read, after, lambda unit: unit.unit, at_once=_AT_ONCE)


def units_of(session: Session, id: str, version: str, layer: str, *, by: Principal | None = None) -> Units:
    """The units of a layer of an atlas, in a version: see `atlases.version_row`. Raises `NotFound`."""
    row = atlas_row(session, id, by)
    found = version_row(session, row, version)
    at = _layer(session, row, layer)
    if at is None and layer in OUTPUT_ALIASES:
        at = _layer(session, row, get_layer(session, row.network_id, layer, or_former=True).name)
    if at is None or (found.layers is not None and at.layer_no not in _numbers(found.layers)):
        raise NotFound("layer", layer, f"Version {found.number} of the atlas {id} does not show it.")
    return Units(
        row.id,
        found.number,
        found.shows,
        found.published_at is not None,
        row.no,
        row.network_id,
        at.layer_no,
        at.layer,
        at.facets,
        labels_of_layer(session, row.network_id, at.layer),
    )


def picture_of(
    session: Session,
    id: str,
    version: str,
    *,
    network: str,
    layer: str,
    unit: int,
    facet: int,
    by: Principal | None = None,
) -> str:
    """The digest of a picture that an atlas shows in a version. Raises `NotFound`, as `units_of` does."""
    units = units_of(session, id, version, layer, by=by)
    place = f"{layer}/{unit}"
    if units.network != network:
        raise NotFound("unit", f"{network}/{place}", f"The atlas {id} shows {units.network}.")
    at = {"no": units.atlas_no, "layer": units.layer_no, "number": units.shows, "unit": unit, "facet": facet}
    digest: str | None = session.execute(_PICTURE, at).scalar()
    if digest is None:
        raise NotFound(
            "facet", f"{place}/{facet}", f"Version {units.number} of the atlas {id} has no such one."
        )
    return digest


def _layer(session: Session, row: AtlasRow, name: str) -> AtlasLayerRow | None:
    query = sa.select(AtlasLayerRow).where(AtlasLayerRow.atlas_no == row.no, AtlasLayerRow.layer == name)
    return session.scalars(query).first()


def _numbers(layers: Sequence[Mapping[str, Any]]) -> set[int]:
    return {layer["layer_no"] for layer in layers}


def _facet(row: Any) -> Facet:
    return Facet(row.facet, row.digest, State(row.state), row.activation, row.error)
