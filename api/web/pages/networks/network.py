"""A network: its layers as a stack from the picture to the answer, its atlases, scans and classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from flask import Response
from sqlalchemy.orm import Session

from api.auth import reader, requires
from api.context import context
from api.operations.pagination import next_path
from api.web import choices, grid_view
from api.web.addresses import Addresses, ServerAddresses
from api.web.glimpses import ShownGlimpse, shown_glimpses
from api.web.shown import Shown, shares, shown
from api.web.site import blueprint, page
from services.access.ownership import may_change
from services.base.errors import NotFound
from services.catalog import looks
from services.catalog.layer_selection import list_known, list_layers
from services.catalog.layers import Layer, get_layer
from services.catalog.networks import Network, get_network
from services.catalog.tables import NetworkRow
from services.exemplars import scans
from services.grids.overviews import ShownVersion, shown_versions, strips_of
from services.grids.versions import AtlasVersion, versions_of

LAYERS_A_PAGE, CLASSES_SHOWN, SCANS_SHOWN = 36, 24, 5
PICTURES_A_LAYER, PICTURES_A_PAGE = 8, 190
"""So many of each layer where there are few layers; of many fewer each, so that the page stays light."""
BLOCKS, ALL = "blocks", "all"
CARD_SIZE = 512


@dataclass(frozen=True)
class StackLayer:
    """A layer of the stack. `share`: how much of it the shown version has; None where it does not show it, or
    no version is shown. `left_out`: a version is shown that does not have it."""

    layer: Layer
    href: str
    facts: Sequence[str]
    share: float | None
    covered: int | None
    left_out: bool
    pictures: Sequence[ShownGlimpse]


@dataclass(frozen=True)
class Run:
    """Layers that follow one another. `is_folded`: there are no pictures of them; one line stands for all."""

    layers: Sequence[StackLayer]
    is_folded: bool

    @property
    def named(self) -> Sequence[str]:
        """The names of those whose units are not another layer's once more."""
        return [each.layer.name for each in self.layers if each.layer.twin_of is None]


@dataclass(frozen=True)
class NetworkAtlas:
    """An atlas of the network with its versions, the newest first."""

    id: str
    name: str
    versions: Sequence[AtlasVersion]


@blueprint.get("/networks/<network>")
@requires("read")
def network(network: str) -> Response:
    """Its layers: `layers=blocks`, the default, or `all`; while it is not ready those of an atlas, if one is
    shown."""
    address = ServerAddresses()
    words = choices.word("layers", (BLOCKS, ALL)) or BLOCKS
    with context().database.session() as session:
        found = get_network(session, network)
        row = session.get(NetworkRow, network)
        removable = row is not None and may_change(row.owner_key_id, reader())
        what, versions = shown(session, network), versions_of(session, network, by=reader())
        is_ready = found.state == "ready"
        if not is_ready and what.atlas is None:
            return page(
                "networks/not_ready.html",
                section="networks",
                network=found,
                removable=removable,
                atlases=_atlases(versions),
            )
        cursor = choices.text("cursor")
        if is_ready:
            layers = list_layers(session, network, words, cursor=cursor, limit=LAYERS_A_PAGE)
        else:
            names = [name for name, _ in shares(session, network, what)]
            layers = list_known(session, network, names, cursor=cursor, limit=LAYERS_A_PAGE)
        stack = stack_of(session, address, found, what, layers.data)
        look = looks.under_way_of(session, network)
        output = _output(session, found, what)
        watched = scans.list(session, network=network, limit=SCANS_SHOWN).data
    deepest = next((each.pictures[0] for each in stack[::-1] if each.pictures), None)
    return page(
        "networks/network.html",
        section="networks",
        network=found,
        look=look,
        what=what,
        runs=runs_of(stack),
        words=words,
        chips=[
            ("blocks", address.network(network, atlas=what.named), words == BLOCKS),
            ("all layers", address.network(network, atlas=what.named, layers=ALL), words == ALL),
        ]
        if is_ready
        else (),
        next=next_path(layers.next_cursor) if layers.next_cursor else None,
        versions=grid_view.choices_of(versions, what),
        atlases=_atlases(versions),
        scans=watched,
        classes=found.labels[:CLASSES_SHOWN],
        output=output,
        card=None if deepest is None else address.picture(deepest.digest, CARD_SIZE),
    )


def stack_of(
    session: Session, address: Addresses, found: Network, what: Shown, layers: Sequence[Layer]
) -> Sequence[StackLayer]:
    """These layers of a network, as what is shown has them."""
    version = _version(session, what)
    names = [layer.name for layer in layers if layer.twin_of is None]
    most = min(PICTURES_A_LAYER, PICTURES_A_PAGE // max(len(names), 1))
    strips = strips_of(session, found, version, names, most)
    covered = {} if version is None else version.covered
    return [
        StackLayer(
            layer,
            address.layer(found.id, layer.name, atlas=what.named),
            grid_view.facts(found, layer, brief=True),
            min(1.0, covered[layer.name] / layer.units) if layer.name in covered else None,
            covered.get(layer.name),
            version is not None and layer.name not in covered,
            shown_glimpses(address, found.id, strips.get(layer.name, ()), what.named),
        )
        for layer in layers
    ]


def runs_of(stack: Sequence[StackLayer]) -> Sequence[Run]:
    """The layers in their order. Those that follow one another without a picture, and without any to come,
    are one run, so that the others are not lost among them; each stands alone where no layer has pictures."""
    if not any(each.pictures for each in stack):
        return [Run([each], is_folded=False) for each in stack]
    runs: list[Run] = []
    for is_bare, group in groupby(stack, lambda each: not each.pictures and each.share is None):
        layers = list(group)
        is_folded = is_bare and sum(each.layer.twin_of is None for each in layers) > 1
        runs += (
            [Run(layers, is_folded=True)] if is_folded else [Run([each], is_folded=False) for each in layers]
        )
    return runs


def _output(session: Session, found: Network, what: Shown) -> Layer | None:
    """The layer whose units are its classes, on whichever page of its layers that is; None where it has no
    names of classes, or where such a layer is not known."""
    if not found.labels:
        return None
    try:
        return get_layer(session, found.id, "output", or_former=what.atlas is not None)
    except NotFound:
        return None


def _version(session: Session, what: Shown) -> ShownVersion | None:
    if what.atlas is None or what.version is None:
        return None
    id = what.atlas.id
    return shown_versions(session, [id], what.version.number).get(id)


def _atlases(versions: Sequence[AtlasVersion]) -> Sequence[NetworkAtlas]:
    names = {version.atlas: version.name for version in versions}
    return [
        NetworkAtlas(id, name, [version for version in versions if version.atlas == id])
        for id, name in names.items()
    ]
