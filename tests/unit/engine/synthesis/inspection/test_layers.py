"""What people are told about a network's layers."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
import torch
import torchvision.models
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

from imago_engine.networks import LayerInfo
from imago_engine.synthesis.ascent import Item, synthesize
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.inspection.layers import find_layer, inspect
from imago_engine.synthesis.networks.load import Network, NetworkError, Preprocessing
from imago_engine.synthesis.networks.truncate import LayerError
from imago_engine.synthesis.stored_pixels import from_bytes
from imago_engine.techniques.dgn_am import DgnAm

Wrap = Callable[..., Network]
SMALL = Preprocessing(32, (0.0,) * 3, (1.0,) * 3)


def test_layers_are_listed_with_their_geometry_in_the_order_they_run(
    lite0: Network, hook_count: Callable[[nn.Module], int]
) -> None:
    layers = inspect(lite0)
    by_name = {layer.name: layer for layer in layers}
    assert next(iter(by_name)) == "conv_stem"
    assert layers[-1].name == "classifier"
    assert by_name["conv_stem"] == LayerInfo("conv_stem", "conv", 32, (112, 112), 3, stride=2, role="stem")
    assert by_name["classifier"] == LayerInfo("classifier", "output", 1000, None, None, None, role="output")
    block = by_name["blocks.2.0"]
    assert (block.kind, block.units, block.spatial, block.stride) == ("block", 40, (28, 28), 8)
    assert hook_count(lite0.module) == 0


@pytest.mark.parametrize("alias", ["output", "logits", "classifier"])
def test_the_output_layer_goes_by_its_name_and_two_aliases(lite0: Network, alias: str) -> None:
    assert find_layer(lite0, alias).name == "classifier"


@pytest.mark.parametrize(
    "last", [nn.Softmax(1), nn.Sigmoid(), nn.LogSoftmax(1), nn.Identity(), nn.Dropout(0.5)]
)
def test_the_output_layer_is_the_one_before_what_only_squashes_or_passes_on(
    wrap: Wrap, last: nn.Module
) -> None:
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 7), nn.Dropout(), last]
    assert find_layer(wrap(nn.Sequential(nn.Conv2d(3, 4, 3), *head)), "output").name == "3"


def test_the_output_layer_is_found_before_a_softmax_function(wrap: Wrap) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 7)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.fc(self.conv(x).mean((2, 3)))
            return logits.softmax(1)

    assert find_layer(wrap(Net()), "logits").name == "fc"


@pytest.mark.parametrize(
    ("architecture", "output"),
    [
        ("squeezenet1_1", "classifier"),
        ("mobilenet_v2", "classifier.1"),
        ("resnet18", "fc"),
    ],
)
def test_the_output_layer_of_torchvision_networks(wrap: Wrap, architecture: str, output: str) -> None:
    network = wrap(
        torchvision.models.get_model(architecture, weights=None), Preprocessing(64, (0.0,) * 3, (1.0,) * 3)
    )
    assert [layer.name for layer in inspect(network) if layer.kind == "output"] == [output]


def test_a_network_without_logits_has_no_output_layer(wrap: Wrap) -> None:
    network = wrap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), SMALL)
    assert "output" not in [layer.kind for layer in inspect(network)]
    with pytest.raises(LayerError, match=r"no layer 'output'.*returns \[N, 4, 30, 30\].*such as 0, 1"):
        find_layer(network, "output")


def test_a_wrong_layer_is_answered_with_close_names_and_the_output(lite0: Network) -> None:
    with pytest.raises(LayerError, match=r"blocks\.2\.9.*such as.*blocks\.2.*classifier \(also called"):
        find_layer(lite0, "blocks.2.9")


def test_an_input_size_at_which_the_network_cannot_run_is_an_error(wrap: Wrap) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 30 * 30, 7))
    with pytest.raises(NetworkError, match="cannot run on pictures of 16 pixels"):
        inspect(wrap(module, SMALL), input_size=16)


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(1, 4, 3),
        nn.Conv2d(4, 4, 3),
        nn.Conv3d(3, 4, 3),
        nn.Conv1d(3, 4, 3),
        nn.Sequential(nn.Flatten(), nn.Linear(7, 2)),
        nn.Embedding(10, 4),
    ],
)
def test_a_network_that_takes_no_colour_pictures_is_an_error_with_what_torch_says(
    wrap: Wrap, module: nn.Module
) -> None:
    with pytest.raises(NetworkError, match=r"cannot run on pictures of 32 pixels \(2 at once\): \w+Error: ."):
        inspect(wrap(nn.Sequential(module), SMALL))


def _lines_run(action: Callable[[], object]) -> int:
    """How many lines of Python code are run: the same number each time, however busy the machine is."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return count


