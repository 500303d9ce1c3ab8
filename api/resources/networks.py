"""Networks, layers and units."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from api.auth import principal
from api.http import grids
from api.http.caching import BRIEF, PERSONAL
from api.openapi import examples
from api.operations.answers import Answer, Document, accepted
from api.operations.operation import REMOVED, ApiBlueprint, Tag
from api.schemas.base import NoQuery, PageQuery
from api.schemas.networks import (
    Layer,
    LayerListQuery,
    LayerPage,
    LayerPath,
    LayerQuery,
    Network,
    NetworkPage,
    NetworkPath,
    Unit,
    UnitListQuery,
    UnitPage,
)
from api.schemas.search.grids import Cell, CellList, CellsQuery, OrderQuery
from imago_engine.units import UnitsError, parse_units
from services.base.errors import Invalid
from services.base.paging import Page
from services.base.states import Lane
from services.catalog import layer_selection, layers, looks, networks, removal
from services.catalog.network_request import RegisterNetwork
from services.grids import cells

TAG = Tag(name="Networks", description="What can be explained: networks, their layers, the layers' units.")
INSPECTION_SECONDS = 5
"""About how long a worker takes to inspect a network whose weights it has."""

_NUMBERS = "application/octet-stream"
_ORDER: Mapping[int, Any] = {
    200: {
        "description": "The numbers of the units: unsigned integers of 32 bits, the least significant byte"
        " first.",
        "content": {_NUMBERS: {"schema": {"type": "string", "format": "binary"}}},
    }
}

blueprint = ApiBlueprint("networks", __name__, url_prefix="/v1/networks", tag=TAG)


@blueprint.operation("GET", "", scope="read", responses={200: NetworkPage})
def list_networks(session: Session, query: PageQuery) -> Page[Network]:
    """List networks by id."""
    page = networks.list_networks(session, cursor=query.cursor, limit=query.limit)
    return page.map(lambda network: Network.of(network, with_labels=False))


@blueprint.operation(
    "POST", "", scope="jobs:write", responses={200: Network, 202: Network}, example=examples.NETWORK_BODY
)
def register_network(session: Session, body: RegisterNetwork) -> Answer:
    """Register a network.

    A worker inspects it: `state` goes from pending to ready or failed. Registering the same again changes
    nothing, except that a failed network is inspected anew; that is for the key that registered it and for
    keys with the scope `admin`.
    """
    network = networks.register_network(session, body, by=principal())
    shown = Network.of(network)
    if network.state != "pending":
        return accepted(shown, None, shown.links.self)
    return accepted(shown, INSPECTION_SECONDS, shown.links.self, ring=Lane.INTERACTIVE)


@blueprint.operation("GET", "/<network>", scope="read", responses={200: Network})
def get_network(session: Session, path: NetworkPath, query: NoQuery) -> Network:
    """Get a network with the names of its classes."""
    found = networks.get_network(session, path.network)
    return Network.of(found, look=looks.under_way_of(session, found.id))


@blueprint.operation("GET", "/<network>/layers", scope="read", responses={200: LayerPage})
def list_layers(session: Session, path: NetworkPath, query: LayerListQuery) -> Page[Layer]:
    """List a network's layers in the order of execution."""
    return layer_selection.list_layers(
        session, path.network, query.layers, cursor=query.cursor, limit=query.limit
    ).map(Layer.of)


@blueprint.operation(
    "GET", "/<network>/layers/<layer>", scope="read", responses={200: Layer}, freshness=BRIEF
)
def get_layer(session: Session, path: LayerPath, query: LayerQuery) -> Layer:
    """Get a layer."""
    return Layer.of(layers.get_layer(session, path.network, path.layer, or_former=query.former))


@blueprint.operation("GET", "/<network>/layers/<layer>/units", scope="read", responses={200: UnitPage})
def list_units(session: Session, path: LayerPath, query: UnitListQuery) -> Page[Unit]:
    """List a layer's units with their best pictures."""
    page = layers.list_units(
        session,
        path.network,
        path.layer,
        label=query.label,
        or_former=query.former,
        cursor=query.cursor,
        limit=query.limit,
    )
    return page.map(Unit.of)


@blueprint.operation(
    "GET", "/<network>/layers/<layer>/grid/order", scope="read", responses=_ORDER, freshness=PERSONAL
)
def get_grid_order(session: Session, path: LayerPath, query: OrderQuery) -> Document:
    """Get the numbers of a layer's units in the order in which a grid shows them.

    All at once, four bytes each, so that whoever scrolls through them knows how many there are and can begin
    anywhere; what is to be seen is then asked for by number. Of more than 200,000 units, or 20,000 without an
    atlas, only the order by index is there.
    """
    shown = grids.subject(session, path.network, path.layer, query.atlas, query.version)
    return Document(grids.order_bytes(session, shown, query.wanted), _NUMBERS, PERSONAL)


@blueprint.operation(
    "GET",
    "/<network>/layers/<layer>/grid/cells",
    scope="read",
    responses={200: CellList},
    freshness=PERSONAL,
)
def get_grid_cells(session: Session, path: LayerPath, query: CellsQuery) -> CellList:
    """Get what a grid shows of some units of a layer: their pictures, or why there are none."""
    shown = grids.subject(session, path.network, path.layer, query.atlas, query.version)
    try:
        units = parse_units(query.units, layer=path.layer, count=shown.layer.units)
    except UnitsError as error:
        raise Invalid.field("/units", str(error)) from None
    found = cells.cells(session, shown, units, facet=query.facet)
    return CellList(data=[Cell.of(path.network, shown.layer.name, cell) for cell in found])


@blueprint.operation("DELETE", "/<network>", scope="jobs:write", responses=REMOVED)
def remove_network(session: Session, path: NetworkPath, query: NoQuery) -> None:
    """Remove a network that nothing needs.

    Only the key that registered it and keys with the scope `admin` may. 409 says what needs it: pictures,
    jobs, or a training.
    """
    removal.remove_network(session, path.network, by=principal())
