"""Pause, resume, cancel, extend, retry, rename and delete atlases.

Each notes what is wanted, in the caller's transaction; workers carry it out (`services.atlases.building`),
so ring the doorbell after the commit. `by` is who asks, None for the operator of the service. All raise
`NotFound`, or `Forbidden` for another's atlas.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.units import UnitsError, read_units, written
from services.access.keys import Principal
from services.atlases import progress, subjects
from services.atlases.atlas_request import AtlasChange, AtlasExtension
from services.atlases.creation import generator_of, layer_row
from services.atlases.layer_plans import MOST_PICTURES, LayerPlan, plan_layers
from services.atlases.tables import AtlasLayerRow, AtlasRow
from services.atlases.versions import candidates_of, open_version
from services.atlases.visibility import atlas_to_change
from services.base.errors import Conflict, Invalid
from services.base.states import AtlasState, AtlasWish
from services.catalog.layer_selection import by_name
from services.catalog.networks import Network, get_network
from services.jobs.job_request import RecipeRequest

_ANY_FAILED = text("SELECT FROM jobs WHERE atlas_no = :no AND failed > 0 LIMIT 1")


def pause(session: Session, id: str, *, by: Principal | None = None) -> AtlasRow:
    """Begin nothing new of it; what is being computed ends. Pausing again changes nothing.

    `Conflict` for one that was canceled, or that is complete.
    """
    row = _changing(session, id, by)
    if row.wish == AtlasWish.CANCEL:
        raise Conflict(f"The atlas {id} was canceled; there is nothing to pause.")
    _check_goes_on(session, row, "pause")
    row.wish = AtlasWish.PAUSE
    return row


def cancel(session: Session, id: str, *, by: Principal | None = None) -> AtlasRow:
    """Want no more of it than is done. Canceling again changes nothing.

    `Conflict` for one that is complete.
    """
    row = _changing(session, id, by)
    _check_goes_on(session, row, "cancel")
    row.wish = AtlasWish.CANCEL
    return row


def resume(session: Session, id: str, *, by: Principal | None = None) -> AtlasRow:
    """Go on with one that was paused or canceled. `Conflict` where the network has other weights now."""
    row = _changing(session, id, by)
    check_current(session, row)
    row.wish = AtlasWish.BUILD
    return row


def retry(session: Session, id: str, *, by: Principal | None = None) -> AtlasRow:
    """Queue what failed again, with all its attempts. `Conflict` where nothing has failed, while it is paused
    or canceled, or where the network has other weights now.
    """
    row = _changing(session, id, by)
    check_current(session, row)
    if row.wish != AtlasWish.BUILD:
        raise Conflict(f"The atlas {id} is not being built; resume it first: POST /v1/atlases/{id}/resume.")
    if session.execute(_ANY_FAILED, {"no": row.no}).first() is None:
        raise Conflict(f"Nothing of the atlas {id} has failed.")
    row.retry_after = ""
    return row


def extend(session: Session, id: str, extension: AtlasExtension, *, by: Principal | None = None) -> AtlasRow:
    """Add layers, units or facets. It goes on if it was paused or canceled.

    Raises `Invalid` for wrong fields and for what would take something away, `Conflict` where the network has
    other weights now.
    """
    row = _changing(session, id, by)
    network = check_current(session, row)
    version = open_version(session, row.no)
    query = sa.select(AtlasLayerRow).where(AtlasLayerRow.atlas_no == row.no)
    there = {layer.layer: layer for layer in session.scalars(query)}
    before = _sizes(there.values())
    if extension == AtlasExtension():
        raise Invalid.field("", "names nothing to add: expected layers, units or facets")
    facets = extension.facets or version.request["facets"]
    if facets < version.request["facets"]:
        had = version.request["facets"]
        raise Invalid.field("/facets", f"must be at least {had}, as the atlas has; got {facets}")
    wanted: Sequence[LayerPlan] = ()
    if extension.layers is not None or extension.units is not None:
        wanted = plan_layers(
            session,
            network,
            layers=[by_name(name) for name in there] if extension.layers is None else extension.layers,
            units=version.request["units"] if extension.units is None else extension.units,
            facets=facets,
            candidates=candidates_of(version.request),
            recipe=RecipeRequest.model_validate(version.request["recipe"]),
            generator=version.request["generator"],
            pinned=version.generator_id,
        )
    for layer in there.values():
        layer.facets = facets
    last = max((layer.layer_no for layer in there.values()), default=-1)
    for plan in wanted:
        if plan.layer.name not in there:
            last += 1
            session.add(layer_row(row.no, last, plan))
        elif extension.units is not None:
            _add_units(there[plan.layer.name], plan)
    session.flush()
    _check_size(session, row.no, candidates_of(version.request))
    version.generator_id = version.generator_id or generator_of(wanted)
    if _sizes(session.scalars(query)) != before:
        # What was asked for once more, perhaps since the answer was lost, is remembered once.
        version.request = _extended(version.request, extension, facets)
    row.wish = AtlasWish.BUILD
    return row


def change(session: Session, id: str, asked: AtlasChange, *, by: Principal | None = None) -> AtlasRow:
    """Give it another name or other readers."""
    row = atlas_to_change(session, id, by)
    row.name = asked.name or row.name
    row.visibility = asked.visibility or row.visibility
    return row


def delete(session: Session, id: str, *, by: Principal | None = None) -> None:
    """Nobody sees it from the commit on; its rows go little by little. Its pictures stay, and its idempotency
    key is free for another one.
    """
    row = _changing(session, id, by)
    row.wish, row.idempotency_key = AtlasWish.DELETE, None


def check_current(session: Session, row: AtlasRow) -> Network:
    """The network of an atlas that can grow. Raises `Conflict` where it has other weights than the pictures
    of the atlas were made of.
    """
    network = get_network(session, row.network_id)
    if network.spec_sha256 != open_version(session, row.no).network_sha256:
        raise Conflict(
            f"The network {network.id!r} is not the one any more that the atlas {row.id} shows: its weights "
            "or how it is run have changed. What the atlas has stays readable; make a new atlas of the "
            "network as it is now: POST /v1/atlases."
        )
    return network


def _check_goes_on(session: Session, row: AtlasRow, verb: str) -> None:
    """Raises `Conflict` for an atlas that is complete: it would be said to lack what it has."""
    if progress.states(session, [row])[row.no] == AtlasState.COMPLETE:
        raise Conflict(f"The atlas {row.id} is complete; there is nothing to {verb}.")


def _changing(session: Session, id: str, by: Principal | None) -> AtlasRow:
    # Workers lock what is planned before the atlas. What is planned for an atlas that there is not, or that
    # is another's, is undone with the transaction.
    subjects.plan(session, id)
    return atlas_to_change(session, id, by)


def _sizes(layers: Iterable[AtlasLayerRow]) -> Mapping[str, tuple[int, int]]:
    """Units and facets of each layer."""
    return {row.layer: (row.unit_count, row.facets) for row in layers}


def _add_units(row: AtlasLayerRow, plan: LayerPlan) -> None:
    count = plan.layer.units
    units = sorted({*read_units(row.units).of(count), *read_units(plan.units).of(count)})
    if len(units) == row.unit_count:
        return
    row.units = "all" if len(units) == count else _joined(row.units, plan.units, units, count)
    row.unit_count = len(units)
    row.expanded = 0


def _joined(before: str, added: str, units: Sequence[int], count: int) -> str:
    """Words for all of these units. Raises `Invalid` where there are none short enough to be kept."""
    for words in (f"{before},{added}", written(units)):
        with suppress(UnitsError):
            if read_units(words).of(count) == units:
                return words
    raise Invalid.field("/units", "are too many single ones beside those that there are; add ranges, or all")


def _check_size(session: Session, atlas_no: int, candidates: int) -> None:
    pictures = sa.func.sum(sa.cast(AtlasLayerRow.unit_count, sa.BigInteger) * AtlasLayerRow.facets)
    total = session.scalar(sa.select(pictures).where(AtlasLayerRow.atlas_no == atlas_no)) or 0
    total *= candidates
    if total > MOST_PICTURES:
        raise Invalid.field("", f"makes {total} pictures; an atlas may have {MOST_PICTURES}")


def _extended(request: Mapping[str, Any], extension: AtlasExtension, facets: int) -> dict[str, Any]:
    """What is remembered of all that was asked for."""
    asked = extension.model_dump(mode="json", exclude_none=True)
    return {**request, "facets": facets, "extensions": [*request.get("extensions", []), asked]}
