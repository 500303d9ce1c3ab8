"""One traced pass through a network: which layers run, in what order, their shapes and receptive fields."""

import math
import threading
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from worker.synthesis.field_tracking import FieldTracker
from worker.synthesis.hooks import After, Inputs, watching
from worker.synthesis.receptive_field import ReceptiveField
from worker.synthesis.sources.contract import NetworkError

_NO_LOGITS = (nn.Softmax, nn.LogSoftmax, nn.Softmax2d, nn.Sigmoid)


@dataclass(frozen=True)
class TracedLayer:
    """`shape` is [C] or [C, H, W]. `field` is None where a unit sees the whole input."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]
    field: ReceptiveField | None


@dataclass(frozen=True)
class Anatomy:
    """Layers by name, in the order in which they finish. `output` names the logits, or is None without such a
    layer."""

    layers: dict[str, TracedLayer]
    output: str | None


_known: WeakKeyDictionary[nn.Module, dict[int, Anatomy]] = WeakKeyDictionary()
_lock = threading.Lock()


def anatomy(module: nn.Module, input_size: int) -> Anatomy:
    """Trace `module` on one black picture of `input_size` pixels; later calls are answered from memory.

    Raises `NetworkError` when the network cannot run at that size.
    """
    with _lock:
        known = _known.setdefault(module, {})
    if input_size not in known:
        known[input_size] = _trace(module, input_size)
    return known[input_size]


def _trace(module: nn.Module, input_size: int) -> Anatomy:
    names = {part: name for name, part in module.named_modules() if name}
    finished: dict[str, TracedLayer] = {}
    producers: dict[int, str] = {}  # id of an output → the first module that gave it
    alive: list[Tensor] = []  # ids stay unique while the tensors live
    consumed: dict[str, int] = {}
    tracker = FieldTracker()

    def note(part: nn.Module, inputs: Inputs, output: Any) -> None:
        name = names[part]
        if not isinstance(output, Tensor) or isinstance(part, nn.Identity | _DropoutNd):
            return
        if isinstance(part, nn.Linear | nn.LocalResponseNorm) and inputs:
            tracker.carry(inputs[0], output)  # works on each place, though its operations reshape the tensor
        if name in finished:
            return  # run again (a shared ReLU): the first run is the layer's
        placed = tracker.placed(output)
        shape = tuple(output.shape[1:])
        # [H, W, C], channels last, is no layer's shape; where places are lost, squareness tells which it is.
        channels_first = placed.dims == (2, 3) if placed else shape[-2:] == shape[-1:] * 2
        if len(shape) == 1 or (len(shape) == 3 and channels_first):
            finished[name] = TracedLayer(name, part, shape, placed.field if placed else None)
            producers.setdefault(id(output), name)
            alive.append(output)
            if inputs and isinstance(inputs[0], Tensor):
                consumed[name] = id(inputs[0])

    parameter = next(module.parameters())
    picture = torch.zeros(1, 3, input_size, input_size, device=parameter.device, dtype=parameter.dtype)
    if parameter.ndim == 4 and parameter.is_contiguous(memory_format=torch.channels_last):
        picture = picture.contiguous(memory_format=torch.channels_last)
    functions: list[tuple[nn.Module, After]] = [(part, note) for part in names]
    try:
        with torch.no_grad(), watching(after=functions), tracker:
            tracker.place(picture)
            result = module(picture)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise NetworkError(f"the network cannot run on pictures of {input_size} pixels: {error}") from error
    return Anatomy(finished, _output_layer(finished, producers, consumed, result))


def _output_layer(
    layers: dict[str, TracedLayer], producers: dict[int, str], consumed: dict[str, int], result: Any
) -> str | None:
    """The layer that gives the logits: what the network returns, or what its last softmax or sigmoid is
    given."""
    vectors = [name for name, layer in layers.items() if math.prod(layer.shape) == layer.shape[0] > 1]
    name = producers.get(id(result))
    if name is None:  # the pass ends with a function: the last layer that gives one number a class
        classes = result.shape[1] if isinstance(result, Tensor) and result.ndim == 2 else None
        matching = [v for v in vectors if classes is None or layers[v].shape[0] == classes]
        name = matching[-1] if matching else None
    while name is not None and isinstance(layers[name].module, _NO_LOGITS):
        before = vectors[: vectors.index(name)] if name in vectors else []
        name = producers.get(consumed.get(name, 0)) or (before[-1] if before else None)
    return name if name in vectors else None
