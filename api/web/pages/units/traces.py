"""The activation over the steps of an ascent, read from its stored trace for a chart."""

import ast
import struct
from array import array
from collections.abc import Sequence

from api.web.stored import opened
from imago_engine.artifacts import ArtifactKind
from services.pictures.losses import Subject
from services.pictures.visualizations import Visualization

MOST_POINTS = 160
_MAGIC = b"\x93NUMPY\x01\x00"


def trace_of(found: Visualization) -> Sequence[float]:
    """The activation before each step, thinned out where there are many; nothing where there is none, or the
    store does not give it: the page goes without."""
    stored = found.artifacts.get(ArtifactKind.TRACE)
    if stored is None:
        return ()
    file = opened(stored.object, Subject("visualization", found.digest))
    if file is None:
        return ()
    with file:
        return thinned(numbers(file.read()))


def numbers(npy: bytes) -> Sequence[float]:
    """A one-dimensional float32 array of NumPy's .npy, finite numbers only; nothing for anything else.

    Without NumPy, which the API does not have.
    """
    if not npy.startswith(_MAGIC) or len(npy) < 10:
        return ()
    (length,) = struct.unpack_from("<H", npy, 8)
    try:
        header = ast.literal_eval(npy[10 : 10 + length].decode("latin-1"))
        if header["descr"] != "<f4" or len(header["shape"]) != 1:
            return ()
        values = array("f", npy[10 + length : 10 + length + 4 * header["shape"][0]])
    except (ValueError, SyntaxError, TypeError, KeyError):
        return ()
    return [value for value in values if abs(value) < float("inf")]


def thinned(values: Sequence[float], most: int = MOST_POINTS) -> Sequence[float]:
    """At most so many of them, evenly, the first and the last among them."""
    if len(values) <= most:
        return values
    return [values[round(index * (len(values) - 1) / (most - 1))] for index in range(most)]
