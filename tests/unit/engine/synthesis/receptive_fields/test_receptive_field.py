"""Receptive fields: the published CaffeNet numbers, and what gradients really reach."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig

from imago_engine.synthesis.inspection.anatomy import anatomy
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.truncate import Prefix
from imago_engine.synthesis.receptive_fields.receptive_field import Box, Extent


class CaffeNet(nn.Module):
    """CaffeNet's geometry with few channels; pooling and padding partly written as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 11, stride=4)
        self.pool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.norm1 = nn.LocalResponseNorm(5)
        self.conv2 = nn.Conv2d(4, 4, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(4, 4, 3)
        self.conv4 = nn.Conv2d(4, 4, 3, padding=1)
        self.conv5 = nn.Conv2d(4, 4, 3, padding=1)
        self.fc8 = nn.Linear(4 * 6 * 6, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(self.pool1(F.relu(self.conv1(x))))
        x = F.max_pool2d(F.relu(self.conv2(x)), 3, 2, ceil_mode=True)
        x = F.relu(self.conv3(F.pad(x, (1, 1, 1, 1))))
        x = F.relu(self.conv5(F.relu(self.conv4(x))))
        logits: Tensor = self.fc8(F.max_pool2d(x, 3, 2).flatten(1))
        return logits


def test_the_fields_of_caffenet_have_the_published_sizes() -> None:
    layers = anatomy(CaffeNet().eval(), 227).layers
    sizes = {name: layer.field.size for name, layer in layers.items() if layer.field and "conv" in name}
    assert sizes == {"conv1": 11, "conv2": 51, "conv3": 99, "conv4": 131, "conv5": 163}


def test_caffenets_conv5_unit_at_6_6_sees_163_pixels_from_32() -> None:
    field = anatomy(CaffeNet().eval(), 227).layers["conv5"].field
    assert field is not None
    assert field.box((6, 6), 227) == Box(32, 32, 195, 195)


def test_a_fully_connected_unit_sees_everything() -> None:
    assert anatomy(CaffeNet().eval(), 227).layers["fc8"].field is None


def test_rows_and_columns_are_kept_apart() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, (5, 1), stride=(2, 1), padding=(2, 0)))
    field = anatomy(network.eval(), 20).layers["0"].field
    assert field is not None
    assert field.box((3, 7), 20) == Box(left=7, top=4, right=8, bottom=9)


def test_dilation_widens_the_field() -> None:
    assert Extent().through_window(3, 1, 2, dilation=2) == Extent(start=-2, stride=1, size=5)


def test_a_box_ends_at_the_edges_and_a_box_of_everything_is_none() -> None:
    field = anatomy(nn.Sequential(nn.Conv2d(3, 1, 9, padding=4)).eval(), 12).layers["0"].field
    assert field is not None
    assert field.box((0, 11), 12) == Box(left=7, top=0, right=12, bottom=5)
    assert field.box((2, 2), 5) is None


@pytest.mark.parametrize(
    ("layer", "position"), [("conv_stem", (5, 20)), ("blocks.1.0", (3, 12)), ("blocks.2.0.conv_dw", (1, 6))]
)
def test_gradients_reach_exactly_the_field_also_with_tensorflows_padding(
    lite0: Network, layer: str, position: tuple[int, int]
) -> None:
    field = anatomy(lite0.module, 64).layers[layer].field
    assert field is not None
    x = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    y, x0 = position
    (gradient,) = torch.autograd.grad(Prefix(lite0.module, layer)(x)[:, :, y, x0].sum(), x)
    touched = gradient.abs().amax((0, 1)) > 0
    rows, columns = touched.any(1).nonzero(), touched.any(0).nonzero()
    reached = Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    assert reached == field.box(position, 64)


@pytest.mark.parametrize(
    ("build", "layer", "size", "stride"),
    [
        (models.resnet18, "layer1.0", 7 + 4 + 2 * 8, 4),
        (lambda: models.DenseNet(8, (6, 1, 1, 1), 16), "features.transition1.pool", 7 + 4 + 6 * 8 + 4, 8),
        (models.shufflenet_v2_x0_5, "stage2.0", 3 + 4 + 8, 8),
        (models.mobilenet_v3_small, "features.1", 3 + 4, 4),  # its gate sees everything; its places do not
        (lambda: models.ConvNeXt([CNBlockConfig(16, None, 2)]), "features.1", 4 + 2 * 6 * 4, 4),
    ],
)
def test_fields_are_followed_through_sums_concatenations_shuffles_gates_and_channels_last_layers(
    build: Callable[[], nn.Module], layer: str, size: int, stride: int
) -> None:
    field = anatomy(build().eval(), 64).layers[layer].field
    assert field is not None
    assert (field.size, field.stride) == (size, stride)
