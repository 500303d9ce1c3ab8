"""Networks, layers and units."""

from http import HTTPStatus

from flask import Response

from api.auth import principal, requires
from api.context import context
from api.http.caching import BRIEF, REVALIDATE, conditional
from api.http.paths import network_path
from api.http.rendering import REMOVED, json_response, removed
from api.operations.operation import ApiBlueprint, Tag
from api.operations.pagination import page_response
from api.schemas.base import NoQuery, PageQuery
from api.schemas.networks import (
    Layer,
    LayerPage,
    LayerPath,
    Network,
    NetworkPage,
    NetworkPath,
    Unit,
    UnitPage,
)
from services.catalog import catalog, removal
from services.catalog.catalog import RegisterNetwork

TAG = Tag(name="Networks", description="What can be explained: networks, their layers, the layers' units.")
INSPECTION_SECONDS = 5
"""About how long a worker takes to inspect a network whose weights it has."""

blueprint = ApiBlueprint("networks", __name__, url_prefix="/v1/networks", tag=TAG)


@blueprint.get("", responses={200: NetworkPage})
@requires("read")
def list_networks(query: PageQuery) -> Response:
    """List networks by id."""
    with context().database.session() as session:
        page = catalog.list_networks(session, cursor=query.cursor, limit=query.limit)
    return conditional(
        page_response(NetworkPage, page, lambda network: Network.of(network, with_labels=False)), REVALIDATE
    )


@blueprint.post("", responses={200: Network, 202: Network})
@requires("jobs:write")
def register_network(body: RegisterNetwork) -> Response:
    """Register a network.

    A worker inspects it: `state` goes from pending to ready or failed. Registering the same again changes
    nothing, except that a failed network is inspected anew; that is for the key that registered it and for
    keys with the scope `admin`.
    """
    with context().database.session() as session:
        network = catalog.register_network(session, body, by=principal())
    path = network_path(network.id)
    if network.state == "pending":
        context().doorbell.ring("interactive")
        return json_response(
            Network.of(network),
            HTTPStatus.ACCEPTED,
            {"Location": path, "Retry-After": str(INSPECTION_SECONDS)},
        )
    return json_response(Network.of(network), headers={"Location": path})


@blueprint.get("/<network>", responses={200: Network})
@requires("read")
def get_network(path: NetworkPath, query: NoQuery) -> Response:
    """Get a network with the names of its classes."""
    with context().database.session() as session:
        network = catalog.get_network(session, path.network)
    return conditional(json_response(Network.of(network)), REVALIDATE)


@blueprint.get("/<network>/layers", responses={200: LayerPage})
@requires("read")
def list_layers(path: NetworkPath, query: PageQuery) -> Response:
    """List a network's layers in the order of execution."""
    with context().database.session() as session:
        page = catalog.list_layers(session, path.network, cursor=query.cursor, limit=query.limit)
    return conditional(page_response(LayerPage, page, Layer.of), REVALIDATE)


@blueprint.get("/<network>/layers/<layer>", responses={200: Layer})
@requires("read")
def get_layer(path: LayerPath, query: NoQuery) -> Response:
    """Get a layer."""
    with context().database.session() as session:
        layer = catalog.get_layer(session, path.network, path.layer)
    return conditional(json_response(Layer.of(layer)), BRIEF)


@blueprint.get("/<network>/layers/<layer>/units", responses={200: UnitPage})
@requires("read")
def list_units(path: LayerPath, query: PageQuery) -> Response:
    """List a layer's units with their best pictures."""
    with context().database.session() as session:
        page = catalog.list_units(session, path.network, path.layer, cursor=query.cursor, limit=query.limit)
    return conditional(page_response(UnitPage, page, Unit.of), REVALIDATE)


@blueprint.delete("/<network>", responses={204: REMOVED})
@requires("jobs:write")
def remove_network(path: NetworkPath, query: NoQuery) -> Response:
    """Remove a network that nothing needs.

    Only the key that registered it and keys with the scope `admin` may. 409 says what needs it: pictures,
    jobs, or a training.
    """
    with context().database.session() as session:
        removal.remove_network(session, path.network, by=principal())
    return removed()
