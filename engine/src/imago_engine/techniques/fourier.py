"""Fourier: the coefficients of a picture's waves climb, scaled as in natural pictures. Needs no generator."""

from imago_engine.artifacts import ArtifactKind
from imago_engine.techniques.base import Technique
from imago_engine.techniques.canvas import CanvasParameters


class Fourier(CanvasParameters):
    """Fourier: activation maximization of the scaled Fourier coefficients of a picture (Olah et al. 2017)."""


TECHNIQUE = Technique(
    id="fourier",
    version="3",
    Parameters=Fourier,
    needs=frozenset(),
    artifacts=(ArtifactKind.IMAGE, ArtifactKind.CROP, ArtifactKind.TRACE),
)
