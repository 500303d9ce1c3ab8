"""What a network is, and what every source of networks must provide."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor, nn

from imago_engine import networks
from imago_engine.networks import NetworkReference, SourceName


class NetworkError(ValueError):
    """A network cannot be loaded or used.

    `reason` says what was expected and what was found, but not of which network: whoever shows it beside the
    network's name takes it alone. The text of the error begins with the id, where `network` tells it.
    """

    def __init__(self, reason: str, network: str | None = None) -> None:
        super().__init__(reason if network is None else f"{network}: {reason}")
        self.reason = reason
        self.network = network


class OutOfReach(NetworkError):
    """Its weights cannot be had on this machine now; at another time, or on another one, they may."""


class UnknownNetwork(NetworkError):
    """No source knows a network of this id."""


class Preprocessing(networks.Preprocessing):
    """A network's preprocessing, ready to be applied."""

    def __call__(self, rgb01: Tensor) -> Tensor:
        """Map RGB [N, 3, S, S] in [0, 1] to the input of the network, same shape, dtype and device."""
        mean, std = _constants(self.mean, self.std, rgb01.device, rgb01.dtype)
        x = (rgb01 - mean) / std
        return x.flip(1) if self.bgr else x


@lru_cache(maxsize=64)
def _constants(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    # Kept per device and dtype: the ascent asks hundreds of times, and a fresh tensor is a copy to it. The
    # first to ask may do so in inference mode, whose tensors could not take part in a later ascent.
    with torch.inference_mode(False):
        return (
            torch.tensor(mean, device=device, dtype=dtype).view(1, 3, 1, 1),
            torch.tensor(std, device=device, dtype=dtype).view(1, 3, 1, 1),
        )


@dataclass(frozen=True)
class LoadedNetwork:
    """What a source returns: float32 on the CPU. `labels` is empty when the classes have no known names.

    `weights_sha256` is given only where a file's own hash names the weights; otherwise the state is hashed.
    """

    module: nn.Module
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    weights_sha256: str | None = None


class Source(Protocol):
    """A place that networks come from. Adding one: a class with these methods, registered in `sources`."""

    name: SourceName

    def ids(self) -> Iterable[str]:
        """All ids that this source can load."""

    def knows(self, reference: NetworkReference) -> bool:
        """Whether it has published weights of this architecture and tag."""

    def load(self, reference: NetworkReference) -> LoadedNetwork:
        """Load it. Raises `NetworkError`."""
