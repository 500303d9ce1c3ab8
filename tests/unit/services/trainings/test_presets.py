"""What requests may ask of a training: what the presets take, which are what the worker's recipes run."""

from typing import Any

import pytest

from imago_engine.training.recipes import PRESETS as RECIPES
from imago_engine.training.recipes import read_options
from imago_engine.training.recipes.projected import STAGES
from imago_engine.trainings import PRESETS
from services.trainings.checks import check_preset
from services.trainings.request import TrainingRequest


def wrong(**fields: Any) -> dict[str, str]:
    request = TrainingRequest.model_validate({"sources": ["birds"], **fields})
    return {error.pointer: error.detail for error in check_preset(request)}


def test_every_preset_has_a_recipe() -> None:
    assert {name: recipe.preset for name, recipe in RECIPES.items()} == dict(PRESETS)
    assert set(STAGES) == set(PRESETS["default"].image_sizes)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_the_architectures_that_its_recipe_trains(name: str) -> None:
    recipe = RECIPES[name]
    options = read_options(recipe.Options, {})
    made = {recipe.architecture(options, shape)[0] for shape in ((8,), (8, 4, 4), (256, 6, 6))}
    assert made == set(PRESETS[name].architectures)


def test_the_code_that_measured_best_is_that_of_a_request_without_an_encoder() -> None:
    encoder = TrainingRequest.model_validate({"sources": ["birds"]}).encoder
    assert (encoder.layer, encoder.grid) == ("bn2", 2)


def test_an_option_is_checked_by_the_preset_that_takes_it() -> None:
    assert not wrong(options={"layout_weight": 3, "average_decay": 0.5})
    assert not wrong(preset="deepsim", options={"halve_at": [10, 20], "comparator": "resnet18.a1_in1k"})
    assert "accepted: layout_weight" in wrong(options={"pixel_weight": 1})["/training/options/pixel_weight"]
    assert "layout_weight" not in wrong(preset="deepsim", options={"layout_weight": 1})
    assert wrong(options={"layout_weight": -1}).keys() == {"/training/options/layout_weight"}
    assert wrong(options={"average_decay": 1}).keys() == {"/training/options/average_decay"}
    assert wrong(preset="deepsim", options={"halve_at": [0]}).keys() == {"/training/options/halve_at/0"}


def test_sizes_are_those_of_the_preset() -> None:
    assert "32 or 64 or 128 with preset default" in wrong(image_size=256)["/training/image_size"]
    assert "256 with preset deepsim" in wrong(preset="deepsim", image_size=64)["/training/image_size"]
    assert "64 to 256" in wrong(preset="deepsim", feature_size=32)["/training/feature_size"]
    assert wrong(preset="deepsin")["/training/preset"].startswith("must be one of default, deepsim")


def test_limits_are_written_as_people_write_them() -> None:
    refused = wrong(options={"layout_weight": 1e7})["/training/options/layout_weight"]
    assert refused == "should be less than or equal to 1000000; got 10000000"
