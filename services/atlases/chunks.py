"""Expand an atlas chunk by chunk into bulk jobs: coarse to fine, so that it is worth a look after minutes.

First some units of every layer, then all units layer by layer, then the same with the next facet. Where an
atlas asks for candidates, a job makes those of its units together; its entries show the first of each, and
once the job has ended the best.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.candidates import candidate_seeds
from imago_engine.canonical import sha256_of
from imago_engine.units import read_units, written
from services.atlases.creation import candidates_of, open_version
from services.atlases.layer_plans import making_of
from services.atlases.tables import AtlasRow, AtlasVersionRow
from services.base.states import Lane
from services.catalog.layers import Layer, get_layer
from services.catalog.networks import Network, get_network
from services.jobs.making import Making
from services.jobs.planning import Plan, plan_layer
from services.jobs.submission import add_job
from services.pictures.best import CANDIDATES_BEST_FIRST

CHUNK = 5_000
"""Pictures of one job, and so of one transaction, at most."""
FIRST_UNITS = 16
"""Units of each layer that come before all others."""

_NEXT = text("""
    SELECT layer_no, layer, units, unit_count, facets, making, expanded,
        CASE WHEN expanded < least(unit_count, :first) THEN 0 ELSE 1 + expanded / unit_count END AS round
    FROM atlas_layers WHERE atlas_no = :no AND expanded < unit_count * facets
    ORDER BY round, ordinal, layer_no LIMIT 1
""")
# A layer that was given more units is gone through again from its beginning.
_THERE = text("""
    SELECT unit FROM atlas_entries
    WHERE atlas_no = :no AND layer_no = :layer AND unit BETWEEN :low AND :high AND facet = :facet
    AND until IS NULL
""")
_ENTER = text("""
    INSERT INTO atlas_entries (atlas_no, layer_no, unit, facet, since, digest)
    SELECT :no, :layer, item.unit, :facet, :since, item.digest
    FROM unnest(
        CAST(string_to_array(:units, ',') AS int[]), string_to_array(:digests, ',')
    ) AS item (unit, digest)
""")
_UNDECIDED = text("""
    SELECT id, layer_no, CAST(request -> 'seeds' ->> 0 AS int) AS facet FROM jobs
    WHERE atlas_no = :no AND undecided AND finished_at IS NOT NULL ORDER BY id LIMIT 1
""")
_BEST = f"""
    WITH best AS (
        SELECT DISTINCT ON (v.unit) v.unit, v.digest
        FROM job_visualizations jv JOIN visualizations v ON v.digest = jv.digest
        WHERE jv.job_id = :job AND v.state = 'done'
        ORDER BY v.unit, {CANDIDATES_BEST_FIRST.format(picture="v", item="jv")}
    ), other AS (
        SELECT e.unit, best.digest FROM atlas_entries e JOIN best ON best.unit = e.unit
        WHERE e.atlas_no = :no AND e.layer_no = :layer AND e.facet = :facet AND e.until IS NULL
        AND e.digest <> best.digest
    )
"""
# What was published stays: the next version has another one.
_SUPERSEDE = text(f"""
    {_BEST}, ended AS (
        UPDATE atlas_entries e SET until = :number FROM other
        WHERE e.atlas_no = :no AND e.layer_no = :layer AND e.facet = :facet AND e.unit = other.unit
        AND e.until IS NULL AND e.since < :number
        RETURNING e.unit, other.digest
    )
    INSERT INTO atlas_entries (atlas_no, layer_no, unit, facet, since, digest)
    SELECT :no, :layer, unit, :facet, :number, digest FROM ended RETURNING unit
""")
_SHOW = text(f"""
    {_BEST}
    UPDATE atlas_entries e SET digest = other.digest FROM other
    WHERE e.atlas_no = :no AND e.layer_no = :layer AND e.facet = :facet AND e.unit = other.unit
    AND e.until IS NULL AND e.since >= :number RETURNING e.unit
""")
_DECIDED = text("UPDATE jobs SET undecided = false WHERE id = :job")
# What was made of the open version is up to date while it was made of as many pictures as there are.
_OUTDATE = tuple(
    text(f"""
        UPDATE {table} SET pictures = pictures - 1 WHERE atlas_no = :no AND number = :number AND NOT final
    """)
    for table in ("atlas_sheets", "atlas_maps")
)
_EXPANDED = text("""
    UPDATE atlas_layers SET expanded = :expanded WHERE atlas_no = :no AND layer_no = :layer
