"""The technique that is chosen where nobody has chosen one."""

import pytest
import torch
from torch import nn

from imago_engine.networks import InputSizes
from imago_engine.synthesis.inspection.anatomy import anatomy
from imago_engine.synthesis.networks.truncate import Prefix
from imago_engine.techniques import technique_named
from imago_engine.techniques.automatic import LARGEST_EARLY_FIELD, MARGIN, chosen, leaves_open, named_size


@pytest.mark.parametrize(("field", "stride"), [(3, 2), (7, 2), (19, 4), (35, 8), (LARGEST_EARLY_FIELD, 16)])
def test_units_that_see_little_are_shown_by_fourier_in_a_picture_of_about_that_size(
    field: int, stride: int
) -> None:
    choice = chosen(field, stride)
    assert choice.technique == "fourier"
    assert choice.least_size is not None
    assert field < choice.least_size <= field + 8 * stride
    settled = technique_named("fourier").parameters({**choice.parameters, "input_size": choice.least_size})
    # The warps move what the unit sees by a part of it.
    assert settled.model_dump()["jitter"] <= field / 8


def test_the_unit_at_the_centre_of_such_a_picture_answers_to_what_it_sees_alone() -> None:
    """Whatever surrounds the picture: other pixels, or the zeros with which convolutions are padded."""
    torch.manual_seed(0)
    parts = [(7, 2, 3), (3, 2, 1), (3, 1, 1), (5, 2, 2), (3, 1, 1)]
    network = nn.Sequential(
        *[nn.Conv2d(3 if at == 0 else 4, 4, *part) for at, part in enumerate(parts)],
        nn.Flatten(),
        nn.LazyLinear(3),
    ).eval()
    network(torch.zeros(1, 3, 96, 96))
    layers = anatomy(network, 96).layers
    for name in map(str, range(len(parts))):
        field = layers[name].field
        assert field is not None
        stride, beside = field.rows.stride, 2
        size = field.rows.size + MARGIN * stride
        within = slice(beside * stride, beside * stride + size)
        surrounded = torch.randn(1, 3, size + 2 * beside * stride, size + 2 * beside * stride)
        layer = Prefix(network, name, layers[name].layout)
        with torch.no_grad():
            alone, among = layer(surrounded[:, :, within, within]), layer(surrounded)
        centre = alone.shape[2] // 2
        assert torch.allclose(
            alone[0, :, centre, centre], among[0, :, centre + beside, centre + beside], atol=1e-5
        )


@pytest.mark.parametrize(
    ("field", "stride"), [(LARGEST_EARLY_FIELD + 1, 16), (851, 32), (None, None), (None, 16), (3, None)]
)
def test_units_that_see_more_and_those_of_which_it_is_not_known_are_the_generators(
    field: int | None, stride: int | None
) -> None:
    choice = chosen(field, stride)
    assert (choice.technique, choice.parameters, choice.least_size) == ("dgn-am", {}, None)


def test_parameters_of_one_technique_say_which_is_meant() -> None:
    assert leaves_open(())
    assert leaves_open(("steps", "input_size"))
    assert not leaves_open(("steps", "learning_rate"))


@pytest.mark.parametrize(
    ("sizes", "least", "named"),
    [
        (InputSizes(224, 1, 32, None), 11, 32),
        (InputSizes(224, None, 224, 224), 11, 224),  # its own, as it was always named
        (InputSizes(4, None, 4, 4), 11, None),
        (InputSizes(1536, None, 1536, 1536), 11, None),
        (InputSizes(2048, 256, 1280, None), 11, None),
        (InputSizes(2048, 32, 64, None), 70, 96),
    ],
)
def test_a_size_that_no_recipe_may_name_is_the_networks_own(
    sizes: InputSizes, least: int, named: int | None
) -> None:
    assert named_size(sizes.at_least(least)) == named
    technique_named("fourier").parameters({"input_size": named})
