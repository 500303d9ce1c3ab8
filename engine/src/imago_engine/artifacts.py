"""Artifacts: what a technique makes of one spec, ready to be stored."""

from dataclasses import dataclass
from enum import StrEnum


class ArtifactKind(StrEnum):
    """What an artifact shows."""

    IMAGE = "image"
    """The picture."""
    CROP = "crop"
    """The part of the picture that the unit sees: its receptive field."""
    CODE = "code"
    """The generator's input that gives the picture, float32."""
    TRACE = "trace"
    """The activation before each step, float32."""
    FRAMES = "frames"
    """The pictures on the way from the start to the last one."""


@dataclass(frozen=True)
class Artifact:
    """One file: `media_type` such as image/png says how its `bytes` are encoded."""

    kind: ArtifactKind
    media_type: str
    bytes: bytes
