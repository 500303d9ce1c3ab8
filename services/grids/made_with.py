"""A few of the pictures that were made with a generator, whatever job or atlas asked for them.

Everybody who may read sees every picture; what atlases hide is which of them they consist of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

LOOKED_AT = 400
"""Rows of a generator that are looked at, by its index: a generator may have made millions."""
# Some rows are taken before it is asked whether they are done: where all pictures of a generator wait,
# not each of them is looked at. The two comparisons say that the ids are the same: asked for in an order,
# rows come from the index, where for an `=` all of the table may be read if a generator has made little.
_MADE = text("""
    SELECT made.generator_id, made.network_id, made.layer, made.unit, made.digest
    FROM unnest(CAST(:generators AS text[])) AS g (id)
    CROSS JOIN LATERAL (
        SELECT DISTINCT ON (network_id, layer, unit) * FROM (
            SELECT generator_id, network_id, layer, unit, digest, state, score FROM visualizations
            WHERE generator_id >= g.id AND generator_id <= g.id ORDER BY generator_id LIMIT :looked_at
        ) AS taken
        WHERE state = 'done'
        ORDER BY network_id, layer, unit, score DESC NULLS LAST, digest
    ) AS made
    ORDER BY made.network_id, made.layer, made.unit
""")


@dataclass(frozen=True)
class MadeWith:
    """A picture and its unit."""

    network: str
    layer: str
    unit: int
    digest: str


def made_with(session: Session, generators: Sequence[str], most: int) -> Mapping[str, Sequence[MadeWith]]:
    """At most so many pictures of each generator, by its id: one of a unit, and units far from each other,
    since neighbours are often of one kind. A generator without any is left out."""
    found: dict[str, list[MadeWith]] = {}
    given = {"generators": list(generators), "looked_at": LOOKED_AT}
    for row in session.execute(_MADE, given):
        made = MadeWith(row.network_id, row.layer, row.unit, row.digest)
        found.setdefault(row.generator_id, []).append(made)
    return {
        id: [made[at * len(made) // most] for at in range(most)] if len(made) > most else made
        for id, made in found.items()
    }
