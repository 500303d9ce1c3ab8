"""Transformers: which layers are listed, where a unit is read, and that pictures can be made of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models import SwinTransformer, VisionTransformer

from imago_engine.networks import LayerInfo
from imago_engine.objectives import TokenObjective, place_of
from imago_engine.objectives import UnitObjective as UnitWords
from imago_engine.synthesis.ascent import Item, synthesize
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.inspection.layers import find_layer, inspect
from imago_engine.synthesis.networks.load import Network, Preprocessing
from imago_engine.synthesis.networks.truncate import Prefix
from imago_engine.synthesis.objectives import ObjectiveError, UnitObjective
from imago_engine.techniques.dgn_am import DgnAm

Wrap = Callable[..., Network]


def of_timm(architecture: str, size: int, **arguments: Any) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(architecture, img_size=size, num_classes=7, **arguments)


class Case(NamedTuple):
    """A transformer, one of its layers, and what is to be found there."""

    size: int
    layer: str
    units: int
    tokens: int | None
    token: int | None
    spatial: tuple[int, int] | None
    make: Callable[[], nn.Module]


def tokens(size: int, layer: str, units: int, tokens: int, token: int, make: Callable[[], nn.Module]) -> Case:
    return Case(size, layer, units, tokens, token, None, make)


def channels_last(size: int, layer: str, units: int, side: int, make: Callable[[], nn.Module]) -> Case:
    return Case(size, layer, units, None, None, (side, side), make)


def plain(architecture: str, size: int = 64, **arguments: Any) -> Callable[[], nn.Module]:
    return of_timm(architecture, size, **{"depth": 2, "embed_dim": 48, "num_heads": 3, **arguments})


def block(count: int, token: int, architecture: str) -> Case:
    return tokens(64, "blocks.1", 48, count, token, plain(architecture))


SWIN = {"depths": (1, 1, 1, 1), "embed_dim": 16, "num_heads": (1, 2, 2, 4)}
CASES = {
    "ViT": block(17, 0, "vit_tiny_patch16_224"),
    "ViT, within a block": tokens(64, "blocks.1.mlp.fc1", 192, 17, 0, plain("vit_tiny_patch16_224")),
    "ViT of torchvision": tokens(
        64,
        "encoder.layers.encoder_layer_1",
        48,
        17,
        0,
        lambda: VisionTransformer(64, 16, 2, 3, 48, 96, num_classes=7),
    ),
    "DeiT with a distillation token": tokens(
        64, "blocks.1", 48, 18, 0, plain("deit_tiny_distilled_patch16_224")
    ),
    "ViT with registers": tokens(
        56, "blocks.1", 48, 21, 0, plain("vit_small_patch14_reg4_dinov2", 56, init_values=1e-5)
    ),
    "registers and no class token": tokens(
        64, "blocks.1", 48, 20, 14, plain("vit_medium_patch16_reg4_gap_256")
    ),
    "BEiT, whose answer is a mean of patches": tokens(
        64, "blocks.1", 48, 17, 11, plain("beit_base_patch16_224")
    ),
    "SigLIP, without special tokens": tokens(
        64, "blocks.1", 48, 16, 10, plain("vit_base_patch16_siglip_224")
    ),
    "EVA-02, with rotary positions": tokens(56, "blocks.1", 48, 17, 11, plain("eva02_tiny_patch14_224", 56)),
    "CaiT, patches": block(16, 10, "cait_xxs24_224"),
    "CaiT, with the class token": tokens(64, "norm", 48, 17, 0, plain("cait_xxs24_224")),
    "XCiT": tokens(64, "blocks.1", 128, 16, 10, of_timm("xcit_nano_12_p16_224", 64, depth=2)),
    "MLP-Mixer": tokens(128, "blocks.1", 512, 16, 10, lambda: _mixer()),
    "LeViT, behind a subsampling": tokens(
        224, "stages.1.blocks.0", 256, 49, 24, lambda: timm.create_model("levit_128s", num_classes=7)
    ),
    "PVT": tokens(64, "stages.1.blocks.0", 64, 64, 36, lambda: timm.create_model("pvt_v2_b0", num_classes=7)),
    "Swin": channels_last(112, "layers.1", 32, 14, of_timm("swin_tiny_patch4_window7_224", 112, **SWIN)),
    "Swin of torchvision": channels_last(
        112,
        "features.3",
        32,
        14,
        lambda: SwinTransformer([4, 4], 16, [1, 1, 1, 1], [1, 2, 2, 4], [7, 7], num_classes=7),
    ),
}


def _mixer() -> nn.Module:
    from timm.models.mlp_mixer import MlpMixer

    return MlpMixer(num_classes=7, img_size=128, patch_size=32, num_blocks=2, embed_dim=512)


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request: pytest.FixtureRequest, wrap: Wrap) -> tuple[Case, Network]:
    found = CASES[request.param]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = found.make()
    return found, wrap(module, Preprocessing(found.size, (0.5,) * 3, (0.25,) * 3))


def listed(network: Network, name: str) -> LayerInfo:
    return next(layer for layer in inspect(network) if layer.name == name)


def test_a_transformer_s_units_are_channels_and_the_usual_token_is_found(case: tuple[Case, Network]) -> None:
    expected, network = case
    layer = listed(network, expected.layer)
    found = (layer.units, layer.tokens, layer.usual_token, layer.spatial)
    assert found == (expected.units, expected.tokens, expected.token, expected.spatial)
    assert layer.class_token == (0 if expected.token == 0 else None)


def test_no_layer_of_a_transformer_has_its_units_where_its_places_are(case: tuple[Case, Network]) -> None:
    """What a layer reads at its usual place are the network's own values, channel by channel."""
    expected, network = case
    found = find_layer(network, expected.layer)
    x = network.preprocessing(torch.rand(2, 3, expected.size, expected.size))
    kept: list[Tensor] = []
    handle = network.module.get_submodule(expected.layer).register_forward_hook(
        lambda module, inputs, output: kept.append(output)
    )
    network.module(x)
    handle.remove()
    output = Prefix(network.module, found.name, found.layout)(x)
    units = list(range(0, expected.units, 5))
    y, _ = find_layer(network, expected.layer).place
    values = kept[0][:1, y] if expected.tokens else kept[0][:1, y, y]
    objective = UnitObjective(found, units, [None] * len(units))
    assert torch.equal(objective(output[:1].expand(len(units), -1, -1, -1)), values[0, units].float())