def test_twice_as_many_layers_are_twice_the_work_to_inspect(wrap: Wrap) -> None:
    def work(count: int) -> int:
        maps = [nn.Conv2d(3, 3, 1) for _ in range(count)]
        vectors = [nn.Linear(3, 3) for _ in range(count)]
        network = wrap(nn.Sequential(*maps, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *vectors))
        return _lines_run(lambda: inspect(network))

    work(1)  # whatever the first time takes
    few, more, most = (work(count) for count in (30, 60, 120))
    # A single line for each pair of layers would be 4% more.
    assert most - more == pytest.approx(2 * (more - few), rel=0.01)


def test_a_shared_module_is_listed_once_with_its_first_run(wrap: Wrap) -> None:
    network = wrap(ResNet(Bottleneck, [1, 1, 1, 1]), Preprocessing(64, (0.0,) * 3, (1.0,) * 3))
    relus = [layer for layer in inspect(network) if layer.name == "layer1.0.relu"]
    assert [relu.units for relu in relus] == [64]  # after bn1; after the sum it would be 256


class ActivationMap(nn.Module):
    """Its classifier is run on each place of a set of maps first, then on the mean of all."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        features = self.conv(x).relu()
        self.map = self.fc(features.permute(0, 2, 3, 1)[:, None])  # [N, 1, 14, 14, 5]
        scores: Tensor = self.fc(features.mean((2, 3)))
        return scores


class Patches(nn.Module):
    """Looks at each quarter of a picture by itself, and at their mean, with one activation function."""

    def __init__(self, width: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.hidden, self.fc = nn.Linear(192, 8), nn.Linear(8, width), nn.Linear(width, 5)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        quarters = x.unfold(2, 8, 8).unfold(3, 8, 8).permute(0, 2, 3, 1, 4, 5).reshape(-1, 192)
        mean = self.act(self.embed(quarters)).view(len(x), 4, 8).mean(1)
        scores: Tensor = self.fc(self.act(self.hidden(mean)))
        return scores


def test_a_later_run_does_not_stand_for_a_first_one_that_gives_no_units(
    wrap: Wrap, canvas: Generator
) -> None:
    network = wrap(ActivationMap())
    assert [layer.name for layer in inspect(network)] == ["conv"]
    with pytest.raises(LayerError, match="none of its layers"):
        find_layer(network, "output")
    recipe = DgnAm(steps=2, learning_rate=0.2, decay=1.0, bounds="none", start="half-normal")
    (picture,) = synthesize(network, canvas, "conv", [Item(3, 0)], recipe)
    shown = from_bytes(torch.from_numpy(picture.image.copy()).permute(2, 0, 1)[None])
    logits = network.module(network.preprocessing(shown))
    assert picture.predictions is not None
    assert picture.predictions[0][0] == int(logits.argmax())


@pytest.mark.parametrize("width", [8, 6])
def test_a_layer_that_mixes_places_and_pictures_at_first_is_not_listed(wrap: Wrap, width: int) -> None:
    network = wrap(Patches(width))
    assert [layer.name for layer in inspect(network)] == ["hidden", "fc"]
    assert find_layer(network, "output").name == "fc"


def test_inspection_leaves_the_outputs_as_they_were(wrap: Wrap) -> None:
    torch.manual_seed(0)
    network = wrap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True)), SMALL)
    x = torch.rand(1, 3, 32, 32)
    before = network.module(x)
    inspect(network)
    assert torch.equal(network.module(x), before)


class ChannelsLast(nn.Module):
    """Works on [N, H, W, C] within, as ConvNeXt does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.wide = nn.Conv2d(3, 8, 3, 2), nn.LayerNorm(8), nn.Linear(8, 12)
        self.fc = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        features = self.wide(self.norm(self.conv(x).permute(0, 2, 3, 1)))  # [N, H, W, 12]
        scores: Tensor = self.fc(features.mean((1, 2)))
        return scores


def test_a_map_with_its_channels_last_has_channels_for_units_and_a_receptive_field(wrap: Wrap) -> None:
    layers = {layer.name: layer for layer in inspect(wrap(ChannelsLast(), SMALL))}
    assert layers["wide"] == LayerInfo("wide", "linear", 12, (15, 15), 3, stride=2, role="block")
    assert list(layers) == ["conv", "norm", "wide", "fc"]
