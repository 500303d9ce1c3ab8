"""Labels of the regions of a map, coarse to fine: what networks say of the pictures there.

Each level cuts the map into so many clusters of places (k-means). A cluster is named after the label with the
highest n log(p/q): n of its units have the label, which is a share p of the cluster, and a share q of all
units have it. Labels of too few of its units (`LEAST_SHARE`, `LEAST_UNITS`) are not considered; a cluster
without any other has no name.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

LEVELS = (6, 24, 96)
"""Clusters of each level, at most."""
UNITS_OF_A_CLUSTER = 8
"""Least mean size of a cluster: where there are few units, a level has fewer clusters."""
LEAST_SHARE, LEAST_UNITS = 0.05, 2
"""Share and number of the units of a cluster that must have its label."""
_FITTED = 20_000
_SEED = 0


def labels(
    places: npt.NDArray[np.float32], said: npt.NDArray[np.int32], names: Sequence[str]
) -> list[list[dict[str, Any]]]:
    """A list per level, the largest first, of {label, x, y, units, of}: `units` of the `of` units of a
    cluster have its label, and x and y are the medians of their places. `said` has the number of each unit's
    label, -1 for none.
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
    """The number of the label that a cluster is named after, None where it has no name."""
    least = max(min(LEAST_UNITS, total), LEAST_SHARE * size)
    found = []
    for label in np.flatnonzero(counts >= least):
        units = int(counts[label])
        telling = units * math.log(units / size / (int(overall[label]) / total))
        found.append((-telling, -units, names[int(label)], int(label)))
    return min(found)[-1] if found else None
