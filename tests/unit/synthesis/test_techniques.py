"""Recipes: what is accepted, and what is said about the rest."""

import subprocess
import sys
from typing import Any

import pytest

from worker.synthesis.techniques import DgnAm, RecipeError, parameters


def test_the_defaults_are_the_published_settings() -> None:
    recipe = parameters("dgn-am", {})
    assert (recipe.steps, recipe.learning_rate, recipe.learning_rate_end, recipe.decay) == (
        200,
        8.0,
        1e-10,
        0.99,
    )
    assert (recipe.bounds, recipe.bounds_k, recipe.start) == ("sigma", 3.0, "normal")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps: expected a whole number from 1 to"),
        ({"steps": True}, "steps: expected a whole number"),
        ({"learning_rate": 0}, "learning_rate: expected a number above 0 and of at most 1000, got 0"),
        ({"learning_rate": float("nan")}, "learning_rate: expected a number"),
        ({"decay": 1.5}, "decay: expected a number above 0 and of at most 1, got 1.5"),
        ({"bounds": "box"}, "bounds: expected one of sigma, unit, flat30, none, got 'box'"),
        ({"momentum": 1}, "momentum: expected a number of at least 0 and below 1"),
        ({"input_size": 4}, "input_size: expected a whole number from 8"),
        ({"speed": 3}, "speed: not a parameter of dgn-am; expected one of steps, learning_rate"),
    ],
)
def test_a_value_that_is_not_accepted_is_named_with_what_would_be(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        parameters("dgn-am", values)


def test_an_unknown_technique_is_answered_with_those_that_exist() -> None:
    with pytest.raises(RecipeError, match="technique: expected one of dgn-am, got 'magic'"):
        parameters("magic", {})


def test_the_bounds_of_steps_are_inclusive() -> None:
    assert DgnAm(steps=1).steps == 1


def test_checking_a_recipe_needs_no_torch() -> None:
    code = "import sys; from worker.synthesis import DgnAm; DgnAm(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
