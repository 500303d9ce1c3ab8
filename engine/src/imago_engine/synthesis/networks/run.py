"""Running a network on test pictures while its layers are watched."""

import os
import pickle
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from imago_engine.synthesis.computing.exhaustion import is_exhaustion
from imago_engine.synthesis.inspection.returned_scores import leaves
from imago_engine.synthesis.networks.hooks import After, Inputs, watching
from imago_engine.synthesis.networks.recurrent import answer
from imago_engine.synthesis.sources.network_source import NetworkError

RESULT = ""
"""Stands for what the network returns, among the names of its layers."""
SAMPLED = (64, 8, 8)
"""Channels, rows and columns of a layer's output that two runs are compared by, at most."""


OWN_CHANCE = (random.Random, np.random.Generator, np.random.RandomState, torch.Generator)


class CannotRun(NetworkError):
    """The network's forward pass fails on the test pictures."""


@dataclass
class Run:
    """What was seen in one run: what the network returned, and some values [N, …] of each layer's output (all
    of them for a vector), and of the tensors that were returned under the name `RESULT`."""

    result: Any = None
    samples: dict[str, Tensor] = field(default_factory=dict)
    dropped_batch: bool = False
    """Whether layers gave [C] for one picture, after a bare squeeze."""
    drawn: frozenset[str] = frozenset()
    """Whose random numbers were drawn meanwhile: of torch, random and numpy, or of a generator of the
    network's own, by its attribute's name."""


Note = Callable[[str, nn.Module, Inputs, Tensor, bool], None]
"""Told of every tensor that a named module gives, and whether it was that module's first run, which alone
counts as the layer: pictures are made of it."""


class Watched:
    """The modules of a network under observation. Everything runs in the thread that made it."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._names = {part: name for name, part in module.named_modules() if name}
        self._note: Note | None = None
        self._ran: set[nn.Module] = set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Notice what the modules give while this is open."""
        functions: list[tuple[nn.Module, After]] = [(part, self._after) for part in self._names]
        with watching(after=functions):
            yield

    def run(self, pictures: Tensor, note: Note, seen: Run) -> None:
        """Run the network on its own copy of `pictures` [N, 3, S, S]. Raises `CannotRun`."""
        self._note = note
        self._ran.clear()
        before = self._states_of_chance(pictures.device)
        try:
            seen.result = answer(self._module, pictures.clone(memory_format=torch.preserve_format))
        except Exception as error:
            if is_exhaustion(error):
                raise
            count, size = pictures.shape[0], pictures.shape[-1]
            raise CannotRun(
                f"the network cannot run on pictures of {size} pixels ({count} at once): "
                f"{type(error).__name__}: {error}"
            ) from error
        finally:
            self._note = None
        after = self._states_of_chance(pictures.device)
        seen.drawn = frozenset(source for source in before if before[source] != after[source])
        # One picture's may lack the batch, after a bare squeeze.
        tensors = [t if t.shape[:1] == (len(pictures),) else t[None] for _, t in leaves(seen.result)]
        values = [sampled(t) for t in tensors if t.shape[0] == len(pictures)]
        if values:
            seen.samples[RESULT] = torch.cat(values, dim=1)

    def _states_of_chance(self, device: torch.device) -> dict[str, bytes]:
        own = {
            f"{self._names.get(part, '')}.{name}": _state_of(value)
            for part in self._module.modules()
            for name, value in vars(part).items()
            if isinstance(value, OWN_CHANCE)
        }
        return _states_of_chance(device) | own

    def _after(self, part: nn.Module, inputs: Inputs, output: Any) -> None:
        first = part not in self._ran
        self._ran.add(part)
        # Identity and dropout pass on what another layer gave.
        if not self._note or not isinstance(output, Tensor) or isinstance(part, nn.Identity | _DropoutNd):
            return
        if output.layout == torch.strided:  # a sparse tensor has no units in their places
            self._note(self._names[part], part, inputs, output, first)


def first_tensor(module: nn.Module) -> Tensor:
    """The parameter, or else the buffer, that tells the device and dtype a network runs in. Raises
    `NetworkError` for a network without any."""
    tensors = chain(module.parameters(), module.buffers())
    found = next((tensor for tensor in tensors if tensor.is_floating_point()), None)
    if found is None:
        raise NetworkError(
            "the network has no weights, neither parameters nor buffers of floating point: "
            "it was trained for nothing, and nothing tells on which device it runs"
        )
    return found


def test_pictures(module: nn.Module, size: int) -> Tensor:
    """Two unlike pictures [2, 3, size, size] with values in [0, 1], on the network's device: a dark one of
    little contrast and a bright one."""
    like = first_tensor(module)
    draw = torch.Generator().manual_seed(0)
    noise = torch.rand(2, 3, size, size, generator=draw, dtype=torch.float32, device="cpu")
    pictures = torch.stack([noise[0] * 0.4, 1 - noise[1] * 0.8]).to(like.device, like.dtype)
    if like.ndim == 4 and like.is_contiguous(memory_format=torch.channels_last):
        return pictures.contiguous(memory_format=torch.channels_last)
    return pictures


def sampled(output: Tensor) -> Tensor:
    """Some values of a tensor [N, …], the same ones each time: a copy [N, ≤ 4096]. Vectors are kept whole;
    one number a picture, [N], becomes [N, 1]."""
    values = output.detach()
    if values.ndim == 4 and values.shape[2] * values.shape[3] > 1:
        channels, rows, columns = (-(-s // most) for s, most in zip(values.shape[1:], SAMPLED, strict=True))
        values = values[:, ::channels, ::rows, ::columns]
    elif values.ndim == 3:  # tokens
        tokens, channels = (-(-s // SAMPLED[0]) for s in values.shape[1:])
        values = values[:, ::tokens, ::channels]
    if values.is_quantized:
        values = values.dequantize()
    if values.is_complex():
        values = torch.view_as_real(values)
    return values.reshape(len(values), -1).clone()


def _states_of_chance(device: torch.device) -> dict[str, bytes]:
    """Where the process's random numbers are at, by their source: another place once one was drawn."""
    numpy = np.random.get_state(legacy=False)
    states = {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "random": repr(random.getstate()).encode(),
        "numpy": repr((numpy["state"]["key"].tobytes(), numpy["state"]["pos"], numpy["has_gauss"])).encode(),
    }
    if device.type == "cuda":
        states["torch"] += torch.cuda.get_rng_state(device).numpy().tobytes()
    return states


def _state_of(chance: Any) -> bytes:
    if isinstance(chance, torch.Generator):
        return chance.get_state().numpy().tobytes()
    if isinstance(chance, np.random.Generator):
        return pickle.dumps(chance.bit_generator.state)
    if isinstance(chance, np.random.RandomState):
        return pickle.dumps(chance.get_state(legacy=False))
    if isinstance(chance, random.SystemRandom):
        return os.urandom(16)  # it has no state: perhaps something was drawn
    return repr(chance.getstate()).encode()
