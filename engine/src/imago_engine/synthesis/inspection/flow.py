"""How a picture flows through a network: which modules run within which others, and through whose results all
of it passes.

The operations are those of autograd's graph, which knows of views, writes in place and branches. They are
numbered in the order in which they were made.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from imago_engine.synthesis.inspection.returned_scores import leaves
from imago_engine.synthesis.networks.hooks import Inputs, watching
from imago_engine.synthesis.networks.recurrent import answer

VIEWS = frozenset(
    f"{name}Backward0"
    for name in (
        *("View", "UnsafeView", "ReshapeAlias", "Alias", "Clone", "ToCopy", "Permute", "Transpose", "T"),
        *("Squeeze", "Unsqueeze"),
    )
) | {"SqueezeBackward1", "SqueezeBackward2", "SqueezeBackward3"}
"""Operations that pass all values on, perhaps with other axes."""
NOWHERE = -1
"""Number of the picture itself."""


@dataclass(eq=False)
class Call:
    """A module's first run, which alone counts as the layer."""

    name: str
    module: nn.Module
    began: int
    """Operations from this number on are its own."""
    taken: int = NOWHERE
    """The operation that made its first input."""
    given: tuple[int, ...] = ()
    """The operations that made its results; empty where none depends on the picture."""
    inner: list["Call"] = field(default_factory=list)
    """What ran within it, in order."""

    def below(self) -> Iterator["Call"]:
        """It and all within it, in the order in which they finish."""
        for call in self.inner:
            yield from call.below()
        yield self


@dataclass(frozen=True)
class Flow:
    """One run of a network."""

    whole: Call
    """The network itself."""
    sources: dict[int, tuple[int, ...]]
    """By operation, those that it takes its operands from."""
    views: frozenset[int]
    """Those of `VIEWS`."""

    def values(self, operation: int) -> int:
        """The operation that made the values which this one may only have passed on."""
        while operation in self.views:
            operation = self.sources[operation][0]
        return operation

    def passages(self, call: Call) -> frozenset[int]:
        """The operations of `call` through which every way from the picture to its results leads.

        In the order in which operations were made, those over which no operand is handed.
        """
        reached: set[int] = set()
        waiting = list(call.given)
        while waiting:
            operation = waiting.pop()
            if operation >= call.began and operation not in reached:
                reached.add(operation)
                waiting.extend(self.sources.get(operation, ()))
        order = sorted(reached)
        place = {operation: n for n, operation in enumerate(order)}
        handed = [(source, place[taker]) for taker in order for source in self.sources.get(taker, ())]
        handed += [(given, len(order)) for given in call.given]
        # Steps of the number of operands that are handed over a place.
        steps = [0] * (len(order) + 2)
        for source, until in handed:
            steps[place.get(source, NOWHERE) + 1] += 1
            steps[until] -= 1
        over, found = 0, set()
        for n, operation in enumerate(order):
            over += steps[n]
            if over == 0:
                found.add(operation)
        return frozenset(found)


def follow(module: nn.Module, pictures: Tensor) -> Flow:
    """Run the network once on `pictures` [N, 3, S, S] and tell what ran."""
    names = {part: name for name, part in module.named_modules()}
    whole = Call("", module, NOWHERE)
    open_calls: list[tuple[nn.Module, Call]] = []
    ran: set[nn.Module] = set()
    made: dict[int, Any] = {}

    def number(tensor: Tensor) -> int:
        node = tensor.grad_fn
        if node is None:
            return NOWHERE
        # Held, so that what is written in place later takes nothing away.
        made[_number(node)] = node
        return _number(node)

    def before(part: nn.Module, inputs: Inputs) -> None:
        within = open_calls[-1][1] if open_calls else whole
        if part in ran:
            open_calls.append((part, within))
            return
        ran.add(part)
        call = whole if part is module else Call(names[part], part, torch._C._autograd._get_sequence_nr())
        if inputs and isinstance(inputs[0], Tensor):
            call.taken = number(inputs[0])
        if call is not whole:
            within.inner.append(call)
        open_calls.append((part, call))

    def after(part: nn.Module, inputs: Inputs, output: Any) -> None:
        if not any(opened is part for opened, _ in open_calls):
            return
        while True:  # what raised and was caught has not been closed
            opened, call = open_calls.pop()
            if opened is part:
                break
        if call.module is part and not call.given:
            numbers = (number(tensor) for _, tensor in leaves(output))
            call.given = tuple(dict.fromkeys(n for n in numbers if n != NOWHERE))

    # A leaf of the graph, which a network that writes to its input must not be handed.
    x = pictures.clone(memory_format=torch.preserve_format).requires_grad_()
    with watching([(part, after) for part in names], [(part, before) for part in names]), torch.enable_grad():
        answer(module, x.clone(memory_format=torch.preserve_format))
    return Flow(whole, *_walked(made.values()))


def _number(node: Any) -> int:
    """Of a node of autograd's graph; what leaves accumulate is made by no operation."""
    number: int = node._sequence_nr()
    return NOWHERE if number >= 2**63 else number


def _walked(nodes: Iterable[Any]) -> tuple[dict[int, tuple[int, ...]], frozenset[int]]:
    sources: dict[int, tuple[int, ...]] = {}
    views: set[int] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        number = _number(node)
        if number == NOWHERE or number in sources:
            continue
        before = [source for source, _ in node.next_functions if source is not None]
        sources[number] = tuple(_number(source) for source in before)
        if node.name() in VIEWS and len(before) == 1:
            views.add(number)
        waiting.extend(before)
    return sources, frozenset(views)
