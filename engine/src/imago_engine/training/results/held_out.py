"""How well a generator inverts the encoder, on pictures that it was not trained on."""

import numpy as np
import torch
import torch.nn.functional as F

from imago_engine.training.recipes.losses import code_loss, feature_loss, layout_loss, texture_loss
from imago_engine.training.run.training import Training

PICTURES = 256
"""At most so many are measured, the same ones each time: a training stands still meanwhile."""
AT_ONCE = 64
"""So many go through the feature network together, which bounds the memory that this takes."""


@torch.no_grad()
def held_out_metrics(training: Training) -> dict[str, float]:
    """Of the generator that would be shipped: `pixels` (mean squared error of RGB in [0, 1]), `layout`,
    `features`, `code` and `texture` (see `recipes.losses`).

    Features and codes are those of the feature network at the recipe's `measured_at` pixels. NaN when nothing
    is held out.
    """
    index = training.prepared.index
    rows = np.arange(index.train, index.train + min(PICTURES, index.held_out))
    totals = np.zeros(5)
    for part in np.split(rows, range(AT_ONCE, len(rows), AT_ONCE)):
        if not len(part):
            continue
        real, made = training.pictures_of(part), training.reconstructions(part)
        size, features = (training.recipe.measured_at,) * 2, training.recipe.context.features
        real_taps, real_code = features(F.interpolate(real, size, mode="bilinear", align_corners=False))
        made_taps, made_code = features(F.interpolate(made, size, mode="bilinear", align_corners=False))
        errors = (
            F.mse_loss(made, real) / 4,
            layout_loss(made, real),
            feature_loss(made_taps[2:], real_taps[2:]),
            code_loss(made_code, real_code),
            texture_loss(made, real),
        )
        totals += len(part) * np.array([float(e) for e in errors])
    means = totals / len(rows) if len(rows) else np.full(5, np.nan)
    names = ("pixels", "layout", "features", "code", "texture")
    return dict(zip(names, (round(float(m), 5) for m in means), strict=True))
