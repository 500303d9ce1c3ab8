"""Networks, their layers and the layers' units."""

from typing import Any, Literal, Self

from pydantic import Field

from api.http.paths import layer_path, network_path, path_to, unit_path, visualization_path
from api.schemas.base import Flag, Name, Page, PageQuery, Representation, RequestModel, SelfLink, Time, Whole
from imago_engine.networks import Role
from services.catalog import layers, networks
from services.catalog.layer_selection import ALL, LONGEST
from services.catalog.looks import UnderWay


class NetworkPath(RequestModel):
    """The address of a network."""

    network: Name = Field(description="Id of a network, `arch.tag`.")


class LayerPath(NetworkPath):
    """The address of a layer."""

    layer: Name = Field(description="Dotted name of a layer; `output` is that of its logits.")


_FORMER = (
    "Whether a layer counts that the network had before it changed, or that is known by imported pictures"
    " alone. Nothing is made of it."
)


class LayerQuery(RequestModel):
    """Which layers count."""

    former: Flag = Field(False, description=_FORMER)


class UnitListQuery(PageQuery):
    """Which units, and which page."""

    former: Flag = Field(False, description=_FORMER)
    label: Name | None = Field(
        None,
        description="Only the unit of this class: a whole label or one of the names that it lists, in any"
        " case.",
    )


class LayerListQuery(PageQuery):
    """Which layers, and which page."""

    layers: str = Field(
        ALL,
        min_length=1,
        max_length=LONGEST,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="Words for them, as in a job's target: `blocks` (those that have a role), `convolutions`,"
        " `all`, names and patterns such as `blocks.2.*`, joined by commas.",
    )


class UnitPath(LayerPath):
    """The address of a unit."""

    unit: Whole = Field(ge=0, le=2**31 - 1, description="Number of a neuron or channel, from 0.")


class NetworkLinks(SelfLink):
    layers: str


class InputSizes(Representation):
    """Sides of square inputs in pixels: `own`, and each from `least` to `most` that differs from it by a
    multiple of `step`."""

    own: int
    step: int | None = Field(description="Null where it runs at its own size only.")
    least: int
    most: int | None = Field(description="Null where no limit is known.")


class StatedFacts(Representation):
    """What was stated of a network when it was registered, in the words of that request; null where its
    source tells."""

    classes: int | None = Field(description="Number of outputs, of a network from a file.")
    labels: list[str] | None = Field(description="Names of the classes; empty in lists.")
    mean: list[float] | None
    std: list[float] | None
    input_size: int | None
    channels: Literal["rgb", "bgr"] | None

    @classmethod
    def of(cls, network: networks.Network, *, with_labels: bool) -> Self:
        """As they are shown."""
        stated = network.as_stated
        if stated["labels"] is not None and not with_labels:
            stated["labels"] = []
        return cls.model_validate(stated)


class Look(Representation):
    """How far a worker is that looks at a network for the first time: at the pictures of some typical codes,
    which tell what excites each of its units."""

    seen: int
    codes: int

    @classmethod
    def of(cls, look: UnderWay | None) -> Self | None:
        """As it is shown."""
        return None if look is None else cls(seen=look.seen, codes=look.codes)


class Network(Representation):
    """A network that can be explained, once a worker has inspected it (`ready`)."""

    id: str
    object: Literal["network"] = "network"
    state: Literal["pending", "ready", "failed"]
    error: str | None = Field(description="Why it cannot be used, where `state` is failed.")
    source: str
    architecture: str
    weights: str | None = Field(description="Name of the weights' file for source file, else their tag.")
    weights_sha256: str | None
    network_sha256: str | None = Field(
        description="What the digests of its pictures name it by: the hash of its weights, or of these with "
        "what was stated of them."
    )
    preprocessing: dict[str, Any] | None = Field(description="How an image becomes its input.")
    input_sizes: InputSizes | None = Field(description="Inputs that it runs at; null until it is inspected.")
    inspection_due: bool = Field(
        description="Whether it is to be inspected again after an upgrade before more pictures can be made."
    )
    look: Look | None = Field(
        description="While a worker looks at it for the first time, so that pictures of it need not wait for"
        " that: how far it is. Null in lists."
    )
    classes: int | None = Field(description="Number of classes of its output; null where it has no output.")
    labels: list[str] = Field(description="Names of the classes; empty in lists.")
    stated: StatedFacts
    created_at: Time
    inspected_at: Time | None
    links: NetworkLinks

    @classmethod
    def of(cls, network: networks.Network, *, with_labels: bool = True, look: UnderWay | None = None) -> Self:
        """The network as it is shown."""
        return cls.model_validate(
            {
                "id": network.id,
                "state": network.state,
                "error": network.error,
                "source": network.source,
                "architecture": network.architecture,
                "weights": network.weights,
                "weights_sha256": network.weights_sha256,
                "network_sha256": network.spec_sha256,
                "preprocessing": network.preprocessing,
                "input_sizes": network.input_sizes and {"own": network.own_size, **network.input_sizes},
                "inspection_due": network.inspection_due,
                "look": Look.of(look),
                "classes": network.outputs or len(network.labels) or network.classes,
                "labels": list(network.labels) if with_labels else [],
                "stated": StatedFacts.of(network, with_labels=with_labels),
                "created_at": network.created_at,
                "inspected_at": network.inspected_at,
                "links": {
                    "self": network_path(network.id),
                    "layers": path_to("networks", network.id, "layers"),
                },
            }
        )


