"""Pixel: a picture's pixels climb themselves. Needs no generator; the plainest prior to compare with."""

from imago_engine.artifacts import ArtifactKind
from imago_engine.techniques.base import Technique
from imago_engine.techniques.canvas import CanvasParameters


class Pixel(CanvasParameters):
    """Pixel: activation maximization of the pixels of a picture (Olah et al. 2017)."""


TECHNIQUE = Technique(
    id="pixel",
    version="3",
    Parameters=Pixel,
    needs=frozenset(),
    artifacts=(ArtifactKind.IMAGE, ArtifactKind.CROP, ArtifactKind.TRACE),
)
