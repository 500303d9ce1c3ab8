"""Running a network only up to one layer."""

from difflib import get_close_matches
from typing import Any, NamedTuple

from torch import Tensor, nn

from imago_engine.synthesis.networks.hooks import Inputs, watching
from imago_engine.synthesis.networks.layouts import Layout
from imago_engine.synthesis.networks.recurrent import answer


class LayerError(ValueError):
    """A layer does not exist, is not run, or gives no tensor of units."""


class _Reached(BaseException):
    """Ends a forward pass at the target layer. Not an `Exception`: a network's own handlers must let it
    through."""


class Activations(NamedTuple):
    """What a layer gives."""

    output: Tensor
    """[N, C] or [N, C, H, W]; T tokens are a map of T rows and one column."""
    before: Tensor | None
    """The same shape, before the layer's own last activation function; None when the layer does not end with
    one."""


class Prefix:
    """The part of a network up to the first run of a layer, as a function of the network's input.

    No later module runs, nothing stays on the network, also when the call fails, and calls of several threads
    on one network do not meet. `layout` is the layer's own, None for a vector or a map with its channels
    first. Raises `LayerError` for a layer that does not exist or is not run.
    """

    def __init__(self, module: nn.Module, layer: str, layout: Layout | None = None) -> None:
        self.module = module
        self.layer = layer
        self._layout = layout
        self._target = submodule(module, layer)

    def __call__(self, x: Tensor) -> Tensor:
        """Input [N, 3, S, S] → the layer's output with its units first, [N, C] or [N, C, H, W]."""
        found: list[Tensor] = []

        def reached(module: nn.Module, inputs: Inputs, output: Any) -> None:
            found.append(output)
            raise _Reached

        with watching(after=[(self._target, reached)]):
            try:
                answer(self.module, x)
            except _Reached:
                return self._checked(found[0])
        raise LayerError(f"layer {self.layer!r} is not run by the network's forward pass")

    def with_preactivation(self, x: Tensor) -> Activations:
        """As a call, and what the layer's last activation function (ReLU and its kin) was given."""
        found: list[Tensor] = []
        given: dict[int, Tensor] = {}

        def keep_input(module: nn.Module, inputs: Inputs) -> Inputs | None:
            given.pop(id(module), None)
            if not inputs:  # called by keyword
                return None
            given[id(module)] = inputs[0]
            # An in-place activation would write over what was kept.
            return (inputs[0].clone(), *inputs[1:]) if getattr(module, "inplace", False) else None

        last: list[tuple[Tensor, Tensor]] = []

        def keep_output(module: nn.Module, inputs: Inputs, output: Any) -> None:
            last[:] = [(given[id(module)], output)] if id(module) in given else []

        def reached(module: nn.Module, inputs: Inputs, output: Any) -> None:
            found.append(output)
            raise _Reached

        functions = [m for m in self._target.modules() if is_activation(m)]
        with watching(
            # The layer itself may be an activation: its output is kept before the pass is ended.
            after=[*((m, keep_output) for m in functions), (self._target, reached)],
            before=[(m, keep_input) for m in functions],
        ):
            try:
                answer(self.module, x)
            except _Reached:
                output = self._checked(found[0])
                before = last[0][0] if last and last[0][1] is found[0] else None
                return Activations(output, None if before is None else self._units_first(before))
        raise LayerError(f"layer {self.layer!r} is not run by the network's forward pass")

    def _checked(self, output: Any) -> Tensor:
        axes = (2, 4) if self._layout is None else (self._layout.axes,)
        if not isinstance(output, Tensor) or output.ndim not in axes:
            shape = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
            expected = "[N, C] or [N, C, H, W]" if self._layout is None else self._layout.value
            raise LayerError(f"layer {self.layer!r} gives {shape}, expected a tensor {expected}")
        return self._units_first(output)

    def _units_first(self, output: Tensor) -> Tensor:
        return output if self._layout is None else self._layout.units_first(output)


def submodule(module: nn.Module, layer: str) -> nn.Module:
    """The submodule of a dotted name, which may have a dot before it. Raises `LayerError` that lists names
    close to it."""
    names: dict[str, nn.Module] = dict(module.named_modules())
    layer = layer.removeprefix(".")
    if not layer or layer not in names:
        close = get_close_matches(layer, [name for name in names if name], n=5, cutoff=0.4)
        raise LayerError(
            f"layer {layer!r} does not exist; expected a dotted module name"
            + (f" such as {', '.join(close)}" if close else "")
        )
    return names[layer]


def is_activation(module: nn.Module) -> bool:
    """Whether a module is an elementwise activation function without parts of its own."""
    if next(module.children(), None) is not None or isinstance(module, nn.MultiheadAttention):
        return False
    home = type(module).__module__
    return home == "torch.nn.modules.activation" or home.startswith("timm.layers.activations")
