"""Artifacts: what a technique makes of one spec, ready to be stored."""

from dataclasses import dataclass
from enum import StrEnum

SMALL_BELOW = 64
"""Pixels of the longer side. A smaller picture, as those of early layers are, is looked at pixel by pixel, so
that no file of it may blur its colours: formats that lose something keep colours at half the resolution."""


class ArtifactKind(StrEnum):
    """What an artifact shows, and the suffix of the files that hold such.

    A new kind is a line here: whatever stores, delivers, checks, repairs or copies artifacts names none.
    """

    suffix: str

    def __new__(cls, value: str, suffix: str) -> "ArtifactKind":
        kind = str.__new__(cls, value)
        kind._value_ = value
        kind.suffix = suffix
        return kind

    IMAGE = "image", "png"
    """The picture. Every spec that is done has one."""
    CROP = "crop", "png"
    """The part of the picture that the unit sees: its receptive field."""
    CODE = "code", "safetensors"
    """The generator's input that gives the picture: one float32 tensor `code`."""
    TRACE = "trace", "npy"
    """The activation before each step, float32 [steps]."""
    FRAMES = "frames", "webp"
    """The pictures on the way from the start to the last one."""


@dataclass(frozen=True)
class Artifact:
    """One file: `media_type` such as image/png says how its `bytes` are encoded. `width` and `height` are
    those of a picture, in pixels.
    """

    kind: ArtifactKind
    media_type: str
    bytes: bytes
    width: int | None = None
    height: int | None = None
