"""The rows of the table.

- agreement: share of the class pictures that a judge who took no part puts first, or among its first five, in
  their own class; mean of the judges EfficientNet-lite1 and MobileNetV2.
- frechet: of MobileNetV2's features, class pictures against half of the photographs (see `statistics`).
- activation_percentile: where a picture's activation after 8 bits stands among the photographs' at the same
  input size; mean over classes and hidden units. As every ascent passes all photographs, activation_ratio
  says how far: the mean of activation / strongest photograph's.
- diversity: mean cosine distance of MobileNetV2's features between the facets of a class.
- seconds_per_neuron: wall time of making the pictures, in batches, by the number of pictures.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.quality.assets import PHOTOGRAPH_SIZE
from benchmarks.quality.making import Pictures
from benchmarks.quality.measuring.judges import Judge, Opinions
from benchmarks.quality.measuring.real import Real, Seen, own_class_percentiles
from benchmarks.quality.measuring.statistics import (
    TOPS,
    Array,
    Gaussian,
    agreement,
    frechet,
    mean_pairwise_distance,
    percentiles,
)
from benchmarks.quality.plan import Plan
from benchmarks.quality.techniques import Technique

Row = dict[str, Any]
MOST_SAMPLES = 5
FLAT = 2.0
"""Of 255: a picture whose colours all deviate by less shows nothing.

An ascent that saturates its prior ends so.
"""


def row(
    technique: Technique,
    pictures: Pictures,
    plan: Plan,
    judges: Sequence[Judge],
    real: Real,
    seen: Collection[int] = (),
) -> Row:
    """The figures of one technique, by the names of `quality.json`.

    `seen` are the ImageNet classes of which the technique was trained on pictures, if it was trained.
    """
    standing = {layer: _standing(pictures, layer, plan, real) for layer in plan.layers}
    return {
        "technique": technique.name,
        **of_classes(pictures, plan, judges, real, seen),
        "activation_percentile": float(np.concatenate(list(standing.values())).mean()),
        "activation_ratio": _ratio(pictures, plan, real),
        "diversity": _diversity(pictures, plan, judges),
        "activation_percentile_by_layer": {layer: float(found.mean()) for layer, found in standing.items()},
        "steps": technique.steps,
        "input_size": technique.input_size,
    }


def of_classes(
    pictures: Pictures, plan: Plan, judges: Sequence[Judge], real: Real, seen: Collection[int] = ()
) -> Row:
    """What the judges say of the classes' pictures, and what holds of all."""
    images = pictures.of(plan.classes)
    own = torch.tensor([unit.unit for unit in plan.classes])
    opinions = {judge.id: judge(images) for judge in judges}
    ranks = {name: opinion.ranks_of(own).numpy() for name, opinion in opinions.items()}
    features = _features(list(opinions.values()))
    return {
        **_agreement(np.stack(list(ranks.values()))),
        "frechet": frechet(Gaussian.fit(features), _reference(real)),
        "seconds_per_neuron": pictures.seconds / len(pictures.images),
        **_by_training(own, np.stack(list(ranks.values())), seen),
        "judges": {name: _agreement(found[None]) for name, found in ranks.items()},
        "image_size": images.shape[-1],
        "pictures": len(pictures.images),
        "flat_pictures": int((pictures.images.float().std((2, 3)).amax(1) < FLAT).sum()),
    }


def real_row(real: Real, count: int) -> Row:
    """The same of photographs.

    Fréchet distances are means over disjoint samples of `count` held-out photographs.
    """
    reference = _reference(real)
    groups = [np.flatnonzero(real.classes == c) for c in np.unique(real.classes[real.classes >= 0])]
    return {
        "technique": "real",
        **_agreement(real.whole.ranks),
        "frechet": _real_frechet(real.whole, real, reference, count),
        "activation_percentile": float(own_class_percentiles(real).mean()),
        "diversity": _mean([mean_pairwise_distance(real.whole.features[group]) for group in groups]),
        "seconds_per_neuron": None,
        "image_size": PHOTOGRAPH_SIZE,
        "reduced": {
            "image_size": real.small_size,
            **_agreement(real.small.ranks),
            "frechet": _real_frechet(real.small, real, reference, count),
            "diversity": _mean([mean_pairwise_distance(real.small.features[group]) for group in groups]),
        },
        "pictures": len(real.classes),
    }


def _standing(pictures: Pictures, layer: str, plan: Plan, real: Real) -> Array:
    """Percentiles of the pictures of one layer's units, each among the photographs by its own unit."""
    units = [unit for unit in plan.targets if unit.layer == layer]
    among = real.activations[layer][:, [unit.unit for unit in units]]
    return percentiles(pictures.activations_of(units).numpy(), among)


def _ratio(pictures: Pictures, plan: Plan, real: Real) -> float:
    """Mean of activation / strongest photograph's, over the units that any photograph excites at all."""
    strongest = np.array([real.activations[unit.layer][:, unit.unit].max() for unit in plan.targets])
    excited = strongest > 0
    reached = pictures.activations_of(plan.targets).numpy()
    return float((reached[excited] / strongest[excited]).mean())


def _agreement(ranks: Array) -> dict[str, float]:
    """Ranks [judges, N] → shares, mean over judges."""
    return {name: agreement(ranks, below) for name, below in TOPS.items()}


def _by_training(own: Tensor, ranks: Array, seen: Collection[int]) -> Row:
    """Agreement on the classes that the generator was trained on, and on the others."""
    if not seen:
        return {}
    was_seen = np.isin(own.numpy(), list(seen))
    parts = {"trained_on": ranks[:, was_seen], "others": ranks[:, ~was_seen]}
    return {
        "agreement_by_training": {
            name: {"classes": part.shape[1], **(_agreement(part) if part.size else {})}
            for name, part in parts.items()
        }
    }


def _features(opinions: Sequence[Opinions]) -> Array:
    """Those of the first judge that has any."""
    found: Array = next(each.features for each in opinions if each.features is not None).numpy()
    return found


def _reference(real: Real) -> Gaussian:
    return Gaussian.fit(real.whole.features[real.reference])


def _real_frechet(seen: Seen, real: Real, reference: Gaussian, count: int) -> float:
    held_out = seen.features[real.held_out]
    samples = max(1, min(MOST_SAMPLES, len(held_out) // count))
    # Neighbours in the list show the same class; every n-th keeps each sample as mixed as the whole.
    return _mean([frechet(Gaussian.fit(held_out[i::samples][:count]), reference) for i in range(samples)])


def _diversity(pictures: Pictures, plan: Plan, judges: Sequence[Judge]) -> float:
    judge = judges[-1]
    distances = []
    for unit in plan.faceted:
        facets = torch.cat([pictures.of([unit], seed) for seed in plan.seeds])
        distances.append(mean_pairwise_distance(_features([judge(facets)])))
    return _mean(distances)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
