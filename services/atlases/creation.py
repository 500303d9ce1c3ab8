"""Make an atlas: what it asks for is checked and settled, then inserted; its jobs are made by workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.access.fingerprints import as_sent, fingerprint
from services.access.idempotency import replayed
from services.atlases import subjects
from services.atlases.atlas_request import AtlasRequest
from services.atlases.layer_plans import LayerPlan, making_json, plan_layers
from services.atlases.tables import AtlasLayerRow, AtlasRow, AtlasVersionRow
from services.base.errors import Conflict
from services.base.ids import new_id
from services.catalog.networks import Network
from services.jobs.planning import ready_network

_KEPT = ("layers", "units", "facets", "candidates", "recipe", "generator")


@dataclass(frozen=True)
class AtlasPlan:
    """A request for an atlas as it would be carried out."""

    network: Network
    layers: list[LayerPlan]
    generator: str | None
    """What it is pinned to; None where no layer needs one."""


def plan_atlas(session: Session, request: AtlasRequest) -> AtlasPlan:
    """Check and settle a request; writes nothing. Raises `Invalid` for each wrong field, `Conflict` where the
    network is being inspected or there is no generator.
    """
    network = ready_network(session, request.network)
    layers = plan_layers(
        session,
        network,
        layers=request.layers,
        units=request.units,
        facets=request.facets,
        candidates=request.candidates,
        recipe=request.recipe,
        generator=request.generator,
    )
    return AtlasPlan(network, layers, generator_of(layers))


def generator_of(layers: Sequence[LayerPlan]) -> str | None:
    """The generator that the layers' pictures are made with; None where no layer needs one."""
    return next((plan.making.generator_id for plan in layers if plan.making.generator), None)


def create(
    session: Session, request: AtlasRequest, *, owner: str | None = None, idempotency_key: str | None = None
) -> tuple[AtlasRow, bool]:
    """Insert an atlas of the key `owner`, its open version and its layers, and have it expanded; returns it
    and whether it is new. All or nothing, within the caller's transaction; ring the doorbell after the
    commit.

    With an idempotency key, the same request again returns the atlas there is; another one under the same key
    raises `IdempotencyKeyReused`. Otherwise raises as `plan_atlas` does.
    """
    known_as = fingerprint(as_sent(request))
    known = made_before(session, request, owner=owner, idempotency_key=idempotency_key)
    if known is not None:
        return known, False
    planned = plan_atlas(session, request)
    no = session.scalar(
        insert(AtlasRow)
        .values(
            id=new_id("atl"),
            name=request.name or request.network,
            network_id=planned.network.id,
            owner_key_id=owner,
            visibility=request.visibility,
            idempotency_key=idempotency_key,
            request_hash=known_as,
        )
        .on_conflict_do_nothing()
        .returning(AtlasRow.no)
    )
    if no is None:
        # The same key was sent at the same moment: the insert has waited for that one to commit.
        known = made_before(session, request, owner=owner, idempotency_key=idempotency_key)
        if known is None:
            raise Conflict("An atlas of this idempotency key was removed at the same moment; try again.")
        return known, False
    session.add(
        AtlasVersionRow(
            atlas_no=no,
            number=1,
            request=_kept(request),
            network_sha256=planned.network.spec_sha256,
            generator_id=planned.generator,
        )
    )
    session.add_all(layer_row(no, layer_no, plan) for layer_no, plan in enumerate(planned.layers))
    session.flush()
    row = session.get_one(AtlasRow, no)
    subjects.plan(session, row.id)
    return row, True


def made_before(
    session: Session, request: AtlasRequest, *, owner: str | None, idempotency_key: str | None
) -> AtlasRow | None:
    """The atlas that the same request has made under the same idempotency key, if any. Raises
    `IdempotencyKeyReused` where another request has.
    """
    if idempotency_key is None:
        return None
    return replayed(session, AtlasRow, owner, idempotency_key, [fingerprint(as_sent(request))])


def layer_row(atlas_no: int, layer_no: int, plan: LayerPlan) -> AtlasLayerRow:
    """The row of a layer of which nothing has been expanded."""
    return AtlasLayerRow(
        atlas_no=atlas_no,
        layer_no=layer_no,
        layer=plan.layer.name,
        ordinal=plan.layer.ordinal,
        units=plan.units,
        unit_count=plan.unit_count,
        facets=plan.facets,
        making=making_json(plan),
    )


def _kept(request: AtlasRequest) -> dict[str, Any]:
    asked = request.model_dump(mode="json", exclude={"name", "visibility", "network"})
    return {name: asked[name] for name in _KEPT}
