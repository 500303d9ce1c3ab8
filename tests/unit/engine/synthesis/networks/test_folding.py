"""Batch norms become part of the weights before them, where nothing else reads what is between."""

import copy
from collections.abc import Callable

import pytest
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from imago_engine.synthesis.networks.folding import fold_batch_norms

PICTURES = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(3))


def trained(module: nn.Module) -> nn.Module:
    """With norms that have seen something, in eval mode."""
    draw = torch.Generator().manual_seed(5)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | BatchNormAct2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.copy_(torch.randn(part.num_features, generator=draw))
            part.running_var.copy_(torch.rand(part.num_features, generator=draw) + 0.1)
            if part.affine:
                part.weight.data.copy_(torch.randn(part.num_features, generator=draw))
                part.bias.data.copy_(torch.randn(part.num_features, generator=draw))
    return module.eval().requires_grad_(False)


def folded(module: nn.Module) -> tuple[nn.Module, int]:
    made = copy.deepcopy(module)
    return made, fold_batch_norms(made, PICTURES)


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d, lambda width: nn.BatchNorm2d(width, affine=False), BatchNormAct2d]
)
@pytest.mark.parametrize("bias", [False, True])
def test_a_network_with_folded_norms_gives_what_it_gave(norm: Callable[[int], nn.Module], bias: bool) -> None:
    torch.manual_seed(1)
    layers = [
        nn.Conv2d(3, 6, 3, bias=bias),
        norm(6),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, groups=6, bias=bias),
        norm(6),
    ]
    whole = [*layers, nn.Flatten(), nn.Linear(150, 4, bias=bias), nn.BatchNorm1d(4)]
    network = trained(nn.Sequential(*whole))
    made, count = folded(network)
    assert count == 3
    torch.testing.assert_close(made(PICTURES), network(PICTURES), rtol=1e-4, atol=1e-4)


def test_modules_keep_their_names_and_the_activation_of_a_norm_stays() -> None:
    network = trained(nn.Sequential(nn.Conv2d(3, 6, 3), BatchNormAct2d(6)))
    made, _ = folded(network)
    assert {name for name, _ in network.named_modules()} == {name for name, _ in made.named_modules()}
    assert bool((made(PICTURES) == 0).any())


class RunTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(self.norm(self.conv(x))))
        return y


class NormOfSum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x) + x)
        return y


@pytest.mark.parametrize("network", [RunTwice(), NormOfSum()])
def test_what_is_not_one_convolution_and_its_norm_stays_as_it_is(network: nn.Module) -> None:
    made, count = folded(trained(network))
    assert count == 0
    assert torch.equal(made(PICTURES), network(PICTURES))


def test_a_norm_that_still_learns_is_not_folded() -> None:
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)).train()
    assert folded(network)[1] == 0
