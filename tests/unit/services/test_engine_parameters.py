"""The parameters that requests may have are those that the engine takes."""

import dataclasses

from services.recipes import DgnAm
from worker.synthesis import techniques


def test_a_recipe_has_the_parameters_and_defaults_of_the_engine() -> None:
    engine = {field.name: field.default for field in dataclasses.fields(techniques.DgnAm)}
    assert DgnAm().model_dump() == engine
