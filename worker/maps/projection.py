"""Draw a map from the files of a folder: `python -m worker.maps.projection FOLDER`.

A process of its own, since UMAP holds the interpreter's lock for long, and the worker's thread that renews
the lease could not go on. It needs no servers, and is killed without harm.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imago_engine.weights import DIMENSIONS
from worker.maps import clusters, placing
from worker.maps.files import FACTS, LABELS, LAYERS, POINTS, SAID, UNITS, VECTORS, Facts, Names, points
from worker.process.crash_points import crash_point

_AT_ONCE = 10_000


def project(folder: Path, *, fitted: int = placing.FITTED) -> None:
    """Write the points and what is said of them."""
    layers, units, said = (
        np.fromfile(folder / name, dtype=kind)
        for name, kind in ((LAYERS, "<u2"), (UNITS, "<u4"), (SAID, "<i4"))
    )
    names: Names = json.loads((folder / LABELS).read_text())
    order = placing.shuffled(len(units))
    placed = placing.places(_in_order(folder / VECTORS, order), fitted=fitted)
    crash_point("mid_map")
    facts: Facts = {
        "fitted": min(fitted, len(units)),
        "labels": clusters.labels(placed, said[order], names["labels"]),
    }
    (folder / POINTS).write_bytes(points(placed, units[order], layers[order]))
    (folder / FACTS).write_text(json.dumps(facts))


def _in_order(path: Path, order: npt.NDArray[np.intp]) -> npt.NDArray[np.float16]:
    """The vectors in another order, in a file beside theirs that is mapped into memory."""
    shape = (len(order), DIMENSIONS)
    there = np.memmap(path, dtype="<f2", mode="r", shape=shape)
    ordered = np.memmap(path.with_suffix(".ordered"), dtype="<f2", mode="w+", shape=shape)
    for start in range(0, len(order), _AT_ONCE):
        ordered[start : start + _AT_ONCE] = there[order[start : start + _AT_ONCE]]
    return ordered


if __name__ == "__main__":
    os.nice(5)  # pictures that are made meanwhile go first
    project(Path(sys.argv[1]))
