"""What the metadata of a weights file says: JSON values that anybody may have written."""

import json
import math
from collections.abc import Mapping
from typing import Any

from imago_engine.networks import LARGEST_STD, LEAST_STD, Stated
from imago_engine.synthesis.sources.network_source import NetworkError, Preprocessing

LARGEST_SIZE = 4096
LONGEST_LABEL = 200
NOTHING_STATED = Stated()
_FIELDS = ("bgr", "mean", "size", "std")


def preprocessing_of(
    metadata: Mapping[str, str], default: Preprocessing, stated: Stated = NOTHING_STATED
) -> Preprocessing:
    """The value `preprocessing`, an object with any of size, mean, std and bgr; `default` gives the others.
    What is `stated` goes before both, whatever the metadata has in its place.

    Raises `NetworkError`, which names the field and what it may be.
    """
    read = [field for field in _FIELDS if getattr(stated, field) is None]
    given = _json(metadata, "preprocessing") if read else None
    if given is None:
        return stated.over(default)
    if not isinstance(given, dict) or not set(given) <= set(_FIELDS):
        raise NetworkError(f"metadata preprocessing: expected an object with fields of {', '.join(_FIELDS)}")
    given = {field: given[field] for field in read if field in given}
    size, bgr = given.get("size", default.size), given.get("bgr", default.bgr)
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= LARGEST_SIZE:
        raise NetworkError(
            f"metadata preprocessing.size: expected whole pixels from 1 to {LARGEST_SIZE}, got {_shown(size)}"
        )
    if not isinstance(bgr, bool):
        raise NetworkError(f"metadata preprocessing.bgr: expected true or false, got {_shown(bgr)}")
    mean, std = _triple(given, "mean", default.mean), _triple(given, "std", default.std)
    if not all(0 <= value <= 1 for value in mean):
        raise NetworkError(
            "metadata preprocessing.mean: expected numbers from 0 to 1, for pixels from 0 to 1 "
            f"(divide means of 0 to 255 by 255), got {_shown(list(mean))}"
        )
    if not all(LEAST_STD <= value <= LARGEST_STD for value in std):
        raise NetworkError(
            f"metadata preprocessing.std: expected positive numbers from {LEAST_STD:g} to {LARGEST_STD:g}, "
            f"for pixels from 0 to 1 (divide those of 0 to 255 by 255), got {_shown(list(std))}"
        )
    return stated.over(Preprocessing(size, mean, std, bgr))


def labels_of(metadata: Mapping[str, str], classes: int) -> tuple[str, ...]:
    """The value `labels`, a list with one name a class; empty if there is none. Raises `NetworkError`."""
    labels = _json(metadata, "labels")
    if labels is None:
        return ()
    if (
        not isinstance(labels, list)
        or not all(isinstance(label, str) for label in labels)
        or len(labels) != classes
    ):
        raise NetworkError(f"metadata labels: expected a list of {classes} strings, one a class")
    for index, label in enumerate(labels):
        if len(label) > LONGEST_LABEL:
            raise NetworkError(
                f"metadata labels[{index}]: expected at most {LONGEST_LABEL} characters, got {len(label)}"
            )
        if "\0" in label or any("\ud800" <= character <= "\udfff" for character in label):
            raise NetworkError(
                f"metadata labels[{index}]: expected text without U+0000 and lone surrogates, "
                f"got {_shown(label)}"
            )
    return tuple(labels)


def _json(metadata: Mapping[str, str], field: str) -> Any:
    try:
        return json.loads(metadata[field]) if field in metadata else None
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits; brackets nested as deep
        raise NetworkError(f"metadata {field}: expected JSON ({error})") from error


def _triple(
    given: Mapping[str, Any], field: str, default: tuple[float, float, float]
) -> tuple[float, float, float]:
    value = given.get(field, default)
    if not (isinstance(value, list | tuple) and len(value) == 3 and all(map(_is_number, value))):
        raise NetworkError(
            f"metadata preprocessing.{field}: expected three numbers (red, green, blue), got {_shown(value)}"
        )
    return float(value[0]), float(value[1]), float(value[2])


def _is_number(value: object) -> bool:
    """Whether it is a finite number that a float can hold; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _shown(value: object, limit: int = 80) -> str:
    """As JSON in ASCII, short enough for a sentence, and storable whatever it is."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= limit else text[:limit] + "…"
