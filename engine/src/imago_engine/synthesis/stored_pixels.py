"""What is measured on a finished picture, as it is stored: after the round trip through 8 bits a channel."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from imago_engine.synthesis.inspection.output_layer import Squash

Prediction = tuple[int, float]
Predictions = list[Prediction] | None
KEPT = 5
"""So many predictions are kept of each picture: classifiers are usually compared by their best five."""


def to_bytes(rgb01: Tensor) -> Tensor:
    """RGB [N, 3, S, S] in [0, 1] (clamped to it) → uint8 of the same shape, rounded to the nearest of 256
    values."""
    return (rgb01.float().clamp(0, 1) * 255).round().to(torch.uint8)


def is_picture(rgb01: Tensor) -> Tensor:
    """[N]: whether all of [N, 3, S, S] is finite. A generator that is driven out of its range gives no
    number."""
    return torch.isfinite(rgb01).flatten(1).all(1)


def from_bytes(pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 RGB → the same shape in [0, 1]."""
    return (pixels.float() / 255).to(dtype)


def as_images(pixels: Tensor) -> NDArray[np.uint8]:
    """uint8 [N, 3, S, S] → array [N, S, S, 3] in memory of the host."""
    return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def log_probabilities(logits: Tensor, squash: Squash = "softmax") -> Tensor:
    """Logits [N, C] → the logarithms of the probabilities that the network makes of them, in float32."""
    return logits.float().log_softmax(1) if squash == "softmax" else F.logsigmoid(logits.float())


def top_predictions(
    logits: Tensor, squash: Squash = "softmax", *, of: Tensor | None = None
) -> list[Predictions]:
    """Logits [N, C] (or [N, C, 1, 1]) → for each picture its most probable (class, probability), best first.
    None for one whose probabilities are no numbers, and for those that are not `of` [N].
    """
    values = logits.float().flatten(1)
    probabilities = values.softmax(1) if squash == "softmax" else values.sigmoid()
    told = probabilities.isfinite().all(1)
    best = probabilities.topk(min(KEPT, probabilities.shape[1]), dim=1)
    return [
        list(zip(classes, values, strict=True)) if known else None
        for classes, values, known in zip(
            best.indices.tolist(),
            best.values.tolist(),
            (told if of is None else told & of.to(told.device)).tolist(),
            strict=True,
        )
    ]
