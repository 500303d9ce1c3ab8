"""What an atlas would take, before it is made: pictures, those that are known, time and bytes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.candidates import candidate_seeds
from imago_engine.units import read_units
from services.atlases.atlas_request import AtlasRequest
from services.atlases.creation import AtlasPlan, plan_atlas
from services.atlases.layer_plans import LayerPlan
from services.base.errors import Conflict
from services.base.states import Lane
from services.estimates import forecast
from services.estimates.cost_model import Seconds
from services.estimates.estimates import Part, Queue, Waiting
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
class LayerEstimate:
    """`cached` is how many of its pictures are known already, about so many where not `exact`. `seconds` is
    what all workers together need for the others; None where nothing tells it.
    """

    plan: LayerPlan
    cached: int
    exact: bool
    seconds: Seconds | None


@dataclass(frozen=True)
class AtlasEstimate:
    """`seconds` is what the workers need for it alone, `eta` until it is done, with all that goes before it.
    `bytes` are those that it adds to the store, `room` those that the store has left; None where nothing
    tells it.
    """

    planned: AtlasPlan
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
    kinds = [plan.kind for plan in planned.layers]
    queue = forecast.with_costs(session, forecast.read(session), kinds)
    alone = replace(queue, jobs=[], batches=[], held={}, unread=1.0)
    exact = sum(plan.pictures for plan in planned.layers) <= EXACT_UP_TO
    looked_up = None if exact else max(EXACT_UP_TO // max(len(planned.layers), 1), 1)
    layers = [_layer(session, planned, plan, looked_up, alone) for plan in planned.layers]
    pictures, cached = sum(kind.pictures for kind in planned.layers), sum(layer.cached for layer in layers)
    parts = [Part(layer.plan.kind, layer.plan.pictures - layer.cached) for layer in layers]
    each = _bytes_of_one(session, planned.network.id) if pictures > cached else 0
    return AtlasEstimate(
        planned,
        layers,
        pictures,
        cached,
        all(layer.exact for layer in layers),
        _until_done(alone, parts),
        _until_done(queue, parts, next_turn(session, Lane.BULK, owner)),
        None if each is None else each * (pictures - cached),
        room,
    )


def check_room_for(session: Session, request: AtlasRequest, room: int | None) -> None:
    """Raises `Conflict` where the store plainly lacks the room for an atlas, or as `estimate` does."""
    if room is None:
        return
    found = estimate(session, request, room=room)
    if not found.fits:
        raise Conflict(
            f"The store has room for {found.room} bytes, and this atlas would add about {found.bytes}; ask "
            "for fewer layers, units or facets, or give the store more room."
        )


def _layer(
    session: Session, planned: AtlasPlan, plan: LayerPlan, looked_up: int | None, queue: Queue
) -> LayerEstimate:
    units = read_units(plan.units).of(plan.layer.units)
    asked = len(units) * plan.facets * plan.candidates
    every = 1 if looked_up is None else max(-(-asked // looked_up), 1)
    chosen = units
    seeds = [seed for facet in range(plan.facets) for seed in candidate_seeds(facet, plan.candidates)]
    if every > 1:
        # Evenly over the units; seeds are made in their order, so each is looked at.
        chosen = units[:: min(every, len(units))]
    items = plan_layer(planned.network, plan.layer, plan.making, chosen, seeds).items
    known = session.execute(_KNOWN, {"digests": [item.digest for item in items]}).scalar_one()
    exact = len(items) == asked
    cached = known if exact else round(known / len(items) * asked)
    seconds = _until_done(queue, [Part(plan.kind, asked - cached)])
    return LayerEstimate(plan, cached, exact, seconds)


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
