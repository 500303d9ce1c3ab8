"""Look up some units of a map: the picture that stands for each, its activation, its label."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.access.keys import Principal
from services.atlases.atlases import version_row
from services.atlases.visibility import atlas_row

MOST = 200
"""Units of one request."""
_SHOWN = text("""
    SELECT DISTINCT ON (asked.at) asked.at, l.layer, e.unit, e.facet, e.digest, v.activation,
        s.label, s.probability
    FROM unnest(CAST(:layers AS text[]), CAST(:units AS int[])) WITH ORDINALITY AS asked (layer, unit, at)
    JOIN atlas_layers l ON l.atlas_no = :no AND l.layer = asked.layer
    JOIN atlas_entries e ON e.atlas_no = :no AND e.layer_no = l.layer_no AND e.unit = asked.unit
        AND e.since <= :number AND (e.until IS NULL OR e.until > :number)
    JOIN visualizations v ON v.digest = e.digest AND v.state = 'done'
    LEFT JOIN picture_labels s ON s.digest = e.digest AND s.rank = 1
    ORDER BY asked.at, e.facet
""")


@dataclass(frozen=True)
class MappedUnit:
    """A unit, with the first of its facets that is done. `label` is the class that its network sees in the
    picture."""

    layer: str
    unit: int
    facet: int
    digest: str
    activation: float | None
    label: str | None
    probability: float | None


def units(
    session: Session,
    id: str,
    version: str,
    places: Sequence[tuple[int, int]],
    names: Sequence[str],
    *,
    by: Principal | None = None,
) -> list[MappedUnit]:
    """The units of these pairs (index into `names`, unit), in their order, without those that the version
    does not show. `names` are the layers of the map."""
    row = atlas_row(session, id, by)
    found = version_row(session, row, version)
    named = [(names[layer], unit) for layer, unit in places if layer < len(names)]
    asked = {"no": row.no, "number": found.number}
    lists = {"layers": [layer for layer, _ in named], "units": [unit for _, unit in named]}
    return [
        MappedUnit(
            each.layer, each.unit, each.facet, each.digest, each.activation, each.label, each.probability
        )
        for each in session.execute(_SHOWN, {**asked, **lists})
    ]
