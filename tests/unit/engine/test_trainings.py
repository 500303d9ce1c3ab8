"""Presets: their options, what they settle, and what may be asked for."""

import pytest
from pydantic import ValidationError

from imago_engine.trainings import DEFAULT_PRESET, PRESETS, EncoderRequest, TrainingChoices


@pytest.mark.parametrize("name", PRESETS)
def test_every_option_says_what_it_is_and_is_settled_with_the_same_default(name: str) -> None:
    preset = PRESETS[name]
    settled = preset.settings()  # type: ignore[call-arg]
    for option, default in preset.options():
        assert preset.options.model_fields[option].description, option
        assert getattr(settled, option) == default
    assert preset.description


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_preset_has_by_default_could_have_been_asked_for(name: str) -> None:
    defaults = dict(PRESETS[name].defaults)
    EncoderRequest(input_size=defaults.pop("input_size"))
    TrainingChoices(**defaults)
    assert defaults["image_size"] in PRESETS[name].image_sizes


def test_the_range_of_a_feature_size_is_the_presets_own() -> None:
    assert PRESETS[DEFAULT_PRESET].feature_sizes == (32, 1024)
    assert PRESETS["deepsim"].feature_sizes == (64, 256)
    with pytest.raises(ValidationError, match="less than or equal to 256"):
        PRESETS["deepsim"].settings.model_validate({"feature_size": 257})


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, ("bn2", 2)),
        ({"grid": 4}, ("bn2", 4)),
        ({"layer": "blocks.6"}, ("blocks.6", None)),
        ({"network": "resnet18.IMAGENET1K_V1"}, ("global_pool", None)),
    ],
)
def test_the_code_that_measured_best_is_taken_where_none_is_named(
    given: dict[str, object], code: tuple[str, int | None]
) -> None:
    encoder = EncoderRequest.model_validate(given)
    assert (encoder.layer, encoder.grid) == code
