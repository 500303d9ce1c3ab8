"""Fourier: points are the coefficients of a picture's waves, scaled by 1 / frequency as in natural pictures
(Lucid; Olah, Mordvintsev and Schubert 2017).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from imago_engine.synthesis.canvas import CanvasClimb
from imago_engine.synthesis.climb import Context
from imago_engine.synthesis.pictures import Item
from imago_engine.techniques.canvas import CanvasParameters

CONTRAST = 1 / 4
"""Lucid's: keeps the sigmoid from saturating."""


def prepare(context: Context[CanvasParameters], items: Sequence[Item]) -> "FourierClimb":
    """A climb of Fourier coefficients from random ones."""
    return FourierClimb(context, items)


class FourierClimb(CanvasClimb):
    """A point is [3, S, S // 2 + 1, 2]: real and imaginary part of each wave of each colour."""

    def __init__(self, context: Context[CanvasParameters], items: Sequence[Item]) -> None:
        super().__init__(context, items)
        rows = torch.fft.fftfreq(self.size, dtype=torch.float32)[:, None]
        columns = torch.fft.rfftfreq(self.size, dtype=torch.float32)[None]
        # The lowest frequency is that of one wave a picture.
        scale = 1 / torch.hypot(rows, columns).clamp_min(1 / self.size)  # [S, S // 2 + 1]
        self.scale = scale.to(self.device)

    def point_shape(self, size: int) -> tuple[int, ...]:
        return (3, size, size // 2 + 1, 2)

    def field(self, points: Tensor) -> Tensor:
        spectrum = torch.view_as_complex(points) * self.scale  # [M, 3, S, S // 2 + 1]
        field: Tensor = torch.fft.irfft2(spectrum, s=(self.size, self.size), norm="ortho")
        return field * CONTRAST