""")


def expand_chunk(session: Session, atlas: AtlasRow) -> float | None:
    """Make the next job of an atlas, whose row the caller has locked, with its entries.

    Returns 0.0 where more may follow at once, a positive number where that has to wait for the network, and
    None where there is nothing left to expand, or the network is not any more the one that the atlas shows.
    """
    row = session.execute(_NEXT, {"no": atlas.no, "first": FIRST_UNITS}).first()
    if row is None:
        return None
    network, version = get_network(session, atlas.network_id), open_version(session, atlas.no)
    if network.state != "ready" or network.inspection_due:
        return 1.0  # also where that has failed: it may be registered again
    if network.spec_sha256 != version.network_sha256:
        return None
    facet, start = divmod(row.expanded, row.unit_count)
    end = min(start + CHUNK // candidates_of(version), row.unit_count)
    if row.round == 0:
        end = min(end, FIRST_UNITS)
    layer = get_layer(session, network.id, row.layer)
    units = _units(row.units, layer.units)[start:end]
    place = {"no": atlas.no, "layer": row.layer_no}
    window = {**place, "low": units[0], "high": units[-1], "facet": facet}
    there = set(session.scalars(_THERE, window))
    missing = [unit for unit in units if unit not in there] if there else units
    if missing:
        making = making_of(session, row.making)
        add_chunk(session, atlas, version, network, layer, row.layer_no, making, missing, facet)
    session.execute(_EXPANDED, {**place, "expanded": row.expanded + len(units)})
    return 0.0


def add_chunk(
    session: Session,
    atlas: AtlasRow,
    version: AtlasVersionRow,
    network: Network,
    layer: Layer,
    layer_no: int,
    making: Making,
    units: Sequence[int],
    facet: int,
) -> Plan:
    """Insert a job of these units of a layer, in this facet, with their entries; returns what it makes.

    The caller has locked the atlas. Locks items and jobs, so call it once in a transaction.
    """
    candidates = candidates_of(version)
    planned = plan_layer(network, layer, making, units, candidate_seeds(facet, candidates))
    request = _as_job(network, layer.name, making, units, facet, candidates)
    add_job(
        session,
        planned,
        request=request,
        lane=Lane.BULK,
        owner=atlas.owner_key_id,
        request_hash=sha256_of(request),
        atlas_layer=(atlas.no, layer_no),
        undecided=candidates > 1,
    )
    place = {"no": atlas.no, "layer": layer_no, "facet": facet, "since": version.number}
    session.execute(_ENTER, {**_columns(planned, facet), **place})
    return planned


@lru_cache(maxsize=2)
def _units(words: str, count: int) -> Sequence[int]:
    """Units of the layer that is being expanded: spelled out once, not for each chunk of it."""
    return read_units(words).of(count)


def choose(session: Session, atlas: AtlasRow, version: AtlasVersionRow) -> bool:
    """Let the entries of the next job that has ended show the best of its candidates; False where there is
    none. The caller has locked the atlas, whose open version this is: nothing of that is published yet.
    """
    job = session.execute(_UNDECIDED, {"no": atlas.no}).first()
    if job is None:
        return False
    place = {"no": atlas.no, "layer": job.layer_no, "facet": job.facet, "number": version.number}
    found = [
        session.execute(statement, {**place, "job": job.id}).first() for statement in (_SUPERSEDE, _SHOW)
    ]
    if any(found):
        for statement in _OUTDATE:
            session.execute(statement, {"no": atlas.no, "number": version.number})
    session.execute(_DECIDED, {"job": job.id})
    return True


def _columns(planned: Plan, facet: int) -> dict[str, Any]:
    """The first candidate of each unit."""
    first = [item for item in planned.items if item.seed == facet]
    return {
        "units": ",".join(str(item.unit) for item in first),
        "digests": ",".join(item.digest for item in first),
    }


def _as_job(
    network: Network, layer: str, making: Making, units: Sequence[int], facet: int, candidates: int
) -> dict[str, Any]:
    """What someone would have submitted to get the same job."""
    recipe = {"technique": making.recipe.technique, "parameters": dict(making.recipe.parameters)}
    target = {
        "layer": layer,
        "units": written(units),
        "position": None,
        "token": None,
        "recipe": recipe,
    }
    return {
        "network": network.id,
        "targets": [target],
        "generator": making.generator_id,
        "recipe": recipe,
        "seeds": [facet],
        "candidates": candidates,
        "lane": Lane.BULK.value,
    }
