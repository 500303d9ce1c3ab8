"""What requests may ask of a training is what the worker's recipes take."""

import dataclasses
from typing import Any

import pytest

from services.training_presets import DEFAULT_PRESET, PRESETS, check_preset
from services.training_request import TrainingRequest
from worker.training.arguments import DEFAULT_CODE, DERIVED
from worker.training.recipes import PRESETS as RECIPES

COMMON = {"batch", "seed", "learning_rate", "feature_size"}
"""Options of every recipe, which are fields of a request themselves."""


def wrong(**fields: Any) -> dict[str, str]:
    request = TrainingRequest.model_validate({"sources": ["birds"], **fields})
    return {error.pointer: error.detail for error in check_preset(request)}


def test_the_presets_are_those_of_the_worker() -> None:
    assert set(PRESETS) == set(RECIPES)
    assert DEFAULT_PRESET in PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_the_options_and_defaults_of_its_recipe(name: str) -> None:
    preset, recipe = PRESETS[name], RECIPES[name]
    theirs = {
        option.name: option.default
        for option in dataclasses.fields(recipe.Options)
        if option.name not in DERIVED
    }
    ours = {
        option: tuple(value) if isinstance(value, list) else value or ("" if value is None else value)
        for option, value in preset.options().model_dump().items()
    }
    assert {**ours, **{option: preset.defaults[option] for option in COMMON}} == theirs
    assert preset.defaults["pictures"] == recipe.pictures
    assert preset.defaults["input_size"] == recipe.encoder_size
    assert preset.defaults["image_size"] == recipe.image_sizes[0]
    assert set(preset.image_sizes) == set(recipe.image_sizes)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, DEFAULT_CODE),
        ({"grid": 4}, ("bn2", 4)),
        ({"layer": "blocks.6"}, ("blocks.6", None)),
        ({"network": "resnet18.IMAGENET1K_V1"}, ("global_pool", None)),
    ],
)
def test_the_code_is_that_of_the_command_line_where_none_is_named(
    given: dict[str, Any], code: tuple[str, int | None]
) -> None:
    encoder = TrainingRequest.model_validate({"sources": ["birds"], "encoder": given}).encoder
    assert (encoder.layer, encoder.grid) == code
    if not given:
        assert TrainingRequest.model_validate({"sources": ["birds"]}).encoder == encoder


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_the_architectures_that_its_recipe_trains(name: str) -> None:
    recipe = RECIPES[name]
    made = {recipe.architecture(recipe.Options(), shape)[0] for shape in ((8,), (8, 4, 4), (256, 6, 6))}
    assert made == set(PRESETS[name].architectures)


@pytest.mark.parametrize("name", PRESETS)
def test_the_sizes_that_a_preset_accepts_are_accepted_by_its_recipe(name: str) -> None:
    for size in PRESETS[name].feature_sizes:
        RECIPES[name].Options.from_facts({"feature_size": size})


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
