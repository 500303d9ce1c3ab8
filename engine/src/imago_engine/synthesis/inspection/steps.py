"""The steps by which a network comes from a picture to its answer: blocks, and single layers of weights.

No list of architectures: a **block** is a module of several layers of weights that a picture cannot be
followed through one layer after the other, because something leads around them (a residual sum, branches, a
concatenation), or that somebody has written a class for. A module that is a chain of blocks is a **stage**
and is opened: its blocks are the steps. Plain chains of layers (VGG) are opened too: each layer is a step.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from torch import nn

from imago_engine.synthesis.inspection.flow import Call, Flow
from imago_engine.synthesis.inspection.layer_kinds import layer_kind


@dataclass(frozen=True)
class Step:
    """`call` is a block, or a module with one layer of weights."""

    call: Call
    is_block: bool


@dataclass
class Steps:
    """Finds the steps of one network."""

    flow: Flow
    output: str | None
    """Name of the layer of the logits."""
    listed: Callable[[Call], object]
    """Whether anything of the network's layers stands for a module's result."""
    _closed: set[type[nn.Module]] = field(default_factory=set)
    """Classes of which one module is a block: then all are, those too that happen to be plain chains."""
    _weights: dict[Call, int] = field(default_factory=dict)

    def find(self) -> list[Step]:
        """The steps in the order in which they finish."""
        first = list(self._steps_of(self.flow.whole))
        self._closed = {type(step.call.module) for step in first if step.is_block} - {nn.Sequential}
        return list(self._steps_of(self.flow.whole))

    def _steps_of(self, call: Call) -> Iterator[Step]:
        for part, on_the_way in self._parts(call):
            if self.weights(part) == 1:
                if on_the_way or self._is_most(call):
                    yield Step(part, is_block=False)
            elif self._is_opened(part, on_the_way):
                yield from self._steps_of(part)
            else:
                yield Step(part, is_block=True)

    def _parts(self, call: Call) -> list[tuple[Call, bool]]:
        """The modules with weights that run in `call`, those of `nn.Sequential` as if they were its own, and
        whether all of the picture passes them on its way through it."""
        passages = self.flow.passages(call)

        def inner(of: Call) -> Iterator[tuple[Call, bool]]:
            for part in of.inner:
                if not part.given or not self.weights(part):
                    continue
                on_the_way = len(part.given) == 1 and part.given[0] in passages
                if on_the_way and _is_bare(part) and self.weights(part) > 1:
                    yield from inner(part)
                else:
                    yield part, on_the_way

        return list(inner(call))

    def _is_opened(self, call: Call, on_the_way: bool) -> bool:
        if self.output is not None and self.output.startswith(f"{call.name}."):
            return True
        if not self.listed(call):
            return True
        is_most = self._is_most(call)
        if type(call.module) in self._closed and not is_most:
            return False
        parts, weights = self._parts(call), self.weights(call)
        passed = [self.weights(part) for part, passes in parts if passes]
        if 2 * sum(passed) <= weights:
            # The network itself, wrapped, though ways lead around its blocks (U-Net).
            classes = Counter(type(part.module) for part, _ in parts if self.weights(part) > 1)
            return is_most and max(classes.values(), default=0) > 1
        blocks = [count for count in passed if count > 1]
        if 2 * sum(blocks) > weights and (len(blocks) > 1 or sum(blocks) == weights):
            return True
        return is_most or (on_the_way and _is_bare(call))

    def _is_most(self, call: Call) -> bool:
        """Whether it is the network, or what somebody has wrapped as one."""
        return 2 * self.weights(call) > self.weights(self.flow.whole)

    def weights(self, call: Call) -> int:
        """How many layers of weights run in it."""
        if call not in self._weights:
            within = sum(self.weights(part) for part in call.inner)
            self._weights[call] = within or int(not call.inner and _has_weights(call.module))
        return self._weights[call]


def _is_bare(call: Call) -> bool:
    """Whether it does nothing but run its modules one after the other."""
    return type(call.module).forward is nn.Sequential.forward


def _has_weights(module: nn.Module) -> bool:
    """Whether a module in which no other runs mixes channels or places by weights."""
    kind = layer_kind(module)
    if kind in ("conv", "linear"):
        return True
    matrices = (parameter for parameter in module.parameters() if sum(s > 1 for s in parameter.shape) > 1)
    return kind != "norm" and next(matrices, None) is not None
