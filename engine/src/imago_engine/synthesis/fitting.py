"""Bringing the generator's picture to the network's input size, and boxes of the input back to the
picture."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from imago_engine.synthesis.receptive_fields.receptive_field import Box
from imago_engine.techniques.dgn_am import FitMode


class FitError(ValueError):
    """The picture cannot be brought to the network's input in the way that was asked for."""


@dataclass(frozen=True)
class Fit:
    """Pictures [N, 3, image_size, image_size] → [N, 3, input_size, input_size], cut from the centre or
    resized.

    The published crops are its cases: 256 → 227 starts at pixel 14, 256 → 224 at 16 (Nguyen et al. 2016).
    """

    image_size: int
    """Pixels, the side of the generator's pictures."""
    input_size: int
    """Pixels, the side of the network's input."""
    crops: bool
    """Whether the centre is cut out; else the picture is resized."""

    @classmethod
    def plan(cls, mode: FitMode, image_size: int, input_size: int) -> "Fit":
        """`auto` crops where the picture is at least as large as the input, else it resizes. Raises
        `FitError`."""
        if mode == "crop" and image_size < input_size:
            raise FitError(
                f"fit 'crop' needs a picture at least as large as the network's input: the generator gives "
                f"{image_size} pixels, the input has {input_size}; expected 'resize' or 'auto', or a smaller "
                "input_size"
            )
        return cls(image_size, input_size, crops=mode != "resize" and image_size >= input_size)

    @property
    def offset(self) -> int:
        """First row and column of the crop."""
        return (self.image_size - self.input_size) // 2 if self.crops else 0

    def __call__(self, image: Tensor) -> Tensor:
        if self.image_size == self.input_size:
            return image
        if self.crops:
            end = self.offset + self.input_size
            return image[:, :, self.offset : end, self.offset : end]
        side = (self.input_size, self.input_size)
        shrinks = self.input_size < self.image_size  # without the filter, shrinking would skip pixels
        return F.interpolate(image, side, mode="bilinear", align_corners=False, antialias=shrinks)

    def in_picture(self, box: Box) -> Box:
        """A box of the network's input in pixels of the picture, rounded outwards."""
        if self.crops:
            return Box(*(edge + self.offset for edge in box))
        scale = self.image_size / self.input_size
        left, top, right, bottom = (edge * scale for edge in box)
        return Box(math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))


def shifted(x: Tensor, shifts: Tensor) -> Tensor:
    """Move each picture of [N, 3, S, S] by its own whole pixels, `shifts` [N, 2] (down, right); edges are
    repeated."""
    size = x.shape[-1]
    index = torch.arange(size, device=x.device)
    rows = (index - shifts[:, :1]).clamp(0, size - 1)  # [N, S]
    columns = (index - shifts[:, 1:]).clamp(0, size - 1)  # [N, S]
    x = torch.take_along_dim(x, rows[:, None, :, None], dim=2)
    return torch.take_along_dim(x, columns[:, None, None, :], dim=3)
