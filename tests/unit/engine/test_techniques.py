"""Techniques: found by themselves, their parameters checked once for everybody."""

from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError

from imago_engine import techniques
from imago_engine.artifacts import ArtifactKind
from imago_engine.techniques import (
    BaseParameters,
    Need,
    RecipeError,
    Technique,
    added_later,
    all_techniques,
    technique_named,
)
from imago_engine.techniques.dgn_am import DgnAm

TOY = '''
"""Toy: a technique of one parameter."""

from imago_engine.artifacts import ArtifactKind
from imago_engine.techniques.base import BaseParameters, Technique


class Toy(BaseParameters):
    """Toy: grey."""

    grey: int = 128


TECHNIQUE = Technique("toy", "1", Toy, frozenset(), (ArtifactKind.IMAGE,))
'''


def test_there_are_a_technique_with_a_generator_and_two_without() -> None:
    assert {id: sorted(technique.needs) for id, technique in all_techniques().items()} == {
        "dgn-am": [Need.GENERATOR],
        "fourier": [],
        "pixel": [],
    }


def test_a_technique_is_added_by_a_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.setattr(techniques, "__path__", [*techniques.__path__, str(tmp_path)])
    all_techniques.cache_clear()
    try:
        assert technique_named("toy").settled({"grey": 5}) == {
            "steps": 200,
            "input_size": None,
            "grey": 5,
        }
    finally:
        monkeypatch.undo()
        all_techniques.cache_clear()
    assert "toy" not in all_techniques()


@pytest.mark.parametrize("id", all_techniques())
def test_every_parameter_says_what_it_is_and_has_a_default_within_its_range(id: str) -> None:
    technique = technique_named(id)
    schema = technique.Parameters.model_json_schema()
    assert schema["additionalProperties"] is False
    for name, described in schema["properties"].items():
        assert described.get("description"), name
        assert "default" in described, name
    assert technique.parameters(technique.parameters({}).model_dump()) == technique.Parameters()
    assert technique.description.lower().startswith(id)
    assert technique.version.isdecimal()
    assert ArtifactKind.IMAGE in technique.artifacts


def test_the_defaults_of_dgn_am_are_the_published_settings() -> None:
    recipe = DgnAm()
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
        ({"steps": 0}, "steps: should be greater than or equal to 1; got 0"),
        ({"steps": True}, "steps: should be a valid integer"),
        ({"steps": 20.0}, "steps: should be a valid integer; got 20.0"),
        ({"learning_rate": 0}, "learning_rate: should be greater than 0; got 0"),
        ({"learning_rate": float("nan")}, "learning_rate: should be a finite number"),
        ({"decay": 1.5}, "decay: should be less than or equal to 1; got 1.5"),
        ({"bounds": "box"}, "bounds: should be 'sigma', 'unit', 'flat30' or 'none'; got 'box'"),
        ({"momentum": 1}, "momentum: should be less than 1"),
        ({"input_size": 4}, "input_size: should be greater than or equal to 8"),
        ({"speed": 3}, "speed: is not a known field; accepted: steps, input_size, learning_rate"),
    ],
)
def test_a_value_that_is_not_accepted_is_named_with_what_would_be(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        technique_named("dgn-am").parameters(values)


def test_an_unknown_technique_is_answered_with_those_that_exist() -> None:
    with pytest.raises(RecipeError, match="technique: is one of: dgn-am, fourier, pixel; got 'magic'"):
        technique_named("magic")


def test_the_ends_of_a_range_are_accepted() -> None:
    assert [DgnAm(steps=steps).steps for steps in (1, 2000)] == [1, 2000]


def test_what_only_some_generators_have_is_asked_for_by_values() -> None:
    unmet = technique_named("dgn-am").unmet
    wanted = {"space": "whitened", "start": "prototypes"}
    assert not unmet(wanted, [Need.GENERATOR, Need.PRIOR])
    assert not unmet({"space": "plain", "start": "half-normal"}, [Need.GENERATOR])
    found = {missing.parameter: missing.accepted for missing in unmet(wanted, [Need.GENERATOR])}
    assert found == {"space": ("plain",), "start": ("normal", "half-normal")}


def test_a_changed_copy_is_checked() -> None:
    assert DgnAm(steps=3).changed(decay=0.5) == DgnAm(steps=3, decay=0.5)
    with pytest.raises(ValidationError):
        DgnAm().changed(steps=0)


class Later(BaseParameters):
    """Later: one parameter joined a version after the other."""

    steps: Annotated[int, Field(ge=1)] = 7
    blur: Annotated[float, Field(ge=0), added_later] = 0.0


def test_a_parameter_that_was_added_later_is_hashed_only_where_it_is_used() -> None:
    technique = Technique("later", "1", Later, frozenset(), (ArtifactKind.IMAGE,))
    assert technique.canonical({"steps": 7, "blur": 0.0}) == {"steps": 7}
    assert technique.canonical({"steps": 7}) == {"steps": 7}
    assert technique.canonical({"steps": 9, "blur": 0.5}) == {"steps": 9, "blur": 0.5}
