"""What a network is, and what every source of networks must provide."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

SourceName = Literal["efficientnet-lite", "torchvision", "timm", "file"]


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


@dataclass(frozen=True)
class Preprocessing:
    """From RGB in [0, 1] to a network's input: `(rgb - mean) / std`, the channels then reversed if `bgr`.

    `size` is the side of the square input in pixels. `mean` and `std` are in RGB order, in units of [0, 1].
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bgr: bool = False

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
class Stated:
    """What the caller knows better than a network's source; None where the source is right.

    The fields are those of `Preprocessing`; `labels` names the classes in index order.
    """

    size: int | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    bgr: bool | None = None
    labels: tuple[str, ...] | None = None

    def over(self, found: Preprocessing) -> Preprocessing:
        """`found` with what is stated in its place."""
        return Preprocessing(
            found.size if self.size is None else self.size,
            found.mean if self.mean is None else self.mean,
            found.std if self.std is None else self.std,
            found.bgr if self.bgr is None else self.bgr,
        )


@dataclass(frozen=True)
class NetworkReference:
    """Which network to load.

    `id` is `architecture.tag`: `efficientnet_lite0.imagenet`, `resnet18.IMAGENET1K_V1` (torchvision),
    `resnet18.a1_in1k` (timm); `weights` is the tag, and may be left out. For source `file`, `id` is the
    caller's own name, `architecture` is `torchvision:NAME` or `timm:NAME`, `weights` the path of a
    safetensors file, and `classes` (optional) its number of outputs.
    """

    id: str
    source: SourceName
    architecture: str
    weights: str | None = None
    classes: int | None = None
    stated: Stated = Stated()

    @property
    def tag(self) -> str:
        """The name of published weights, the part of the id after its first dot."""
        return self.weights or self.id.partition(".")[2]

    @classmethod
    def parse(cls, id: str) -> "NetworkReference":
        """Find the source that knows `id`. Raises `UnknownNetwork`, which names what would be accepted."""
        from worker.synthesis.sources import reference_by_id

        return reference_by_id(id)


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

    def reference(self, id: str) -> NetworkReference | None:
        """The reference of `id`, or None if it is not one of this source."""

    def load(self, reference: NetworkReference) -> LoadedNetwork:
        """Load it. Raises `NetworkError`."""
