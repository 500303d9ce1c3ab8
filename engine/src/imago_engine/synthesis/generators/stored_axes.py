"""How a generator's file stores the principal directions of its codes: many directions of long codes would be
a third of the file as float16, so they take 8 bits a number.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from imago_engine.synthesis.generators.architectures import STANDARD_FLOOR

AXES, AXIS_SCALE = "code_axes", "code_axis_scale"
LARGEST = 1 << 22
"""Numbers of all axes together that are stored as they are; more of them in 8 bits."""


def stored_axes(axes: Tensor, std: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
    """The tensors of a file for axes [R, *code_shape]: as `dtype`, or int8 with a scale [R].

    In 8 bits axes are counted in each code neuron's σ, as the generator's network sees them: a neuron that
    varies little is then stored as well as one that varies much.
    """
    if axes.numel() <= LARGEST:
        return {AXES: axes.to(dtype)}
    standard = axes.float() / (std.float() + STANDARD_FLOOR)  # [R, *code_shape]
    scale = standard.flatten(1).abs().amax(1).clamp_min(1e-12) / 127  # [R]
    return {AXES: (standard / _beside(scale, standard)).round().to(torch.int8), AXIS_SCALE: scale}


def loaded_axes(tensors: Mapping[str, Tensor]) -> Tensor | None:
    """The axes of a file's tensors [R, *code_shape], in the type of its statistics; None if it has none."""
    axes, scale, std = tensors.get(AXES), tensors.get(AXIS_SCALE), tensors["code_std"]
    if axes is None or scale is None:
        return axes
    standard = axes.float() * _beside(scale.float(), axes)
    return (standard * (std.float() + STANDARD_FLOOR)).to(std.dtype)


def _beside(scale: Tensor, axes: Tensor) -> Tensor:
    """[R] → [R, 1, …], to be multiplied with axes [R, *code_shape]."""
    return scale.view(-1, *[1] * (axes.ndim - 1))