def test_a_picture_of_a_transformer_s_unit_follows_its_gradient(
    case: tuple[Case, Network], compact: Generator
) -> None:
    expected, network = case
    recipe = DgnAm(steps=4, learning_rate=0.05, start="half-normal", precision="float32")
    (picture,) = synthesize(network, compact, expected.layer, [Item(3, 0)], recipe)
    assert picture.status == "done"
    assert picture.skipped_steps == 0
    assert len(set(picture.trace.tolist())) == recipe.steps
    x = network.preprocessing(_as_input(picture.image, network.preprocessing.size))
    found = find_layer(network, expected.layer)
    output = Prefix(network.module, found.name, found.layout)(x)
    assert UnitObjective(found, [3], [None])(output).item() == pytest.approx(picture.activation, abs=1e-3)


def _as_input(image: Any, size: int) -> Tensor:
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    return torch.nn.functional.interpolate(pixels, (size, size), mode="bilinear")


@pytest.fixture(scope="module")
def vit(wrap: Wrap) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        module = plain("vit_tiny_patch16_224")()
    return wrap(module, Preprocessing(64, (0.5,) * 3, (0.25,) * 3))


def test_another_token_is_read_where_an_objective_names_it(vit: Network) -> None:
    layer = find_layer(vit, "blocks.0")
    output = torch.rand(1, 17, 48)
    for words, token in (
        (UnitWords(layer="blocks.0", unit=5), 0),
        (TokenObjective(layer="blocks.0", unit=5, token=12), 12),
    ):
        objective = UnitObjective(layer, [words.unit], [place_of(words)])
        assert objective(layer.layout.units_first(output)).item() == output[0, token, 5].item()


