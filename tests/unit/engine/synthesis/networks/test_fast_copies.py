"""Copies of a network for climbing: they give what the network gives, or are not taken."""

from collections.abc import Callable

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

from imago_engine.synthesis.inspection.layers import find_layer
from imago_engine.synthesis.networks.cpu_convolutions import (
    PointwiseConv2d,
    StridedDepthwiseConv2d,
    StridedDepthwiseConv2dSame,
)
from imago_engine.synthesis.networks.fast_copies import FastPrefix, fast_prefix
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.truncate import Prefix

Wrap = Callable[..., Network]
SIZE = 48


def copy_of(network: Network, layer: str, dtype: torch.dtype = torch.float32) -> FastPrefix:
    return fast_prefix(network, find_layer(network, layer, SIZE), SIZE, dtype)


def pictures(count: int = 3) -> Tensor:
    draw = torch.Generator().manual_seed(7)
    drawn = torch.rand(count, 3, SIZE, SIZE, generator=draw)
    return drawn.contiguous(memory_format=torch.channels_last)


def value_and_gradient(prefix: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    x = pictures().requires_grad_()
    y = prefix(x)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(8)) / y.numel() ** 0.5
    (gradient,) = torch.autograd.grad((y * weights).sum(), x)
    return y.detach(), gradient


@pytest.mark.parametrize(
    "layer", ["conv_stem", "blocks.1.0.conv_dw", "blocks.2.0.bn2", "blocks.3", "classifier"]
)
def test_a_copy_gives_a_layers_values_and_gradients(lite0: Network, layer: str) -> None:
    itself = value_and_gradient(Prefix(lite0.module, layer))
    for found, wanted in zip(value_and_gradient(copy_of(lite0, layer)), itself, strict=True):
        assert (found - wanted).norm() < 1e-4 * wanted.norm()


def test_a_copy_in_bfloat16_gives_them_up_to_rounding(lite0: Network) -> None:
    values, gradients = value_and_gradient(Prefix(lite0.module, "classifier"))
    found, slopes = value_and_gradient(copy_of(lite0, "classifier", torch.bfloat16))
    assert found.dtype == torch.bfloat16
    assert (found - values).norm() < 0.1 * values.norm()
    assert torch.cosine_similarity(slopes.flatten(1), gradients.flatten(1)).min() > 0.9


def test_what_a_layers_activation_is_given_is_the_same(lite0: Network) -> None:
    layer = "blocks.2.0.bn2"
    wanted = Prefix(lite0.module, layer).with_preactivation(pictures())
    found = copy_of(lite0, layer).with_preactivation(pictures())
    for one, other in zip(found, wanted, strict=True):
        assert one is not None
        assert other is not None
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


class Skipping(nn.Module):
    """Something else reads the convolution's output beside its norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 5)
        self.norm.running_mean = torch.tensor([0.5, -1.0, 2.0, 0.1])

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        y: Tensor = self.head((self.norm(x) + x).mean((2, 3)))
        return y


def test_a_norm_beside_a_skip_is_not_folded(wrap: Wrap) -> None:
    network = wrap(Skipping())
    found, wanted = copy_of(network, "head")(pictures()), network.module(pictures())
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


class InFloat32Alone(nn.Module):
    """Makes tensors of float32 itself, which no layer in bfloat16 accepts."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).mean((2, 3))
        y: Tensor = self.head(x * torch.ones(4, dtype=torch.float32))
        return y


def test_a_network_that_cannot_run_in_bfloat16_is_climbed_in_float32(wrap: Wrap) -> None:
    network = wrap(InFloat32Alone())
    found = copy_of(network, "head", torch.bfloat16)(pictures())
    torch.testing.assert_close(found, network.module(pictures()))


def test_a_network_in_other_numbers_is_left_as_it_is(wrap: Wrap) -> None:
    network = wrap(InFloat32Alone().to(torch.float64))
    assert copy_of(network, "conv", torch.bfloat16)(pictures()).dtype == torch.float64


@pytest.mark.parametrize(
    ("conv", "kind"),
    [
        (nn.Conv2d(8, 5, 1), PointwiseConv2d),
        (nn.Conv2d(8, 5, 1, bias=False), PointwiseConv2d),
        (nn.Conv2d(8, 8, 3, 2, 1, groups=8), StridedDepthwiseConv2d),
        (nn.Conv2d(8, 8, 5, (2, 1), groups=8, dilation=2, bias=False), StridedDepthwiseConv2d),
        ("same", StridedDepthwiseConv2dSame),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_convolutions_for_a_cpu_compute_what_torchs_own_do(
    conv: nn.Conv2d | str, kind: type[nn.Conv2d], dtype: torch.dtype
) -> None:
    plain = Conv2dSame(8, 8, 3, 2, groups=8) if isinstance(conv, str) else conv
    plain = plain.requires_grad_(False).to(dtype)
    made = kind.__new__(kind)
    made.__dict__.update(plain.__dict__)
    draw = torch.Generator().manual_seed(2)
    x = torch.randn(3, 8, 11, 11, generator=draw).to(dtype).contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    wanted, found = plain(x), made(x)
    weights = torch.randn(wanted.shape, generator=draw).to(dtype)
    of_wanted, of_found = (torch.autograd.grad((y * weights).sum(), x)[0] for y in (wanted, found))
    relative, absolute = (1e-4, 1e-5) if dtype == torch.float32 else (0.05, 0.05)
    torch.testing.assert_close(found, wanted, rtol=relative, atol=absolute)
    torch.testing.assert_close(of_found, of_wanted, rtol=relative, atol=absolute)
