"""Recipes: what is left out is settled, what cannot be is named."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imago_engine.techniques.dgn_am import DgnAm
from services.base.errors import Invalid
from services.pictures.recipes import check_prior, recommended_for, resolve


def test_the_request_goes_before_the_generator_and_that_before_the_technique() -> None:
    recipe = resolve("dgn-am", {"steps": 7}, {"steps": 20, "learning_rate": 2})
    assert recipe.technique == "dgn-am"
    assert recipe.parameters["steps"] == 7
    assert recipe.parameters["learning_rate"] == 2.0
    assert recipe.parameters["decay"] == 0.99


def test_every_parameter_is_settled() -> None:
    assert set(resolve("dgn-am", {}, {}).parameters) == set(DgnAm.model_fields)


@pytest.mark.parametrize(
    ("first", "second"),
    [({"l2": 0.0}, {"l2": -0.0}), ({"learning_rate": 8}, {"learning_rate": 8.0}), ({}, {"steps": 200})],
)
def test_two_spellings_of_one_recipe_have_one_digest(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert resolve("dgn-am", first, {}).digest == resolve("dgn-am", second, {}).digest


@given(st.floats(min_value=1e-6, max_value=1000))
def test_another_value_is_another_digest(rate: float) -> None:
    recipe = resolve("dgn-am", {"learning_rate": rate}, {})
    assert (recipe.digest == resolve("dgn-am", {}, {}).digest) == (rate == 8.0)


@pytest.mark.parametrize(
    ("parameters", "pointer"),
    [
        ({"steps": 0}, "/recipe/parameters/steps"),
        ({"steps": True}, "/recipe/parameters/steps"),
        ({"steps": "7"}, "/recipe/parameters/steps"),
        ({"learning_rate": float("nan")}, "/recipe/parameters/learning_rate"),
        ({"decay": 1.1}, "/recipe/parameters/decay"),
        ({"bounds": "tight"}, "/recipe/parameters/bounds"),
        ({"bounds_k": 0}, "/recipe/parameters/bounds_k"),
        ({"input_size": 7}, "/recipe/parameters/input_size"),
        ({"a/b": 1}, "/recipe/parameters/a~1b"),
    ],
)
def test_a_wrong_parameter_is_named(parameters: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Invalid) as raised:
        resolve("dgn-am", parameters, {})
    assert [error.pointer for error in raised.value.errors] == [pointer]


def test_an_unknown_technique_is_named() -> None:
    with pytest.raises(Invalid, match="/recipe/technique: is one of: dgn-am, fourier, pixel; got 'magic'"):
        resolve("magic", {}, {})


def test_what_a_generator_recommends_is_meant_for_its_technique_alone() -> None:
    recommended = {"learning_rate": 2.0, "space": "whitened"}
    assert recommended_for("dgn-am", recommended) == recommended
    assert recommended_for("fourier", recommended) == {}


def test_a_generator_without_a_prior_is_told_what_it_could_do_instead() -> None:
    recipe = resolve("dgn-am", {"space": "whitened", "start": "prototype"}, {})
    check_prior(recipe, "mine", has_prior=True)
    check_prior(resolve("dgn-am", {}, {}), "mine", has_prior=False)
    with pytest.raises(Invalid) as raised:
        check_prior(recipe, "mine", has_prior=False)
    assert {error.pointer: error.detail.rpartition("; ")[2] for error in raised.value.errors} == {
        "/recipe/parameters/space": "expected plain",
        "/recipe/parameters/start": "expected normal or half-normal",
    }
