"""Objectives: told apart by their kind, each with one spelling."""

import pytest
from pydantic import TypeAdapter, ValidationError

from imago_engine.objectives import Objective, TokenObjective, UnitObjective, canonical_position

UNIT = UnitObjective(layer="blocks.4", unit=3, position=(2, 5))
TOKEN = TokenObjective(layer="blocks.4", unit=3, token=7)
ANY: TypeAdapter[UnitObjective | TokenObjective] = TypeAdapter(Objective)


@pytest.mark.parametrize("objective", [UNIT, TOKEN, UNIT.changed(position=None)])
def test_an_objective_is_read_from_its_json(objective: UnitObjective | TokenObjective) -> None:
    assert ANY.validate_python(objective.model_dump(mode="json")) == objective
    assert objective.layers == ("blocks.4",)


def test_each_kind_has_its_own_canonical_form() -> None:
    assert UNIT.canonical() == {"layer": "blocks.4", "position": [2, 5], "unit": 3}
    assert TOKEN.canonical() == {"objective": {"kind": "token", "layer": "blocks.4", "unit": 3, "token": 7}}


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "unit", "layer": "a", "unit": -1},
        {"kind": "unit", "layer": "", "unit": 0},
        {"kind": "unit", "layer": "a", "unit": 0, "position": [0]},
        {"kind": "unit", "layer": "a", "unit": 0, "token": 1},
        {"kind": "token", "layer": "a", "unit": 0},
        {"kind": "wish", "layer": "a", "unit": 0},
        {"layer": "a", "unit": 0},
    ],
)
def test_what_is_no_objective_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ANY.validate_python(wrong)


def test_the_default_position_has_one_spelling() -> None:
    assert canonical_position((3, 3), 7, 7) is None
    assert canonical_position((2, 3), 4, 6) is None
    assert canonical_position((3, 2), 4, 6) == (3, 2)
    assert canonical_position((0, 0), 1, 1) is None
    assert canonical_position(None, 7, 7) is None
