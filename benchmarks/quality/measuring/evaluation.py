"""The rows of the table.

- agreement: share of the class pictures that a judge who took no part puts first, or among its first five, in
  their own class; mean of the judges EfficientNet-lite1, MobileNetV2 and Tiny Darknet, and of two seeds.
- frechet: of MobileNetV2's features, pictures of 100 classes against half of the photographs (see
  `statistics`).
- activation_percentile: where a picture's activation after 8 bits stands among the photographs' at the same
  input size; mean over classes and hidden units. As every ascent passes all photographs, activation_ratio
  says how far: the mean of activation / strongest photograph's.
- diversity: mean cosine distance of MobileNetV2's features between the facets of a class.
- seconds_per_neuron: wall time of making the pictures, in batches, by the number of pictures.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.quality.assets import PHOTOGRAPH_SIZE
from benchmarks.quality.lists import Unit
from benchmarks.quality.making import Pictures
from benchmarks.quality.measuring.judged import Judged
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
    said: Judged,
    plan: Plan,
    real: Real,
    seen: Collection[int] = (),
) -> Row:
    """The figures of one technique, by the names of `quality.json`.

    `seen` are the ImageNet classes of which the technique was trained on pictures, if it was trained.
    """
    return {
        "technique": technique.name,
        **of_classes(pictures, said, plan, real, seen),
        **standing(pictures, plan.targets, real.activations),
        "steps": technique.steps,
        "input_size": technique.input_size,
    }


def of_classes(pictures: Pictures, said: Judged, plan: Plan, real: Real, seen: Collection[int] = ()) -> Row:
    """What the judges say of the classes' pictures, and what holds of all."""
    own = np.array([unit.unit for unit in plan.classes])
    return {
        **_agreement(said.ranks),
        "frechet": frechet(Gaussian.fit(said.features), reference(real)),
        "diversity": float(said.diversity.mean()) if len(said.diversity) else None,
        "seconds_per_neuron": pictures.seconds / len(pictures.images),
        **_by_training(own, said.ranks, seen),
        "judges": {name: _agreement(ranks) for name, ranks in zip(said.names, said.ranks, strict=True)},
        "image_size": pictures.images.shape[-1],
        "pictures": len(pictures.images),
        "flat_pictures": int((pictures.images.float().std((2, 3)).amax(1) < FLAT).sum()),
    }


def standing(pictures: Pictures, units: Sequence[Unit], photographs: Mapping[str, Array]) -> Row:
    """How much the pictures of some units excite them (seed 0), beside photographs: by layer [N, C]."""
    by_layer = {}
    for layer in dict.fromkeys(unit.layer for unit in units):
        own = [unit for unit in units if unit.layer == layer]
        among = photographs[layer][:, [unit.unit for unit in own]]
        by_layer[layer] = percentiles(pictures.activations_of(own).numpy(), among)
    return {
        "activation_percentile": float(np.concatenate(list(by_layer.values())).mean()),
        "activation_ratio": _ratio(pictures, units, photographs),
        "activation_percentile_by_layer": {layer: float(found.mean()) for layer, found in by_layer.items()},
    }


def real_row(real: Real, count: int) -> Row:
    """The same of photographs.

    Fréchet distances are means over disjoint samples of `count` held-out photographs.
    """
    features = reference(real)
    groups = [np.flatnonzero(real.classes == c) for c in np.unique(real.classes[real.classes >= 0])]
    return {
        "technique": "real",
        **_agreement(real.whole.ranks),
        "frechet": _real_frechet(real.whole, real, features, count),
        "activation_percentile": float(own_class_percentiles(real).mean()),
        "diversity": _mean([mean_pairwise_distance(real.whole.features[group]) for group in groups]),
        "seconds_per_neuron": None,
        "image_size": PHOTOGRAPH_SIZE,
        "reduced": {
            "image_size": real.small_size,
            **_agreement(real.small.ranks),
            "frechet": _real_frechet(real.small, real, features, count),
            "diversity": _mean([mean_pairwise_distance(real.small.features[group]) for group in groups]),
        },
        "pictures": len(real.classes),
    }


def _ratio(pictures: Pictures, units: Sequence[Unit], photographs: Mapping[str, Array]) -> float:
    """Mean of activation / strongest photograph's, over the units that any photograph excites at all."""
    strongest = np.array([photographs[unit.layer][:, unit.unit].max() for unit in units])
    excited = strongest > 0
    reached = pictures.activations_of(units).numpy()
    return float((reached[excited] / strongest[excited]).mean())


def _agreement(ranks: Array) -> dict[str, float]:
    """Ranks of any shape → shares, mean over all."""
    return {name: agreement(ranks, below) for name, below in TOPS.items()}


def _by_training(own: npt.NDArray[np.integer], ranks: Array, seen: Collection[int]) -> Row:
    """Agreement on the classes that the generator was trained on, and on the others."""
    if not seen:
        return {}
    was_seen = np.isin(own, list(seen))
    parts = {"trained_on": ranks[:, was_seen], "others": ranks[:, ~was_seen]}
    return {
        "agreement_by_training": {
            name: {"classes": part.shape[1], **(_agreement(part) if part.size else {})}
            for name, part in parts.items()
        }
    }


def reference(real: Real) -> Gaussian:
    """What Fréchet distances are to."""
    return Gaussian.fit(real.whole.features[real.reference])


def _real_frechet(seen: Seen, real: Real, among: Gaussian, count: int) -> float:
    held_out = seen.features[real.held_out]
    samples = max(1, min(MOST_SAMPLES, len(held_out) // count))
    # Neighbours in the list show the same class; every n-th keeps each sample as mixed as the whole.
    return _mean([frechet(Gaussian.fit(held_out[i::samples][:count]), among) for i in range(samples)])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
