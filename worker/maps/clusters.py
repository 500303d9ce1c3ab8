"""Labels of the regions of a map, coarse to fine: what networks say of the pictures there.

Each level cuts the map into so many clusters of places (k-means). A cluster is called by the label that tells
it from the rest best: n log(p/q), where n of its units, a share p, are seen as that, and a share q of all. A
label of which there are few stays away, so that a name says something of what lies there.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

LEVELS = (6, 24, 96)
"""Clusters of each level, at most."""
UNITS_OF_A_CLUSTER = 8
"""On average at least: few units make few clusters."""
LEAST_SHARE, LEAST_UNITS = 0.05, 2
"""Of the units of a cluster, what must be seen as its label."""
_FITTED = 20_000
_SEED = 0


def labels(
    places: npt.NDArray[np.float32], said: npt.NDArray[np.int32], names: Sequence[str]
) -> list[list[dict[str, Any]]]:
    """A list a level: label, x, y (the middle of those units that are seen so), how many `units` are, and
    `of` how many in the cluster; the largest first. `said` has the number of each unit's label, -1 for none.
    """
    most = max(1, len(places) // UNITS_OF_A_CLUSTER)
    counts = sorted({min(count, most) for count in LEVELS})
    overall = _counted(said, len(names))
    return [_level(places, said, names, overall, count) for count in counts]


def _level(
    places: npt.NDArray[np.float32],
    said: npt.NDArray[np.int32],
    names: Sequence[str],
    overall: npt.NDArray[np.int64],
    count: int,
) -> list[dict[str, Any]]:
    cluster_of = _clusters(places, count)
    found = []
    for cluster in range(count):
        within = cluster_of == cluster
        size = int(within.sum())
        label = _label(_counted(said[within], len(names)), size, overall, len(places), names)
        if label is not None:
            there = places[within & (said == label)]
            x, y = (round(float(at), 5) for at in np.median(there, axis=0))
            found.append({"label": names[label], "x": x, "y": y, "units": len(there), "of": size})
    return sorted(found, key=lambda one: (-one["units"], one["label"], one["x"]))


def _clusters(places: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.int32]:
    if count == 1:
        return np.zeros(len(places), dtype=np.int32)
    from sklearn.cluster import KMeans

    means = KMeans(count, n_init=1, random_state=_SEED).fit(places[:_FITTED])
    return np.asarray(means.predict(places), dtype=np.int32)


def _counted(said: npt.NDArray[np.int32], names: int) -> npt.NDArray[np.int64]:
    return np.bincount(said[said >= 0], minlength=names)


def _label(
    counts: npt.NDArray[np.int64],
    size: int,
    overall: npt.NDArray[np.int64],
    total: int,
    names: Sequence[str],
) -> int | None:
    """The number of the label that tells a cluster best, None where none does."""
    least = max(min(LEAST_UNITS, total), LEAST_SHARE * size)
    found = []
    for label in np.flatnonzero(counts >= least):
        units = int(counts[label])
        telling = units * math.log(units / size / (int(overall[label]) / total))
        found.append((-telling, -units, names[int(label)], int(label)))
    return min(found)[-1] if found else None
