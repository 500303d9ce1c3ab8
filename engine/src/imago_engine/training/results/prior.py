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
"""Numbers of all directions together: those of long codes would else be most of a generator's file."""
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
    them. The same codes give the same prior.
    """
    random = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(codes), generator=random)[:SAMPLE].sort().values.numpy()
    scale = (statistics.std + STANDARD_FLOOR).flatten()
    sample = (torch.from_numpy(np.asarray(codes[chosen])).flatten(1) - statistics.mean.flatten()) / scale
    directions = min(directions, max(LARGEST // sample.shape[1], 1), *sample.shape)
    variances, vectors = _principal(sample, directions)
    deviations = variances.clamp_min(0).sqrt()
    known = deviations > 1e-3 * deviations[0]  # below is rounding: no unit to count in
    deviations, vectors = deviations[known], vectors[:, known]
    centres = _cluster_centres(sample @ vectors, min(prototypes, len(sample)), random)
    axes = (vectors * deviations).T * scale
    # In another order than they have: the first of them are then a sample as well.
    some = torch.randperm(len(sample), generator=random)[:SAMPLES]
    samples = CodeSamples.of(sample[some] @ vectors / deviations)
    return CodePrior(statistics.mean, axes.view(-1, *statistics.mean.shape), centres / deviations, samples)


def _principal(sample: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Variances [count], falling, and unit vectors [D, count] of centred samples [N, D]."""
    if sample.shape[1] <= EXACT:
        variances, vectors = torch.linalg.eigh((sample.T @ sample / len(sample)).double())
        return variances.flip(0)[:count].float(), vectors.flip(1)[:, :count].float()
    torch.manual_seed(0)
    _, singular, vectors = torch.pca_lowrank(sample, q=count, center=False)
    return singular**2 / len(sample), vectors


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
