"""Copies of a network that are faster to climb: the same function of the input, up to rounding.

Batch norms are folded, slow convolutions replaced, and where a recipe allows it and the device gains by it,
numbers have half the bits. A copy shares with its network what is not changed. Whatever is said of a
finished picture is measured on the network itself.
"""

import copy
import threading
from itertools import chain
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from imago_engine.synthesis.computing.exhaustion import is_exhaustion
from imago_engine.synthesis.inspection.anatomy import TracedLayer
from imago_engine.synthesis.networks.cpu_convolutions import suit_cpu
from imago_engine.synthesis.networks.folding import fold_batch_norms
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.run import test_pictures
from imago_engine.synthesis.networks.truncate import Activations, Prefix, is_activation

Module = TypeVar("Module", bound=nn.Module)
ROUNDING = {torch.float32: 1e-3, torch.bfloat16: 0.2}
"""How far a layer's values on two test pictures may be from the network's own, by the ratio of the norms."""


class FastPrefix:
    """A network up to a layer, for climbing: takes what `Prefix` takes, in float32."""

    def __init__(self, prefix: Prefix, dtype: torch.dtype) -> None:
        self._prefix, self._dtype = prefix, dtype

    def __call__(self, x: Tensor) -> Tensor:
        return self._prefix(x.to(self._dtype))

    def with_preactivation(self, x: Tensor) -> Activations:
        return self._prefix.with_preactivation(x.to(self._dtype))


def fast_prefix(network: Network, layer: TracedLayer, input_size: int, dtype: torch.dtype) -> FastPrefix:
    """The fastest copy that gives what the network gives at a layer, in numbers of type `dtype` if that is
    precise enough for this network. One that is not in float32 is left as it is.

    What a copy gives is compared with the network at first and remembered. Where a batch norm's input is
    itself the layer, a copy with folded norms gives something else, and one without is taken.
    """
    module = network.module
    itself = FastPrefix(Prefix(module, layer.name, layer.layout), network.dtype)
    if network.dtype != torch.float32:
        return itself
    with _LOCK:
        copies = _COPIES.setdefault(module, _Copies())
    with copies.lock:
        chosen = copies.chosen(module, layer, test_pictures(module, input_size), dtype)
    return (
        itself if chosen is None else FastPrefix(Prefix(chosen, layer.name, layer.layout), dtype_of(chosen))
    )


class _Copies:
    """The copies of one network that some climb has asked for."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._made: dict[tuple[torch.device, bool, torch.dtype], nn.Module | None] = {}
        self._chosen: dict[tuple[str, torch.device, torch.dtype], tuple[bool, torch.dtype] | None] = {}

    def chosen(
        self, module: nn.Module, layer: TracedLayer, pictures: Tensor, dtype: torch.dtype
    ) -> nn.Module | None:
        """The copy to climb; None for the network itself."""
        key = (layer.name, pictures.device, dtype)
        if key not in self._chosen:
            self._chosen[key] = self._choice(module, layer, pictures, dtype)
        choice = self._chosen[key]
        return None if choice is None else self._copy(choice, module, pictures)

    def _choice(
        self, module: nn.Module, layer: TracedLayer, pictures: Tensor, dtype: torch.dtype
    ) -> tuple[bool, torch.dtype] | None:
        wanted = _values(module, layer, pictures)
        for folded in (True, False):
            # Half the bits would hide a norm that was folded where it must not be.
            if not self._agrees((folded, torch.float32), module, layer, pictures, wanted):
                continue
            if dtype != torch.float32 and self._agrees((folded, dtype), module, layer, pictures, wanted):
                return folded, dtype
            return folded, torch.float32
        return None

    def _agrees(
        self,
        kind: tuple[bool, torch.dtype],
        module: nn.Module,
        layer: TracedLayer,
        pictures: Tensor,
        wanted: list[Tensor],
    ) -> bool:
        """Whether a copy gives what is `wanted`, up to rounding."""
        try:
            made = self._copy(kind, module, pictures)
            if made is None:
                return False
            values = _values(made, layer, pictures)
        except (
            Exception
        ) as error:  # any code may run in a network, and not all of it in every type of numbers
            if is_exhaustion(error):
                raise
            return False
        return len(values) == len(wanted) and all(
            bool((one - other).norm() <= ROUNDING[kind[1]] * other.norm())
            for one, other in zip(values, wanted, strict=True)
        )

    def _copy(self, kind: tuple[bool, torch.dtype], module: nn.Module, pictures: Tensor) -> nn.Module | None:
        key = (pictures.device, *kind)
        if key not in self._made:
            self._made = {k: made for k, made in self._made.items() if k[0] == pictures.device}
            self._made[key] = None  # stays so where a copy cannot be made
            self._made[key] = _copied(module, pictures, *kind)
        return self._made[key]


def _values(module: nn.Module, layer: TracedLayer, pictures: Tensor) -> list[Tensor]:
    """What a layer gives for pictures, and what its activation function is given, in float32."""
    with torch.no_grad():
        x = pictures.to(dtype_of(module))
        output, before = Prefix(module, layer.name, layer.layout).with_preactivation(x)
    return [values.float().nan_to_num() for values in (output, before) if values is not None]


def dtype_of(module: nn.Module) -> torch.dtype:
    """The type that most of a network's weights have."""
    sizes: dict[torch.dtype, int] = {}
    for tensor in chain(module.parameters(), module.buffers()):
        if tensor.is_floating_point():
            sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.numel()
    return max(sizes, key=lambda dtype: sizes[dtype])


def _copied(module: nn.Module, pictures: Tensor, folded: bool, dtype: torch.dtype) -> nn.Module:
    made = shallow_copy(module)
    if folded:
        fold_batch_norms(made, pictures.clone(memory_format=torch.preserve_format))
    convert(made, dtype)
    _keep_inputs(made)
    if pictures.device.type == "cpu":
        suit_cpu(made, dtype)
    return made


def _keep_inputs(module: nn.Module) -> None:
    """Let activation functions make new tensors: for its gradient, one in place copies what it is given."""
    for part in module.modules():
        if is_activation(part) and getattr(part, "inplace", False) is True:
            part.inplace = False  # type: ignore[assignment]


def shallow_copy(module: Module) -> Module:
    """A copy of the modules with the same tensors."""
    tensors = chain(module.parameters(), module.buffers())
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})


def convert(module: nn.Module, dtype: torch.dtype) -> None:
    """Put other tensors in place of the weights, which may be shared; batch norms keep theirs."""
    made: dict[int, nn.Parameter] = {}
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            continue
        for name, weight in part._parameters.items():
            if weight is not None and weight.is_floating_point():
                lower = made.setdefault(id(weight), nn.Parameter(weight.to(dtype), requires_grad=False))
                part._parameters[name] = lower
        for name, buffer in part._buffers.items():
            if buffer is not None and buffer.is_floating_point():
                part._buffers[name] = buffer.to(dtype)


_LOCK = threading.Lock()
_COPIES: "WeakKeyDictionary[nn.Module, _Copies]" = WeakKeyDictionary()
