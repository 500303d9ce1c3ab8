"""What judges say of a technique's pictures, class by class: what its figures are made of, and what is
compared with another technique's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.quality.making import Pictures
from benchmarks.quality.measuring.judges import Judge, Opinions
from benchmarks.quality.measuring.statistics import Array, mean_pairwise_distance
from benchmarks.quality.plan import Plan


@dataclass(frozen=True)
class Judged:
    """`ranks` [judges, classes, seeds] of the pictures' own classes, `features` [n, F] of those whose realism
    is measured, `diversity` [faceted classes]: mean distance between the facets of each.
    """

    names: tuple[str, ...]
    ranks: Array
    features: Array
    diversity: Array


def judged(pictures: Pictures, plan: Plan, judges: Sequence[Judge]) -> Judged:
    """Show the classes' pictures to all judges, and the facets to the one that tells features."""
    own = torch.tensor([unit.unit for unit in plan.classes])
    ranks, features = [], None
    realism = [plan.classes.index(unit) for unit in plan.realism]
    for judge in judges:
        by_seed = [judge(pictures.of(plan.classes, seed)) for seed in plan.class_seeds]
        ranks.append(np.stack([opinions.ranks_of(own).numpy() for opinions in by_seed], axis=1))
        if features is None and by_seed[0].features is not None:
            features = by_seed[0].features.numpy()[realism]
    assert features is not None
    names = tuple(judge.id for judge in judges)
    return Judged(names, np.stack(ranks), features, _diversity(pictures, plan, judges))


def features_of(opinions: Sequence[Opinions]) -> Array:
    """Those of the first judge that has any."""
    found: Array = next(each.features for each in opinions if each.features is not None).numpy()
    return found


def _diversity(pictures: Pictures, plan: Plan, judges: Sequence[Judge]) -> Array:
    judge = next(judge for judge in judges if judge.has_features)
    facets = (torch.cat([pictures.of([unit], seed) for seed in plan.seeds]) for unit in plan.faceted)
    return np.array([mean_pairwise_distance(features_of([judge(images)])) for images in facets])
