"""What each layer of a network is to a person: stem, block, head, output, or another layer's twin."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from imago_engine.networks import Role
from imago_engine.synthesis.inspection.anatomy import Anatomy, TracedLayer
from imago_engine.synthesis.inspection.flow import Call, Flow, follow
from imago_engine.synthesis.inspection.steps import Step, Steps
from imago_engine.synthesis.networks.modes import own_modes
from imago_engine.synthesis.networks.run import test_pictures


@dataclass(frozen=True)
class Part:
    """What one layer is, as `LayerInfo` has it."""

    role: Role | None = None
    twin_of: str | None = None


def find_parts(module: nn.Module, input_size: int, traced: Anatomy) -> dict[str, Part]:
    """What each layer of `traced` is, by name. The network is run once more for it."""
    with own_modes():
        flow = follow(module, test_pictures(module, input_size)[: traced.least_batch])
    return _Parts(flow, traced).found()


class _Parts:
    def __init__(self, flow: Flow, traced: Anatomy) -> None:
        self._flow = flow
        self._output = traced.output
        # A hidden module that is called `output` is listed with a dot before it.
        listed = {name.removeprefix("."): layer for name, layer in traced.layers.items()}
        self._layers = {call: listed[call.name] for call in flow.whole.below() if call.name in listed}
        self._sharing: dict[int, list[Call]] = {}
        """Layers by the operation that made their values, in the order in which they finish."""
        for call in self._layers:
            if len(call.given) == 1:
                self._sharing.setdefault(flow.values(call.given[0]), []).append(call)
        self._of_output = {
            self._layers[call].name
            for sharing in self._sharing.values()
            if self._output in [self._layers[call].name for call in sharing]
            for call in sharing
        }
        self._steps = Steps(flow, self._output, self._layer_of)
        self._roles = self._found_roles(self._steps.find())

    def found(self) -> dict[str, Part]:
        return {
            layer.name: Part(self._roles.get(layer.name), self._twin_of(call, layer))
            for call, layer in self._layers.items()
        }

    def _found_roles(self, steps: Sequence[Step]) -> dict[str, Role]:
        found: dict[str, tuple[TracedLayer, bool]] = {}
        for step in steps:
            layer = self._layer_of(step.call) if step.is_block else self._weights_of(step.call)
            if layer is not None and layer.name not in self._of_output:
                found.setdefault(layer.name, (layer, step.is_block))
        order = list(found.values())
        first, end = _span_of_blocks(order)
        roles: dict[str, Role] = {
            layer.name: "block" if first <= n < end else "stem" if n < first else "head"
            for n, (layer, _) in enumerate(order)
        }
        return roles if self._output is None else roles | {self._output: "output"}

    def _layer_of(self, call: Call) -> TracedLayer | None:
        """The layer that has a module's result: itself, or the outermost one that has it too (a block may
        return a tuple of one)."""
        if call in self._layers:
            return self._layers[call]
        sharing = self._sharing.get(self._flow.values(call.given[0])) if len(call.given) == 1 else None
        return self._layers[sharing[-1]] if sharing else None

    def _weights_of(self, call: Call) -> TracedLayer | None:
        """The one layer of weights in a module, or else the innermost one around it."""
        return next(
            (
                self._layers[part]
                for part in call.below()
                if part in self._layers and self._steps.weights(part)
            ),
            None,
        )

    def _twin_of(self, call: Call, layer: TracedLayer) -> str | None:
        if layer.name in self._roles or len(call.given) != 1:
            return None
        first = self._first_twin(self._flow.values(call.given[0]))
        return first.name if first is not layer and _is_alike(first, layer) else None

    def _first_twin(self, operation: int) -> TracedLayer:
        """Of the layers that are alike: the step of the network, or else the first to finish."""
        sharing = self._sharing[operation]
        for call in sharing:
            if self._layers[call].name in self._roles:
                return self._layers[call]
        for call in sharing:
            before = self._before(call)
            if before is not None and before < operation and before in self._sharing:
                first = self._first_twin(before)
                if _is_alike(first, self._layers[call]):
                    return first
        return self._layers[sharing[0]]

    def _before(self, call: Call) -> int | None:
        """What a norm or an activation was given, or the layer of weights in a module that adds no more than
        those to it."""
        if self._layers[call].kind in ("norm", "activation") or (
            not call.inner and "norm" in type(call.module).__name__.lower()
        ):
            return self._flow.values(call.taken)
        if call.inner and self._steps.weights(call) == 1:
            weights = next(part for part in call.below() if self._steps.weights(part) == 1)
            if len(weights.given) == 1 and weights.given[0] in self._flow.passages(call):
                return self._flow.values(weights.given[0])
        return None


def _span_of_blocks(order: Sequence[tuple[TracedLayer, bool]]) -> tuple[int, int]:
    """Where the blocks of a network begin and end among its steps: with the first and the last step that has
    several layers of weights. In plain chains, where no such step gives maps, they begin behind the first
    step and end before the vectors at the end. What comes first is a stem in any case."""
    blocks = [n for n, (_, is_block) in enumerate(order) if is_block]
    maps = [n for n, (layer, _) in enumerate(order) if math.prod(layer.shape) != layer.shape[0]]
    if set(blocks) & set(maps):
        return max(1, blocks[0]), blocks[-1] + 1
    return 1, maps[-1] + 1 if maps else len(order)


def _is_alike(first: TracedLayer, layer: TracedLayer) -> bool:
    """Whether two layers have the same units at as many places."""
    return (first.shape[0], math.prod(first.shape)) == (layer.shape[0], math.prod(layer.shape))
