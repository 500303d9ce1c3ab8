"""Gradients through activation functions that are off."""

from collections.abc import Callable, Iterator
from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imago_engine.synthesis.networks.redirected_clips import RedirectedClips

Function = Callable[[Tensor], Tensor]
BELOW, WITHIN, ABOVE = -4.0, 0.5, 8.0
X = (BELOW, WITHIN, ABOVE)


def module_in_place(x: Tensor) -> Tensor:
    result: Tensor = nn.Sequential(nn.ReLU(inplace=True), nn.Hardtanh(0, 6, inplace=True))(x * 1)
    return result


def function_in_place_without_its_result(x: Tensor) -> Tensor:
    cut = x * 1
    F.relu(cut, inplace=True)
    cut.clamp_max_(6)
    return cut


TO_SIX: dict[str, Function] = {
    "relu6": F.relu6,
    "nn.ReLU6": nn.ReLU6(),
    "clamp": lambda x: x.clamp(0, 6),
    "clamp by name": lambda x: torch.clamp(x, min=0, max=6),
    "hardtanh": lambda x: F.hardtanh(x, 0.0, 6.0),
    "relu, then clamp_max": lambda x: torch.relu(x).clamp_max(6),
    "modules in place": module_in_place,
    "in place, result unused": function_in_place_without_its_result,
}


def redirected(function: Function, goal: Function, x: tuple[float, ...] = X) -> tuple[Tensor, Tensor]:
    """What a function gives for x, and the gradient of a goal of that by x."""
    given = torch.tensor(x, requires_grad=True)
    with RedirectedClips():
        value = function(given)
    (gradient,) = torch.autograd.grad(goal(value).sum(), given)
    return value.detach(), gradient


@pytest.mark.parametrize("function", TO_SIX.values(), ids=TO_SIX)
def test_values_stay_and_what_leads_back_onto_the_slope_has_a_gradient(function: Function) -> None:
    value, up = redirected(function, lambda y: 2 * y)
    assert value.tolist() == [0, WITHIN, 6]
    assert up.tolist() == [2, 2, 0], "more of what is above its limit leads nowhere"
    _, down = redirected(function, lambda y: -3 * y)
    assert down.tolist() == [0, -3, -3], "less of what is below its limit leads nowhere"


@pytest.mark.parametrize("function", [F.hardswish, F.hardsigmoid, nn.Hardswish(), nn.Hardsigmoid()])
def test_between_its_limits_a_function_has_its_own_gradient(function: Function) -> None:
    x = torch.tensor([BELOW, -1.0, 2.0], requires_grad=True)
    (own,) = torch.autograd.grad(function(x).sum(), x)
    value, gradient = redirected(function, lambda y: y, tuple(x.tolist()))
    torch.testing.assert_close(value, function(x).detach())
    assert own[0] == 0
    assert gradient[0] == 1
    torch.testing.assert_close(gradient[1:], own[1:])


def test_a_unit_that_is_off_behind_a_pool_is_led_to_through_all_that_is_off() -> None:
    layers = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 1, 1), nn.ReLU(), nn.MaxPool2d(2))
    for conv in (layers[0], layers[2]):
        assert isinstance(conv, nn.Conv2d)
        nn.init.constant_(conv.weight, 1.0)
        nn.init.constant_(conv.get_parameter("bias"), -1.0)
    x = torch.zeros(1, 1, 2, 2, requires_grad=True)
    (own,) = torch.autograd.grad(layers(x).sum(), x)
    assert not own.any()
    with RedirectedClips():
        output = layers(x)
    assert output.item() == 0
    (gradient,) = torch.autograd.grad(output.sum(), x)
    assert gradient.sum() == 2


def test_afterwards_gradients_are_as_they_were() -> None:
    redirected(F.relu, lambda y: y)
    x = torch.tensor(X, requires_grad=True)
    (gradient,) = torch.autograd.grad(F.relu(x).sum(), x)
    assert gradient.tolist() == [0, 1, 1]


@pytest.fixture
def _compile_anew() -> Iterator[None]:
    """What torch.compile has kept of the code of torch's own modules is kept for no other test."""
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("_compile_anew")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # of torch.compile
def test_a_network_of_which_a_part_is_compiled_runs_and_gives_its_values() -> None:
    part = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    network = nn.Sequential(cast(nn.Module, torch.compile(part, backend="eager")), nn.Hardtanh(0, 6))
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    wanted = network(x)
    with RedirectedClips():
        output = network(x)
    torch.testing.assert_close(output, wanted)
    (gradient,) = torch.autograd.grad(output.sum(), x)
    assert gradient.isfinite().all()
