"""What a reconstruction must share with its picture, beside fooling the discriminator.

Each is a mean over the rows that are given: one process's, which counts as much as `SharedRows` says. `rows`
are those over which variances are taken.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from imago_engine.training.distributed.shared_rows import ALL, SharedRows


def layout_loss(fake: Tensor, real: Tensor) -> Tensor:
    """Mean squared error of 8×8 averages of RGB in [−1, 1]: colours and layout, no detail."""
    return F.mse_loss(F.adaptive_avg_pool2d(fake, 8), F.adaptive_avg_pool2d(real, 8))


def feature_loss(fake: list[Tensor], real: list[Tensor], rows: SharedRows = ALL) -> Tensor:
    """Squared error of features relative to their variance over the batch, mean over taps; about 1–2 for
    unrelated pictures.
    """
    ratios = [F.mse_loss(f, r) / rows.variance(r) for f, r in zip(fake, real, strict=True)]
    return torch.stack(ratios).mean()


def code_loss(fake: Tensor, real: Tensor, rows: SharedRows = ALL) -> Tensor:
    """The same for the encoder's code [N, code]: the picture must mean to the encoder what the code says."""
    return F.mse_loss(fake, real) / rows.variance(real, dim=0).mean()


def ascent_code_loss(fake: Tensor, wanted: Tensor, real: Tensor, rows: SharedRows = ALL) -> Tensor:
    """The same for codes that no picture has: `fake` [n, code] is what the encoder sees in the pictures made
    of `wanted` [n, code, …], whose places are averaged, and whose negative values the encoder's last ReLU
    cannot give. `real` [N, code] says what errors are relative to.
    """
    means = wanted.flatten(2).mean(2) if wanted.ndim > 2 else wanted
    return F.mse_loss(fake.float(), means.clamp(min=0)) / rows.variance(real.float(), dim=0).mean()


def texture_loss(fake: Tensor, real: Tensor) -> Tensor:
    """L1 distance of the local strength of edges, of RGB in [−1, 1] at full and at half resolution.

    The strength is the mean size of the differences between neighbouring pixels over an eighth of the picture
    each way. It asks for as much detail as there is in each place, wherever exactly it lies: the feature
    network hardly sees a regular grain of two to four pixels in a flat region, this does.
    """
    distances = []
    for _ in range(2):
        for axis in (2, 3):
            made, wanted = (F.adaptive_avg_pool2d(x.diff(dim=axis).abs(), 8) for x in (fake, real))
            distances.append(F.l1_loss(made, wanted))
        fake, real = F.avg_pool2d(fake, 2), F.avg_pool2d(real, 2)
    return torch.stack(distances).mean()