def test_each_token_has_a_picture_of_its_own(vit: Network, compact: Generator) -> None:
    recipe = DgnAm(steps=3, learning_rate=0.05, start="half-normal")
    items = [Item(5, 0), Item(5, 0, (0, 0)), Item(5, 0, (12, 0))]
    usual, first, other = synthesize(vit, compact, "blocks.1", items, recipe)
    assert usual.trace.tolist() == first.trace.tolist()
    assert usual.trace.tolist() != other.trace.tolist()


@pytest.mark.parametrize("position", [(17, 0), (3, 1), (-1, 0)])
def test_a_token_that_is_not_there_is_refused_with_the_ones_that_are(
    vit: Network, position: tuple[int, int]
) -> None:
    with pytest.raises(ObjectiveError, match=r"item 0: token .* of layer blocks\.0; expected 0 to 16"):
        UnitObjective(find_layer(vit, "blocks.0"), [0], [position])


def test_a_head_that_says_nothing_yet_hides_no_class_token(wrap: Wrap) -> None:
    module = plain("vit_tiny_patch16_224")()
    nn.init.zeros_(module.get_parameter("head.weight"))
    network = wrap(module, Preprocessing(64, (0.5,) * 3, (0.25,) * 3))
    assert listed(network, "blocks.1").usual_token == 0


class Unrolled(nn.Module):
    """Takes patches in another order than a reader would, as Hiera does: from the last to the first."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 24, 8, 8)
        self.norm, self.head = nn.LayerNorm(24), nn.Linear(24, 7)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(self.patches(x).flatten(2).transpose(1, 2).flip(1))  # [N, 16, 24]
        scores: Tensor = self.head(tokens.mean(1))
        return scores


def test_the_patch_at_the_centre_is_found_in_whatever_order_patches_are(wrap: Wrap) -> None:
    network = wrap(Unrolled(), Preprocessing(32, (0.5,) * 3, (0.25,) * 3))
    assert listed(network, "norm").usual_token == 15 - 10


class Mixing(nn.Module):
    """Mixes its tokens by a linear layer on [N, channels, tokens], as MLP-Mixer does."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 24, 8, 8)
        self.norm, self.mix, self.head = nn.LayerNorm(24), nn.Linear(16, 16), nn.Linear(24, 7)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(self.patches(x).flatten(2).transpose(1, 2))  # [N, 16, 24]
        mixed = self.mix(tokens.transpose(1, 2))  # [N, 24, 16]
        scores: Tensor = self.head(mixed.mean(2))
        return scores


def test_tokens_are_not_taken_for_units_where_a_layer_mixes_them(wrap: Wrap) -> None:
    network = wrap(Mixing(), Preprocessing(32, (0.5,) * 3, (0.25,) * 3))
    assert [layer.name for layer in inspect(network)] == ["patches", "norm", "head"]


class Sequence1d(nn.Module):
    """Convolves what it sees as a sequence: [N, channels, length] has its channels first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.along, self.norm = nn.Conv2d(3, 16, 8, 8), nn.Conv1d(16, 16, 3), nn.BatchNorm1d(16)
        self.head = nn.Linear(16, 7)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.norm(self.along(self.conv(x).flatten(2))).mean(2))
        return scores


def test_a_convolution_along_one_axis_gives_no_tokens(wrap: Wrap) -> None:
    network = wrap(Sequence1d(), Preprocessing(32, (0.5,) * 3, (0.25,) * 3))
    assert [layer.name for layer in inspect(network)] == ["conv", "head"]
