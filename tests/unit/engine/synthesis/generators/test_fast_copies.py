"""Copies of a generator for climbing draw its pictures."""

import copy

import pytest
import torch

from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.generators.code_spaces import code_space
from imago_engine.synthesis.generators.fast_copies import fast_generator
from imago_engine.synthesis.generators.files import load_generator
from imago_engine.techniques.dgn_am import DgnAm
from imago_engine.weights import shipped_generator


@pytest.fixture(scope="module")
def shipped() -> Generator:
    return load_generator(shipped_generator())


@pytest.mark.parametrize("space", ["plain", "whitened"])
@pytest.mark.parametrize(("dtype", "levels"), [(torch.float32, 0.05), (torch.bfloat16, 4.0)])
def test_a_copy_draws_the_pictures_of_its_generator(
    shipped: Generator, space: str, dtype: torch.dtype, levels: float
) -> None:
    places = code_space(shipped, DgnAm.model_validate({"space": space}))
    draw = torch.Generator().manual_seed(1)
    codes = shipped.code_mean + shipped.code_std * torch.randn(2, *shipped.info.code_shape, generator=draw)
    points = places.point(codes).requires_grad_()
    wanted, found = shipped(places.code(points)), fast_generator(shipped, places, dtype)(points)
    assert found.dtype == torch.float32
    assert (found - wanted).abs().mean() * 255 < levels
    weights = torch.randn(wanted.shape, generator=draw)
    of_wanted, of_found = (torch.autograd.grad((y * weights).sum(), points)[0] for y in (wanted, found))
    assert torch.cosine_similarity(of_found.flatten(1), of_wanted.flatten(1)).min() > 0.98


def test_making_a_copy_leaves_the_generator_as_it_is(shipped: Generator) -> None:
    state = copy.deepcopy(shipped.state_dict())
    fast_generator(shipped, code_space(shipped, DgnAm(space="whitened")), torch.bfloat16)
    after = shipped.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in state.items())


def test_a_generator_in_other_numbers_is_left_as_it_is(compact: Generator) -> None:
    low = copy.deepcopy(compact).to(torch.bfloat16)
    space = code_space(low, DgnAm())
    codes = low.code_mean[None].float()
    assert torch.equal(fast_generator(low, space, torch.float32)(codes), low(codes.to(torch.bfloat16)))
