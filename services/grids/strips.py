"""A few pictures that stand for a layer or a network: read at once for all layers, a bounded look at each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

_LOOKED_AT = 120
"""Pictures of a layer that are looked at: some are not done."""
_OF_VERSION = text("""
    SELECT l.layer_no AS layer, seen.unit, seen.digest, a.width, a.height
    FROM unnest(CAST(:layers AS int[])) AS l (layer_no)
    CROSS JOIN LATERAL (
        SELECT unit, digest FROM atlas_entries
        WHERE atlas_no = :no AND layer_no = l.layer_no AND facet = 0
        AND since <= :number AND (until IS NULL OR until > :number)
        ORDER BY unit LIMIT :looked_at
    ) AS seen
    JOIN visualizations v ON v.digest = seen.digest AND v.state = 'done'
    LEFT JOIN artifacts a ON a.digest = seen.digest AND a.kind = 'image'
    ORDER BY l.layer_no, seen.unit
""")
_OF_BEST = text("""
    SELECT l.name AS layer, seen.unit, seen.digest, a.width, a.height
    FROM unnest(CAST(:layers AS text[])) AS l (name)
    CROSS JOIN LATERAL (
        SELECT unit, digest, state, network_sha256 FROM visualizations
        WHERE network_id = :network AND layer = l.name ORDER BY unit, digest LIMIT :looked_at
    ) AS seen
    LEFT JOIN artifacts a ON a.digest = seen.digest AND a.kind = 'image'
    WHERE seen.state = 'done' AND seen.network_sha256 = :sha256
    ORDER BY l.name, seen.unit
""")


@dataclass(frozen=True)
class Glimpse:
    """A picture of a unit. `side`: pixels of its longer side, None where nobody noted it."""

    layer: str
    unit: int
    digest: str
    side: int | None


def of_version(
    session: Session, atlas_no: int, number: int, layers: Mapping[int, str], most: int
) -> Mapping[str, Sequence[Glimpse]]:
    """Pictures of each layer of a version of an atlas, by its name; `layers` by their numbers."""
    given = {"no": atlas_no, "number": number, "layers": list(layers), "looked_at": _LOOKED_AT}
    rows = session.execute(_OF_VERSION, given).all()
    return {
        name: _spread([row for row in rows if row.layer == no], name, most) for no, name in layers.items()
    }


def of_best(
    session: Session, network: str, network_sha256: str | None, layers: Sequence[str], most: int
) -> Mapping[str, Sequence[Glimpse]]:
    """Pictures of each layer, whatever atlas they are in."""
    given = {"network": network, "sha256": network_sha256, "layers": list(layers), "looked_at": _LOOKED_AT}
    rows = session.execute(_OF_BEST, given).all()
    return {name: _spread([row for row in rows if row.layer == name], name, most) for name in layers}


def poster(strips: Mapping[str, Sequence[Glimpse]], most: int) -> Sequence[Glimpse]:
    """Pictures that stand for a network: of its later layers, which show things, where the first show edges.

    The deepest layer comes first, and layers take turns.
    """
    with_pictures = [strip for strip in strips.values() if strip]
    later = with_pictures[len(with_pictures) // 3 :][::-1]
    turns = [
        strip[turn] for turn in range(max(map(len, later), default=0)) for strip in later if turn < len(strip)
    ]
    return turns[:most]


def _spread(rows: Sequence[Any], layer: str, most: int) -> Sequence[Glimpse]:
    """Some of the rows, of one unit each, evenly from the first to the last."""
    units = list({row.unit: row for row in rows}.values())
    chosen = units if len(units) <= most else [units[at * len(units) // most] for at in range(most)]
    return [
        Glimpse(layer, row.unit, row.digest, None if row.width is None else max(row.width, row.height))
        for row in chosen
    ]
