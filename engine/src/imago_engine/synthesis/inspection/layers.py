"""What a network consists of: its layers as people address them."""

from difflib import get_close_matches

from imago_engine.networks import OUTPUT_ALIASES, LayerInfo
from imago_engine.synthesis.inspection.anatomy import Anatomy, TracedLayer, anatomy
from imago_engine.synthesis.inspection.output_layer import Squash
from imago_engine.synthesis.inspection.roles import find_parts
from imago_engine.synthesis.networks.load import Network, NetworkError
from imago_engine.synthesis.networks.truncate import LayerError

INSPECTION_VERSION = 8
"""Raised when inspections tell more of a network than before, or its layers, their geometry or its output
otherwise: networks of an earlier one are then inspected again.
"""
CANDIDATES = 5
"""Layers named in an answer at most."""


def inspect(network: Network, input_size: int | None = None) -> tuple[LayerInfo, ...]:
    """The layers in the order in which they finish, at the network's own input size unless another is given.

    Raises `NetworkError` for a network that cannot be used, with the reason: it does not run, no gradient
    leads through it, or what it makes of a picture depends on chance or on the others in its batch.
    """
    size = input_size or network.preprocessing.size
    traced = anatomy(network.module, size)
    if traced.flaw is not None:
        raise NetworkError(traced.flaw.reason)
    parts = find_parts(network.module, size, traced)
    return tuple(
        LayerInfo(
            name=layer.name,
            kind="output" if layer.name == traced.output else layer.kind,
            units=layer.shape[0],
            spatial=layer.spatial,
            receptive_field=layer.field.size if layer.field else None,
            stride=layer.field.stride if layer.field else None,
            tokens=layer.tokens,
            usual_token=layer.token if layer.tokens is not None else None,
            class_token=layer.class_token,
            role=parts[layer.name].role,
            twin_of=parts[layer.name].twin_of,
        )
        for layer in traced.layers.values()
    )


def squash_of(network: Network) -> Squash:
    """What makes probabilities of the network's logits, at its own input size. Raises `NetworkError`."""
    return anatomy(network.module, network.preprocessing.size).squash


def find_layer(network: Network, name: str, input_size: int | None = None) -> TracedLayer:
    """The layer of a dotted name; `output` and `logits` mean the layer before the softmax in every network. A
    hidden module of such a name is addressed with a dot before it. Raises `LayerError`."""
    traced = anatomy(network.module, input_size or network.preprocessing.size)
    if name in OUTPUT_ALIASES:
        if traced.output is None:
            raise LayerError(_no_output(network.id, name, traced))
        return traced.layers[traced.output]
    if name in traced.layers:
        return traced.layers[name]
    if name in traced.cut_off:
        raise LayerError(
            f"layer {name!r} of {network.id} is cut off from the network's input: no gradient leads back to "
            "it (no_grad, detach() or rounding to integers on the way)"
        )
    close = get_close_matches(name, traced.layers, n=CANDIDATES, cutoff=0.4)
    raise LayerError(
        f"layer {name!r} is none of {network.id}'s layers of units; expected the dotted name of a module"
        + (f" such as {', '.join(close)}" if close else "")
        + (f", or {traced.output} (also called output) for the logits" if traced.output else "")
    )


def _no_output(network_id: str, name: str, traced: Anatomy) -> str:
    hidden = f".{name}" in traced.layers
    last = [layer.name for layer in traced.vectors if layer.name != f".{name}"] or list(traced.layers)
    return (
        f"{network_id} has no layer {name!r}, which means the logits that a network returns: "
        f"{traced.no_output}; expected the name of a layer such as {', '.join(last[-CANDIDATES:])}"
        + (f", or .{name} for the module that is called {name}" if hidden else "")
    )