class NetworkPage(Page[Network]):
    pass


class LayerLinks(SelfLink):
    network: str
    units: str


class Layer(Representation):
    """A layer of a network. Lengths are in pixels of the network's input."""

    id: str = Field(description="`network/layer`.")
    object: Literal["layer"] = "layer"
    network: str
    name: str = Field(description="Dotted name.")
    ordinal: int = Field(description="Place in the order of execution, from 0.")
    kind: str
    units: int = Field(description="Number of neurons or channels.")
    height: int | None = Field(description="Of its map; null for a vector and for tokens.")
    width: int | None
    receptive_field: int | None = Field(
        description="Side of what one unit sees; null where it sees everything."
    )
    stride: int | None
    tokens: int | None = Field(
        description="Of a transformer's layer: how many there are, special ones such as the class token"
        " included, which come first in most networks; null for a layer without. At another input size"
        " there may be more or fewer."
    )
    usual_token: int | None = Field(
        description="The token that its units are read at unless a job's target names another: the class"
        " token where the network makes its answer of one, else the patch at the centre of the picture."
    )
    class_token: int | None = Field(
        description="The usual token again where it is a special one, which has the same number at every"
        " input size; null where it is a patch, which has not."
    )
    role: Role | None = Field(
        description="What it is to the network: a `stem` is before its blocks, a `block` is the output of one"
        " (or a layer between two), a `head` is behind them, the `output` gives the logits. Those that have a"
        " role are what `blocks` means. Null for a layer within a block, and for a twin."
    )
    twin_of: str | None = Field(
        description="The layer whose units these are once more: what a norm or an activation was given, or"
        " what a module only passes on."
    )
    links: LayerLinks

    @classmethod
    def of(cls, layer: layers.Layer) -> Self:
        """The layer as it is shown."""
        height, width = layer.spatial or (None, None)
        path, former = layer_path(layer.network, layer.name), _former(layer.is_current)
        return cls(
            id=f"{layer.network}/{layer.name}",
            network=layer.network,
            name=layer.name,
            ordinal=layer.ordinal,
            kind=layer.kind,
            units=layer.units,
            height=height,
            width=width,
            receptive_field=layer.receptive_field,
            stride=layer.stride,
            tokens=layer.tokens,
            usual_token=layer.usual_token,
            class_token=layer.class_token,
            role=layer.role,
            twin_of=layer.twin_of,
            links=LayerLinks(
                self=f"{path}{former}",
                network=network_path(layer.network),
                units=f"{path}/units{former}",
            ),
        )


class LayerPage(Page[Layer]):
    pass


class UnitLinks(SelfLink):
    image: str | None = Field(
        description="Its best picture, whichever that is at the time; of a layer that the network has no"
        " more, the one that is the best now."
    )
    best: str | None = Field(description="The visualization that the network finds best so far.")


class Unit(Representation):
    id: str = Field(description="`network/layer/unit`.")
    object: Literal["unit"] = "unit"
    network: str
    layer: str
    unit: int
    label: str | None = Field(description="Name of its class, for a unit of the output.")
    pictures: int = Field(description="How many there are of it, of the network as it is.")
    activation: float | None = Field(description="Its response to the best of them.")
    links: UnitLinks

    @classmethod
    def of(cls, unit: layers.Unit) -> Self:
        """The unit as it is shown."""
        return cls(**cls.members(unit))

    @staticmethod
    def members(unit: layers.Unit) -> dict[str, Any]:
        """The fields that all representations of a unit have."""
        path = unit_path(unit.network, unit.layer, unit.unit)
        best = visualization_path(unit.best) if unit.best else None
        return {
            "id": f"{unit.network}/{unit.layer}/{unit.unit}",
            "network": unit.network,
            "layer": unit.layer,
            "unit": unit.unit,
            "label": unit.label,
            "pictures": unit.pictures,
            "activation": unit.activation,
            "links": {
                "self": f"{path}{_former(unit.is_current)}",
                "image": f"{path if unit.is_current else best}/image" if best else None,
                "best": best,
            },
        }


class UnitPage(Page[Unit]):
    pass


def _former(is_current: bool) -> str:
    """The query without which what belongs to a former layer is not found."""
    return "" if is_current else "?former=true"
