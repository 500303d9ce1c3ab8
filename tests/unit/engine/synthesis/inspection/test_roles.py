"""Which layers people mean: stem, blocks, head and output of networks in general, and the twins of these."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import timm
import torch
import torchvision.models
from torch import Tensor, nn

from imago_engine.networks import LayerInfo
from imago_engine.synthesis.inspection.layers import inspect
from imago_engine.synthesis.networks.load import Network, Preprocessing
from tests.unit.engine.synthesis.inspection.own_networks import (
    Doubles,
    Encoder,
    ResidualBySum,
    UNet,
    Wrapped,
    conv_group,
)

Wrap = Callable[..., Network]
CLASSES = 11


def described(layers: Sequence[LayerInfo]) -> str:
    """The layers with a role as people would tell them, runs of numbered names with what they have in
    common: `stem: conv1; block: layer1.0 …`."""
    told: dict[str, list[str]] = {}
    for layer in layers:
        if layer.role:
            told.setdefault(layer.role, []).append(layer.name)
    return "; ".join(f"{role}: {' '.join(names)}" for role, names in told.items())


def inspected(wrap: Wrap, module: nn.Module, size: int) -> tuple[LayerInfo, ...]:
    return inspect(wrap(module, Preprocessing(size, (0.0,) * 3, (1.0,) * 3)))


def numbered(prefix: str, *counts: int) -> str:
    """`numbered("layer", 2, 1)` is layer1.0 layer1.1 layer2.0."""
    return " ".join(f"{prefix}{n}.{m}" for n, count in enumerate(counts, 1) for m in range(count))


def test_the_blocks_of_efficientnet_lite0_are_nineteen_layers_with_4120_units(lite0: Network) -> None:
    layers = inspect(lite0)
    assert described(layers) == (
        "stem: conv_stem; block: blocks.0.0 blocks.1.0 blocks.1.1 blocks.2.0 blocks.2.1 blocks.3.0 blocks.3.1"
        " blocks.3.2 blocks.4.0 blocks.4.1 blocks.4.2 blocks.5.0 blocks.5.1 blocks.5.2 blocks.5.3 blocks.6.0;"
        " head: conv_head; output: classifier"
    )
    own = [layer for layer in layers if layer.role]
    assert (len(own), sum(layer.units for layer in own)) == (19, 4120)
    assert (len(layers), sum(layer.units for layer in layers)) == (159, 68_968)


TORCHVISION = {
    "resnet18": (
        64,
        f"stem: conv1; block: {numbered('layer', 2, 2, 2, 2)}; output: fc",
    ),
    "vgg11_bn": (
        32,
        "stem: features.0; block: features.4 features.8 features.11 features.15 features.18 features.22"
        " features.25; head: classifier.0 classifier.3; output: classifier.6",
    ),
    "alexnet": (
        64,
        "stem: features.0; block: features.3 features.6 features.8 features.10;"
        " head: classifier.1 classifier.4; output: classifier.6",
    ),
    "mobilenet_v2": (
        64,
        f"stem: features.0.0; block: {' '.join(f'features.{n}' for n in range(1, 18))};"
        " head: features.18.0; output: classifier.1",
    ),
    "mobilenet_v3_small": (
        64,
        f"stem: features.0.0; block: {' '.join(f'features.{n}' for n in range(1, 12))};"
        " head: features.12.0 classifier.0; output: classifier.3",
    ),
    "squeezenet1_1": (
        64,
        f"stem: features.0; block: {' '.join(f'features.{n}' for n in (3, 4, 6, 7, 9, 10, 11, 12))};"
        " head: classifier.1; output: classifier",
    ),
    "densenet121": (
        64,
        "stem: features.conv0; block: features.denseblock1 features.transition1.conv features.denseblock2"
        " features.transition2.conv features.denseblock3 features.transition3.conv features.denseblock4;"
        " output: classifier",
    ),
    "inception_v3": (
        96,
        "stem: Conv2d_1a_3x3.conv Conv2d_2a_3x3.conv Conv2d_2b_3x3.conv Conv2d_3b_1x1.conv"
        " Conv2d_4a_3x3.conv; block: Mixed_5b Mixed_5c Mixed_5d Mixed_6a Mixed_6b Mixed_6c Mixed_6d Mixed_6e"
        " Mixed_7a Mixed_7b Mixed_7c; output: fc",
    ),
    "efficientnet_b0": (
        64,
        f"stem: features.0.0; block: {numbered('features.', 1, 2, 2, 3, 3, 4, 1)}; head: features.8.0;"
        " output: classifier.1",
    ),
    "convnext_tiny": (
        64,
        "stem: features.0.0; block: features.1.0 features.1.1 features.1.2 features.2.1 features.3.0"
        " features.3.1 features.3.2 features.4.1"
        f" {' '.join(f'features.5.{n}' for n in range(9))} features.6.1 features.7.0 features.7.1"
        " features.7.2; output: classifier.2",
    ),
    "vit_b_32": (
        64,
        f"stem: conv_proj; block: {' '.join(f'encoder.layers.encoder_layer_{n}' for n in range(12))};"
        " output: heads.head",
    ),
    "swin_t": (
        64,
        "stem: features.0.0; block: features.1.0 features.1.1 features.2.reduction features.3.0 features.3.1"
        f" features.4.reduction {' '.join(f'features.5.{n}' for n in range(6))} features.6.reduction"
        " features.7.0 features.7.1; output: head",
    ),
    "shufflenet_v2_x0_5": (
        64,
        "stem: conv1.0; block: "
        f"{' '.join(f'stage{stage}.{n}' for stage, most in ((2, 4), (3, 8), (4, 4)) for n in range(most))};"
        " head: conv5.0; output: fc",
    ),
}


@pytest.mark.filterwarnings("ignore:The default weight initialization:FutureWarning")
@pytest.mark.parametrize("architecture", TORCHVISION)
def test_the_layers_that_people_mean_in_torchvisions_networks(wrap: Wrap, architecture: str) -> None:
    size, expected = TORCHVISION[architecture]
    sized = {"image_size": size} if architecture.startswith("vit") else {}
    torch.manual_seed(0)
    module = torchvision.models.get_model(architecture, weights=None, num_classes=CLASSES, **sized)
    assert described(inspected(wrap, module, size)) == expected


TIMM = {
    "resnet26d": f"stem: conv1.0 conv1.3 conv1.6; block: {numbered('layer', 2, 2, 2, 2)}; output: fc",
    "convnext_atto": "stem: stem.0; block: stages.0.blocks.0 stages.0.blocks.1 stages.1.downsample.1"
    " stages.1.blocks.0 stages.1.blocks.1 stages.2.downsample.1"
    f" {' '.join(f'stages.2.blocks.{n}' for n in range(6))} stages.3.downsample.1 stages.3.blocks.0"
    " stages.3.blocks.1; output: head.fc",
    "vit_tiny_patch16_224": f"stem: patch_embed.proj; block: {' '.join(f'blocks.{n}' for n in range(12))};"
    " output: head",
    # Its stages are not led around, and its blocks neither: a single one and a convolution are one step.
    "ese_vovnet19b_slim": "stem: stem.0.conv stem.1.conv stem.2.conv; block: stages.0.blocks.0"
    " stages.1.blocks.0 stages.2.blocks.0 stages.3.blocks.0; output: head.fc",
    # What looks like one convolution is several branches in training.
    "repvgg_a0": "stem: stem; block: "
    f"{' '.join(f'stages.{s}.{n}' for s, most in enumerate((2, 4, 14, 1)) for n in range(most))};"
    " output: head.fc",
    # Its output is flattened by a module of its own: the convolution before says the same.
    "resnetv2_50": "stem: stem.conv; block: "
    f"{' '.join(f'stages.{s}.blocks.{n}' for s, most in enumerate((3, 4, 6, 3)) for n in range(most))};"
    " output: head.flatten",
}


@pytest.mark.parametrize("architecture", TIMM)
def test_the_layers_that_people_mean_in_timms_networks(wrap: Wrap, architecture: str) -> None:
    torch.manual_seed(0)
    sized: dict[str, Any] = {"img_size": 64} if architecture.startswith("vit") else {}
    module = timm.create_model(architecture, pretrained=False, num_classes=CLASSES, **sized)
    assert described(inspected(wrap, module, 64)) == TIMM[architecture]


MLP = nn.Sequential(
    nn.Flatten(), nn.Linear(3 * 32 * 32, 9), nn.ReLU(), nn.Linear(9, 8), nn.Linear(8, CLASSES)
)
OWN = {
    "residual sums in the network's own code": (
        ResidualBySum,
        "stem: conv1.0 conv2.0; block: res; output: fc",
    ),
    "a chain of blocks of one class": (Doubles, "stem: first; block: second third; output: fc"),
    "connections around all blocks": (UNet, "stem: inc; block: down deep up last; output: fc"),
    "blocks that return tuples": (
        Encoder,
        "stem: patches; block: layers.0.output layers.1.output layers.2.output; output: classes",
    ),
    "a network within another": (
        lambda: Wrapped(Wrapped(UNet())),
        "stem: model.model.inc; block: model.model.down model.model.deep model.model.up model.model.last;"
        " output: model.model.fc",
    ),
    "a network of a library within another": (
        lambda: Wrapped(torchvision.models.squeezenet1_1(num_classes=CLASSES)),
        "stem: model.features.0; block: "
        f"{' '.join(f'model.features.{n}' for n in (3, 4, 6, 7, 9, 10, 11, 12))};"
        " head: model.classifier.1; output: model",
    ),
    "layers without a map": (lambda: MLP, "stem: 1; block: 3; output: 4"),
}


@pytest.mark.parametrize("which", OWN)
def test_the_layers_that_people_mean_in_their_own_networks(wrap: Wrap, which: str) -> None:
    torch.manual_seed(0)
    make, expected = OWN[which]
    assert described(inspected(wrap, make(), 32)) == expected


def test_norms_and_activations_are_twins_of_their_convolution_and_containers_of_their_last(
    wrap: Wrap,
) -> None:
    torch.manual_seed(0)
    layers = inspected(wrap, torchvision.models.resnet18(num_classes=CLASSES), 64)
    twins = {layer.name: layer.twin_of for layer in layers}
    assert (twins["bn1"], twins["relu"], twins["maxpool"]) == ("conv1", "conv1", None)
    assert (twins["layer1.0.bn2"], twins["layer1.0"], twins["layer1"]) == (
        "layer1.0.conv2",
        None,
        "layer1.1",
    )


def test_a_norm_within_which_an_activation_runs_is_a_twin_as_the_activation_is(lite0: Network) -> None:
    twins = {layer.name: layer.twin_of for layer in inspect(lite0)}
    assert (twins["bn1"], twins["bn1.act"], twins["conv_stem"]) == ("conv_stem", "conv_stem", None)
    # Without a residual the last norm of a block has the very values of the block.
    assert (twins["blocks.2.0.bn3"], twins["blocks.2.1.bn3"]) == ("blocks.2.0", "blocks.2.1.conv_pwl")
    assert (twins["blocks.6"], twins["blocks"]) == ("blocks.6.0", "blocks.6.0")
    assert twins["global_pool"] == twins["global_pool.flatten"] == "global_pool.pool"


def test_an_activation_written_as_a_function_makes_its_group_a_twin_and_a_pool_does_not(wrap: Wrap) -> None:
    class Group(nn.Module):
        def __init__(self, pools: bool) -> None:
            super().__init__()
            self.conv, self.norm, self.pools = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), pools

        def forward(self, x: Tensor) -> Tensor:
            x = self.norm(self.conv(x)).relu()
            return nn.functional.max_pool2d(x, 2) if self.pools else x

    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, CLASSES)]
    layers = inspected(wrap, nn.Sequential(Group(False), Group(True), *head), 32)
    twins = {layer.name: layer.twin_of for layer in layers}
    assert (twins["0"], twins["0.norm"], twins["1"], twins["1.norm"]) == ("0.conv", "0.conv", None, "1.conv")


def test_a_twin_has_the_units_of_its_layer_and_is_of_no_twin(wrap: Wrap) -> None:
    torch.manual_seed(0)
    module = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=CLASSES, img_size=64)
    layers = {layer.name: layer for layer in inspected(wrap, module, 64)}
    twins = [layer for layer in layers.values() if layer.twin_of]
    assert twins
    for layer in twins:
        first = layers[layer.twin_of or ""]
        assert (first.units, first.twin_of) == (layer.units, None)
        assert layer.role is None


def test_a_layer_that_is_run_again_counts_where_it_ran_first(wrap: Wrap) -> None:
    class Again(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.again = conv_group(3, 4), nn.Conv2d(4, 4, 3, padding=1)
            self.act, self.fc = nn.ReLU(), nn.Linear(4, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            x = self.act(self.again(self.stem(x)))
            x = self.act(self.again(x))
            logits: Tensor = self.fc(x.mean((2, 3)))
            return logits

    layers = inspected(wrap, Again(), 32)
    assert described(layers) == "stem: stem.0; block: again; output: fc"
    assert {layer.name: layer.twin_of for layer in layers}["act"] == "again"


def test_a_network_that_runs_only_on_two_pictures_has_roles_too(wrap: Wrap) -> None:
    class AtLeastTwo(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            if len(x) < 2:
                raise ValueError("two at least")
            logits: Tensor = self.fc(self.conv(x).mean((2, 3)))
            return logits

    assert described(inspected(wrap, AtLeastTwo(), 16)) == "stem: conv; output: fc"
