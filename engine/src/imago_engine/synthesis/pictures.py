"""What is asked of an ascent and what it gives."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imago_engine.synthesis.receptive_fields.receptive_field import Box
from imago_engine.synthesis.stored_pixels import Prediction


@dataclass(frozen=True)
class Item:
    """One picture asked for. `position` is (y, x) of a channel, None for its centre; `seed` draws its first
    code.
    """

    unit: int
    seed: int
    position: tuple[int, int] | None = None


@dataclass(frozen=True)
class Picture:
    """The result of one item.

    `image` is uint8 [S, S, 3] RGB; `code` float32 [*code_shape], None where no generator took part;
    `activation` is measured on `image` as stored; it is no number where the network gives none, or where the
    generator gave no picture. `trace` float32 [steps] has the activation before each step (fewer if nothing
    moved it). `crop_box` is the unit's receptive field in pixels of `image`, None where it is the whole
    input. `predictions` are the network's five most probable classes of `image`, None for a network without
    logits, and where these are no numbers. `skipped_steps` counts steps without a finite gradient. With
    status `unreachable` nothing that was tried excites the unit: `image` shows no preference of it. `score`
    says how good the network finds the whole of `image` (`scoring.scores`), None where it is unreachable or
    no number.
    """

    image: NDArray[np.uint8]
    code: NDArray[np.float32] | None
    activation: float
    trace: NDArray[np.float32]
    status: Literal["done", "unreachable"]
    predictions: list[Prediction] | None
    crop_box: Box | None
    skipped_steps: int
    score: float | None = None
