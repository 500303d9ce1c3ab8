"""Copies of a generator that are faster to climb through: the same pictures, up to rounding."""

import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.generators.code_spaces import CodeSpace, WhitenedSpace
from imago_engine.synthesis.generators.compact import CompactNetwork
from imago_engine.synthesis.networks.cpu_convolutions import suit_cpu
from imago_engine.synthesis.networks.fast_copies import convert, shallow_copy

Draw = Callable[[Tensor], Tensor]
"""Points of a code space [N, *space.shape] in float32 → RGB [N, 3, S, S]."""


def fast_generator(generator: Generator, space: CodeSpace, dtype: torch.dtype) -> Draw:
    """A copy that computes in numbers of type `dtype`, made once. A generator that is not in float32, or of
    another architecture than `compact`, is left as it is.
    """
    if generator.dtype != torch.float32 or not isinstance(generator.network, CompactNetwork):
        return lambda points: generator(space.code(points).to(generator.dtype))
    key = (isinstance(space, WhitenedSpace), generator.code_mean.device, dtype)
    with _LOCK:
        copies = _COPIES.setdefault(generator, {})
        if key not in copies:
            copies[key] = _Copy(generator, space, dtype)
        made = copies[key]
    return made if key[0] else lambda points: made(space.code(points))


class _Copy:
    """The copy, of whitened points or else of codes.

    A code's way from its coordinates into the network is linear and far wider than both ends: it becomes one
    matrix.
    """

    def __init__(self, generator: Generator, space: CodeSpace, dtype: torch.dtype) -> None:
        self._generator, self._dtype = shallow_copy(generator), dtype
        network = self._generator.network
        assert isinstance(network, CompactNetwork)
        self._entry = _Entry(self._generator, network, space) if isinstance(space, WhitenedSpace) else None
        self._network = network
        convert(self._network, dtype)
        if self._entry is not None:
            convert(self._entry.linear, dtype)
        if generator.code_mean.device.type == "cpu":
            suit_cpu(self._network, dtype)

    def __call__(self, points: Tensor) -> Tensor:
        if self._entry is None:
            pixels = self._network(self._generator.standardised(points).to(self._dtype))
        else:
            pixels = self._network.drawn(*self._entry(points.to(self._dtype)))
        return self._generator.rgb(pixels.float())


class _Entry:
    """Coordinates [N, R] → what `CompactNetwork.entered` makes of their codes."""

    @torch.no_grad()
    def __init__(self, generator: Generator, network: CompactNetwork, space: WhitenedSpace) -> None:
        (count,) = space.shape
        axes = torch.eye(count, dtype=torch.float32, device=space.centre.device)
        points = torch.cat([space.centre[None], axes])
        parts = network.entered(generator.standardised(space.code(points)))
        self._shapes = [None if part is None else part.shape[1:] for part in parts]
        values = torch.cat([part.flatten(1) for part in parts if part is not None], dim=1)  # [1 + R, …]
        self.linear = nn.Linear(count, values.shape[1], dtype=torch.float32, device="meta")
        self.linear.weight = nn.Parameter((values[1:] - values[0]).T.contiguous(), requires_grad=False)
        self.linear.bias = nn.Parameter(values[0].clone(), requires_grad=False)

    def __call__(self, points: Tensor) -> list[Any]:
        sizes = [0 if shape is None else shape.numel() for shape in self._shapes]
        parts = self.linear(points).split(sizes, dim=1)
        return [
            None if shape is None else part.reshape(-1, *shape)
            for part, shape in zip(parts, self._shapes, strict=True)
        ]


_LOCK = threading.Lock()
_COPIES: "WeakKeyDictionary[Generator, dict[tuple[bool, torch.device, torch.dtype], _Copy]]" = (
    WeakKeyDictionary()
)
