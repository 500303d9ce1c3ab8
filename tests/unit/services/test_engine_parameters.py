"""The parameters that requests may have are those that the engine takes."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import annotated_types
import pytest
from pydantic import ValidationError

from services import recipes
from worker.synthesis import techniques

TECHNIQUES = sorted({*recipes.TECHNIQUES, *techniques.TECHNIQUES})
ODD: list[Any] = [
    True,
    False,
    None,
    "",
    "1",
    [],
    {},
    1,
    1.0,
    0.5,
    -1,
    10**400,
    -(10**400),
    math.nan,
    math.inf,
    -math.inf,
]
"""Values of every type that JSON, or Python's reading of it, knows."""


def test_there_are_the_same_techniques_with_the_same_parameters_and_defaults() -> None:
    assert set(recipes.TECHNIQUES) == set(techniques.TECHNIQUES)
    for name in TECHNIQUES:
        engine = {field.name: field.default for field in dataclasses.fields(techniques.TECHNIQUES[name])}
        assert recipes.TECHNIQUES[name]().model_dump() == engine


def requested(technique: str) -> Callable[[str, Any], object]:
    return lambda field, value: recipes.TECHNIQUES[technique](**{field: value})


def computed(technique: str) -> Callable[[str, Any], object]:
    return lambda field, value: techniques.parameters(technique, {field: value})


def takes(make: Callable[[str, Any], object], field: str, value: Any) -> bool:
    try:
        make(field, value)
    except (ValidationError, techniques.RecipeError):
        return False
    return True


def turning_points(takes_it: Callable[[Any], bool], whole: bool) -> Iterator[float]:
    """The last value that is taken and the first that is refused on either side of a range, and both sides of
    zero, found by halving between what is taken and what is refused."""
    taken = next(value for value in (1, 0.5, 8, 2) if takes_it(value))
    for outside in (-1e9, 1e9):
        inner, outer = float(taken), outside
        while True:
            middle = (inner + outer) / 2
            if middle in (inner, outer) or (whole and abs(inner - outer) < 1):
                break
            if takes_it(math.trunc(middle) if whole else middle):
                inner = middle
            else:
                outer = middle
        for value in (inner, outer):
            yield math.trunc(value) if whole else value


def limits(model: type[recipes.DgnAm], field: str) -> Iterator[float]:
    """The limits as the request's description states them, themselves and a hair to either side."""
    for rule in model.model_fields[field].metadata:
        for kind in (annotated_types.Ge, annotated_types.Gt, annotated_types.Le, annotated_types.Lt):
            if isinstance(rule, kind):
                limit = next(iter(dataclasses.astuple(rule)))
                yield from (limit, limit - 1, limit + 1)
                yield from (math.nextafter(limit, -math.inf), math.nextafter(limit, math.inf))


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_what_a_request_may_say_is_what_the_engine_takes_to_the_last_limit(technique: str) -> None:
    request, engine = requested(technique), computed(technique)
    model = recipes.TECHNIQUES[technique]
    tried = 0
    for field, about in model.model_fields.items():
        values = list(ODD)
        if about.annotation in (int, float, int | None):
            whole = about.annotation is not float
            values += limits(model, field)
            for make in (request, engine):
                values += turning_points(partial(takes, make, field), whole)
        else:
            values += [*about.annotation.__args__, "other"]  # type: ignore[union-attr]
        for value in values:
            assert takes(request, field, value) == takes(engine, field, value), (field, value)
            tried += 1
    assert tried > 300
