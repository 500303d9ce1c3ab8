"""Expand an atlas chunk by chunk into bulk jobs: coarse to fine, so that it is worth a look after minutes.

First some units of every layer, then all units layer by layer, then the same with the next facet. Where an
atlas asks for candidates, a job makes those of its units together; its entries show the first of each until
`choosing` finds the best.
"""

from collections.abc import Sequence
from enum import Enum, auto
from functools import lru_cache
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.candidates import candidate_seeds
from imago_engine.canonical import sha256_of
from imago_engine.units import read_units, written
from services.atlases.layer_plans import making_of
from services.atlases.tables import AtlasRow, AtlasVersionRow
from services.atlases.versions import candidates_of, open_version
from services.base.states import Lane
from services.catalog.layers import Layer, get_layer
from services.catalog.networks import Network, get_network
from services.jobs.making import Making
from services.jobs.planning import Plan, plan_layer
from services.jobs.submission import add_job

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
_EXPANDED = text("""
    UPDATE atlas_layers SET expanded = :expanded WHERE atlas_no = :no AND layer_no = :layer
""")


class Expanded(Enum):
    """What a call of `expand_chunk` leaves to be expanded."""

    SOME = auto()
    """More may follow at once."""
    WAITS = auto()
    """What is left waits for the inspection of its network."""
    ALL = auto()
    """Nothing is left, or the network is not the one any more that the atlas shows."""


def expand_chunk(session: Session, atlas: AtlasRow) -> Expanded:
    """Make the next job of an atlas, whose row the caller has locked, with its entries."""
    row = session.execute(_NEXT, {"no": atlas.no, "first": FIRST_UNITS}).first()
    if row is None:
        return Expanded.ALL
    network, version = get_network(session, atlas.network_id), open_version(session, atlas.no)
    if not network.is_current:
        return Expanded.WAITS  # also where that has failed: it may be registered again
    if network.spec_sha256 != version.network_sha256:
        return Expanded.ALL
    facet, start = divmod(row.expanded, row.unit_count)
    end = min(start + CHUNK // candidates_of(version.request), row.unit_count)
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
    return Expanded.SOME


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
    candidates = candidates_of(version.request)
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
