"""What the codes of the training pictures are like: principal directions, typical ones among them, and a
sample of them as they are.
"""

import numpy as np
import torch
from torch import Tensor

from imago_engine.synthesis.generators.architectures import STANDARD_FLOOR
from imago_engine.synthesis.generators.prior import CodePrior, CodeSamples
from imago_engine.training.results.code_statistics import CodeStatistics

DIRECTIONS = 768
LARGEST = 320 * 5120
"""Numbers of all directions together, as they are measured: those of long codes would else be most of a
generator's file."""
LARGEST_TOLD = 320 * 20_480
"""The same where they were measured on coarse codes and are told to all places; 6.5 MB, 8 bits each."""
COARSE = 2
"""Places each way that directions are measured at. The principal directions of codes of more places are few
for what such codes hold, and an ascent along them finds worse pictures (docs/training.md)."""
PROTOTYPES = 512
SAMPLES = 4096
"""Codes kept as they are, 8 bits a coordinate: from their pictures a network's units learn their directions
(`synthesis/directions/unit_directions.py`)."""
SAMPLE = 32_768
"""Codes looked at, at most: enough for a covariance of a thousand dimensions and clusters of dozens."""
EXACT = 4096
"""Up to so many code neurons the directions are eigenvectors of the covariance; above, a randomized estimate
(Halko et al. 2011), whose memory grows with the neurons and not with their square."""
ROUNDS = 10
LEAST_SHARE = 0.25
"""Of the mean number of codes in a cluster: the centre of a smaller one is an outlier's and not typical, and
generators draw it badly."""


def measured_prior(
    codes: np.ndarray, statistics: CodeStatistics, directions: int = DIRECTIONS, prototypes: int = PROTOTYPES
) -> CodePrior:
    """The prior of codes [N, *code_shape], at most `directions` of it (fewer for long codes), `prototypes`
    examples and `SAMPLES` codes.

    Directions and clusters are those of standardised codes, (code − μ) / (σ + a floor), as the generator gets
    them. Of codes of many places they are those of their averages over 2×2 parts, and where a direction leads
    in the whole code is told by regression: it is the mean of the codes that lie so far along it. The same
    codes give the same prior.
    """
    random = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(codes), generator=random)[:SAMPLE].sort().values.numpy()
    scale = (statistics.std + STANDARD_FLOOR).flatten()
    sample = (torch.from_numpy(np.asarray(codes[chosen])).flatten(1) - statistics.mean.flatten()) / scale
    coarse = _coarse(sample, statistics.mean.shape)
    directions = min(directions, max(LARGEST // coarse.shape[1], 1), *coarse.shape)
    if coarse is not sample:
        directions = min(directions, max(LARGEST_TOLD // sample.shape[1], 1))
    variances, vectors = _principal(coarse, directions)
    deviations = variances.clamp_min(0).sqrt()
    known = deviations > 1e-3 * deviations[0]  # below is rounding: no unit to count in
    deviations, vectors = deviations[known], vectors[:, known]
    points = coarse @ vectors
    centres = _cluster_centres(points, min(prototypes, len(sample)), random)
    if coarse is sample:
        axes = (vectors * deviations).T * scale
    else:
        # Coordinates are uncorrelated, of variance 1: their covariances with the code are the regression.
        axes = (points / deviations).T @ sample / len(sample) * scale
    # In another order than they have: the first of them are then a sample as well.
    some = torch.randperm(len(sample), generator=random)[:SAMPLES]
    samples = CodeSamples.of(points[some] / deviations)
    return CodePrior(statistics.mean, axes.view(-1, *statistics.mean.shape), centres / deviations, samples)


def _coarse(sample: Tensor, shape: torch.Size) -> Tensor:
    """Codes [N, D] of a shape, averaged over `COARSE`² parts where they have more places: [N, d]; the same
    ones where they do not."""
    if len(shape) != 3 or min(shape[1:]) <= COARSE or any(side % COARSE for side in shape[1:]):
        return sample
    places = sample.view(-1, *shape)  # [N, C, h, w]
    return torch.nn.functional.adaptive_avg_pool2d(places, COARSE).flatten(1)


def _principal(sample: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Variances [count], falling, and unit vectors [D, count] of centred samples [N, D]."""
    if sample.shape[1] <= EXACT:
        variances, vectors = _eigen((sample.T @ sample / len(sample)).double())
        return variances[:count].float(), vectors[:, :count].float()
    torch.manual_seed(0)
    _, singular, vectors = torch.pca_lowrank(sample, q=count, center=False)
    return singular**2 / len(sample), vectors


def _eigen(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues [D], falling, and eigenvectors [D, D] of a covariance.

    Of few codes most of them are 0, and MKL's usual solver may fail then: one covariance was met where it
    does with reproducible products (`ask_for_reproducible_products`) and not without. The singular values of
    a covariance are the same, and take several times as long.
    """
    try:
        values, vectors = torch.linalg.eigh(covariance)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # documented, and missing in its stubs
        vectors, values, _ = torch.linalg.svd(covariance)
        return values, vectors
    return values.flip(0), vectors.flip(1)


def _cluster_centres(points: Tensor, count: int, random: torch.Generator) -> Tensor:
    """k-means (Lloyd) of points [N, R]: the centres [at most `count`, R] of clusters of more than a few. A
    cluster that loses all its points begins anew at one of them.
    """
    centres = points[torch.randperm(len(points), generator=random)[:count]].clone()
    sizes = torch.ones(count)
    for _ in range(ROUNDS):
        owner = torch.cat([torch.cdist(part, centres).argmin(1) for part in torch.split(points, 8192)])
        sums = torch.zeros_like(centres).index_add_(0, owner, points)
        sizes = torch.bincount(owner, minlength=count)
        anew = points[torch.randint(len(points), (count,), generator=random)]
        centres = torch.where(sizes[:, None] > 0, sums / sizes[:, None].clamp_min(1), anew)
    return centres[sizes >= LEAST_SHARE * len(points) / count]
