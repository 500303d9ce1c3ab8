"""What an atlas or an extension of one would take, before it is made: pictures, those that are known, time
and bytes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.candidates import candidate_seeds
from imago_engine.units import read_units
from services.access.keys import Principal
from services.atlases.atlas_request import AtlasExtension, AtlasRequest
from services.atlases.creation import plan_atlas
from services.atlases.extensions import ExtensionPlan, GrownLayer, plan_extension
from services.atlases.layer_plans import LayerPlan, making_of
from services.atlases.progress import kind_kept
from services.atlases.versions import candidates_of
from services.atlases.visibility import atlas_row
from services.base.errors import Conflict
from services.base.states import Lane
from services.catalog.layers import Layer, get_layer
from services.catalog.networks import Network
from services.estimates import forecast
from services.estimates.cost_model import Kind, Seconds
from services.estimates.estimates import Part, Queue, Waiting
from services.jobs.making import Making
from services.jobs.planning import plan_layer
from services.queue.queue_order import next_turn

EXACT_UP_TO = 20_000
"""Pictures that are looked up one by one; of more, so many are looked up and stand for all."""
_SIZED = 200
"""Pictures whose bytes are added up to know those of one."""

_KNOWN = text("""
    SELECT count(*) FROM visualizations
    WHERE digest = ANY(CAST(:digests AS text[])) AND state IN ('done', 'unreachable')
""")
# Of this network where there are any, else of any: codes, traces and crops are of like sizes.
_BYTES = text("""
    SELECT sum(bytes) / nullif(count(DISTINCT digest), 0) FROM artifacts WHERE digest IN (
        SELECT digest FROM visualizations
        WHERE network_id = coalesce(:network, network_id) AND state = 'done' LIMIT :most
    )
