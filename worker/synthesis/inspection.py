"""What a network consists of: its layers as people address them."""

from dataclasses import dataclass
from difflib import get_close_matches

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from worker.synthesis.anatomy import TracedLayer, anatomy
from worker.synthesis.networks import Network
from worker.synthesis.truncation import LayerError, is_activation

OUTPUT_ALIASES = ("output", "logits")


@dataclass(frozen=True)
class LayerInfo:
    """A layer whose units can be asked for.

    `kind` is conv, linear, norm, activation, pool, block (a module of several), other, or output (the
    logits). `units` counts neurons or channels; `spatial` is (H, W), the places of each channel, or None for
    a vector. `receptive_field` and `stride` are in pixels of the network's input, None where a unit sees all
    of it.
    """

    name: str
    kind: str
    units: int
    spatial: tuple[int, int] | None
    receptive_field: int | None
    stride: int | None


def inspect(network: Network, input_size: int | None = None) -> tuple[LayerInfo, ...]:
    """The layers in the order in which they finish, at the network's own input size unless another is
    given."""
    traced = anatomy(network.module, input_size or network.preprocessing.size)
    return tuple(
        LayerInfo(
            name=layer.name,
            kind="output" if layer.name == traced.output else _kind(layer.module),
            units=layer.shape[0],
            spatial=(layer.shape[1], layer.shape[2]) if len(layer.shape) == 3 else None,
            receptive_field=layer.field.size if layer.field else None,
            stride=layer.field.stride if layer.field else None,
        )
        for layer in traced.layers.values()
    )


def find_layer(network: Network, name: str, input_size: int | None = None) -> TracedLayer:
    """The layer of a dotted name; `output` and `logits` mean the layer before the softmax. Raises
    `LayerError`."""
    traced = anatomy(network.module, input_size or network.preprocessing.size)
    if name in traced.layers:
        return traced.layers[name]
    if name in OUTPUT_ALIASES and traced.output is not None:
        return traced.layers[traced.output]
    close = get_close_matches(name, traced.layers, n=5, cutoff=0.4)
    raise LayerError(
        f"layer {name!r} is none of {network.id}'s layers of units; expected the dotted name of a module"
        + (f" such as {', '.join(close)}" if close else "")
        + (f", or {traced.output} (also called output) for the logits" if traced.output else "")
    )


def _kind(module: nn.Module) -> str:
    name = type(module).__name__
    if isinstance(module, _ConvNd):
        return "conv"
    if isinstance(module, nn.Linear):
        return "linear"
    if isinstance(module, _NormBase | nn.GroupNorm | nn.LayerNorm | nn.LocalResponseNorm):
        return "norm"
    if is_activation(module):
        return "activation"
    if "Pool" in name:
        return "pool"
    return "block" if next(module.children(), None) is not None else "other"