""")


@dataclass(frozen=True)
class LayerPictures:
    """Pictures of a layer that are to be made: in each part, these units in these facets, each with so many
    candidates. No picture is in two parts.
    """

    layer: Layer
    making: Making
    kind: Kind
    parts: Sequence[tuple[Sequence[int], range]]
    candidates: int

    @property
    def unit_count(self) -> int:
        """Units of which pictures are to be made."""
        return sum(len(units) for units, facets in self.parts if facets)

    @property
    def count(self) -> int:
        """All candidates of all units in all facets."""
        return sum(len(units) * len(facets) for units, facets in self.parts) * self.candidates


@dataclass(frozen=True)
class LayerEstimate:
    """`cached` is how many of its pictures are known already, about so many where not `exact`. `seconds` is
    what all workers together need for the others; None where nothing tells it.
    """

    pictures: LayerPictures
    cached: int
    exact: bool
    seconds: Seconds | None


@dataclass(frozen=True)
class AtlasEstimate:
    """`seconds` is what the workers need for it alone, `eta` until it is done, with all that goes before it.
    `bytes` are those that it adds to the store, `room` those that the store has left; None where nothing
    tells it.
    """

    network: str
    generator: str | None
    layers: Sequence[LayerEstimate]
    pictures: int
    cached: int
    exact: bool
    seconds: Seconds | None
    eta: Seconds | None
    bytes: int | None
    room: int | None

    @property
    def fits(self) -> bool:
        """False where the store plainly lacks the room."""
        return self.bytes is None or self.room is None or self.bytes <= self.room


def estimate(
    session: Session, request: AtlasRequest, *, owner: str | None = None, room: int | None = None
) -> AtlasEstimate:
    """What this atlas would take, made by the key `owner`. `room`: bytes that the store has left, None where
    nobody knows.

    Raises as `creation.plan_atlas` does.
    """
    planned = plan_atlas(session, request)
    layers = [_of_plan(plan) for plan in planned.layers]
    return _estimate(session, planned.network, planned.generator, layers, owner, room)


def estimate_extension(
    session: Session,
    id: str,
    extension: AtlasExtension,
    *,
    by: Principal | None = None,
    room: int | None = None,
) -> AtlasEstimate:
    """What the same extension would add to an atlas that `by` sees.

    Raises `NotFound`, or as `extensions.plan_extension` does.
    """
    row = atlas_row(session, id, by)
    return _of_extension(session, plan_extension(session, row, extension), row.owner_key_id, room)


def check_room_for(session: Session, request: AtlasRequest, room: int | None) -> None:
    """Raises `Conflict` where the store plainly lacks the room for an atlas, or as `estimate` does."""
    if room is not None:
        _check_fits(estimate(session, request, room=room), "this atlas")


def check_room_for_extension(session: Session, planned: ExtensionPlan, room: int | None) -> None:
    """Raises `Conflict` where the store plainly lacks the room for what an extension adds."""
    if room is not None:
        _check_fits(_of_extension(session, planned, None, room), "this extension")


def _check_fits(found: AtlasEstimate, what: str) -> None:
    if not found.fits:
        raise Conflict(
            f"The store has room for {found.room} bytes, and {what} would add about {found.bytes}; ask "
            "for fewer layers, units or facets, or give the store more room."
        )


def _of_plan(plan: LayerPlan) -> LayerPictures:
    units = read_units(plan.units).of(plan.layer.units)
    return LayerPictures(plan.layer, plan.making, plan.kind, [(units, range(plan.facets))], plan.candidates)


def _of_extension(
    session: Session, planned: ExtensionPlan, owner: str | None, room: int | None
) -> AtlasEstimate:
    grown = [_of_grown(session, planned, each) for each in planned.grown]
    layers = [*grown, *(_of_plan(plan) for plan in planned.added)]
    layers.sort(key=lambda each: each.layer.ordinal)
    return _estimate(session, planned.network, planned.generator, layers, owner, room)


def _of_grown(session: Session, planned: ExtensionPlan, grown: GrownLayer) -> LayerPictures:
    """What a layer is given: all facets of units that are new, and further facets of those that it has."""
    row, network = grown.row, planned.network.id
    layer = get_layer(session, network, row.layer, or_former=True)
    had = read_units(row.units).of(layer.units)
    new = sorted({*read_units(grown.units).of(layer.units)} - {*had})
    parts = [(new, range(grown.facets)), (had, range(row.facets, grown.facets))]
    candidates = candidates_of(planned.version.request)
    making = making_of(session, row.making)
    return LayerPictures(layer, making, kind_kept(network, row), parts, candidates)


def _estimate(
    session: Session,
    network: Network,
    generator: str | None,
    pictures: Sequence[LayerPictures],
    owner: str | None,
    room: int | None,
) -> AtlasEstimate:
    queue = forecast.with_costs(session, forecast.read(session), [each.kind for each in pictures])
    alone = replace(queue, jobs=[], batches=[], held={}, unread=1.0)
    total = sum(each.count for each in pictures)
    looked_up = None if total <= EXACT_UP_TO else max(EXACT_UP_TO // len(pictures), 1)
    layers = [_layer(session, network, each, looked_up, alone) for each in pictures]
    cached = sum(layer.cached for layer in layers)
    parts = [Part(layer.pictures.kind, layer.pictures.count - layer.cached) for layer in layers]
    each = _bytes_of_one(session, network.id) if total > cached else 0
    return AtlasEstimate(
        network.id,
        generator,
        layers,
        total,
        cached,
        all(layer.exact for layer in layers),
        _until_done(alone, parts),
        _until_done(queue, parts, next_turn(session, Lane.BULK, owner)),
        None if each is None else each * (total - cached),
        room,
    )


def _layer(
    session: Session, network: Network, pictures: LayerPictures, looked_up: int | None, queue: Queue
) -> LayerEstimate:
    every = 1 if looked_up is None else max(-(-pictures.count // looked_up), 1)
    digests: list[str] = []
    for units, facets in pictures.parts:
        seeds = [seed for facet in facets for seed in candidate_seeds(facet, pictures.candidates)]
        if units and seeds:
            # Evenly over the units; seeds are made in their order, so each is looked at.
            chosen = units[:: min(every, len(units))]
            items = plan_layer(network, pictures.layer, pictures.making, chosen, seeds).items
            digests += [item.digest for item in items]
    known = session.execute(_KNOWN, {"digests": digests}).scalar_one()
    exact = len(digests) == pictures.count
    cached = known if exact else round(known / len(digests) * pictures.count)
    seconds = _until_done(queue, [Part(pictures.kind, pictures.count - cached)])
    return LayerEstimate(pictures, cached, exact, seconds)


def _until_done(queue: Queue, parts: Sequence[Part], turn: int = 0) -> Seconds | None:
    left = [part for part in parts if part.items]
    if not left:
        return Seconds(0, 0, 0)
    items = sum(part.items for part in left)
    return queue.until_done(Waiting("", Lane.BULK, turn, turn + items, items, left))


def _bytes_of_one(session: Session, network: str) -> int | None:
    for wanted in (network, None):
        found = session.execute(_BYTES, {"network": wanted, "most": _SIZED}).scalar()
        if found is not None:
            return int(found)
    return None
