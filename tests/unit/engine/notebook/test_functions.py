"""The engine's functions for notebooks: defaults that suit, and errors before any work."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

import imago_engine
from imago_engine import Network, Preprocessing, list_layers, load_generator, load_network, synthesize
from imago_engine.generators import GeneratorFileError
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.networks.load import NetworkError
from imago_engine.synthesis.networks.truncate import LayerError
from imago_engine.synthesis.objectives import ObjectiveError
from imago_engine.techniques import RecipeError
from imago_engine.units import UnitsError
from imago_engine.weights import shipped_generator
from tests.small_world import write_generator

CLASSES = ("cat, house cat", "dog", "fox")
SMALL = Preprocessing(32, (0.5,) * 3, (0.25,) * 3)


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.norm(self.conv(x)).relu().mean((2, 3)))
        return scores


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return load_generator(write_generator(tmp_path_factory.mktemp("generator")))


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return Network.of(Classifier(), preprocessing=SMALL, labels=CLASSES)


def test_importing_the_package_and_its_functions_loads_no_torch() -> None:
    code = (
        "import sys; from imago_engine import list_layers, load_generator, load_network, synthesize,"
        " Preprocessing, Visualizations; print(*{'torch', 'numpy', 'PIL', 'tqdm'} & sys.modules.keys())"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == ""


def test_every_exported_name_exists_and_is_listed() -> None:
    assert all(getattr(imago_engine, name) is not None for name in imago_engine.__all__)
    assert set(imago_engine.__all__) <= set(dir(imago_engine))
    with pytest.raises(AttributeError, match="no attribute 'render'"):
        imago_engine.render  # noqa: B018


def test_the_default_generator_comes_with_the_package() -> None:
    assert load_generator("default").info == load_generator(shipped_generator()).info


def test_a_path_is_a_generator_s_file(tmp_path: Path) -> None:
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    with pytest.raises(GeneratorFileError, match="torn"):
        load_generator(tmp_path / "torn.safetensors")


def test_pictures_come_for_each_unit_and_seed_in_order(network: Network, generator: Generator) -> None:
    pictures = synthesize(network, "output", "0,2", seeds=(5, 6), generator=generator, progress=False)
    assert [(p.layer, p.unit, p.seed, p.label) for p in pictures] == [
        ("head", unit, seed, CLASSES[unit]) for unit in (0, 2) for seed in (5, 6)
    ]
    assert pictures[0].parameters["steps"] == 10  # as the generator's file recommends
    assert pictures[0].parameters["learning_rate"] == 0.1


def test_what_is_given_goes_before_what_the_generator_recommends(
    network: Network, generator: Generator
) -> None:
    (picture,) = synthesize(network, "conv", 3, steps=2, input_size=24, generator=generator, progress=False)
    assert (picture.parameters["steps"], picture.parameters["input_size"]) == (2, 24)
    assert picture.trace.shape == (2,)


def test_a_network_that_cannot_run_at_the_recommended_size_is_run_at_its_own(generator: Generator) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 14 * 14, 3))
    own = Network.of(module, preprocessing=Preprocessing(16, (0.5,) * 3, (0.25,) * 3))
    (picture,) = synthesize(own, "output", 1, generator=generator, steps=2, progress=False)
    assert picture.parameters["input_size"] is None


@pytest.mark.parametrize("name", ["dog", "Dog", " dog "])
def test_a_class_is_asked_for_by_its_name(network: Network, generator: Generator, name: str) -> None:
    (picture,) = synthesize(network, "output", name, generator=generator, steps=1, progress=False)
    assert picture.unit == 1


def test_a_class_goes_by_each_of_the_names_that_its_label_lists(
    network: Network, generator: Generator
) -> None:
    (picture,) = synthesize(network, "output", "house cat", generator=generator, steps=1, progress=False)
    assert picture.unit == 0


def test_predictions_bear_the_classes_names(network: Network, generator: Generator) -> None:
    (picture,) = synthesize(network, "norm", 0, generator=generator, steps=1, progress=False)
    assert picture.label is None
    assert {prediction.label for prediction in picture.predictions} == set(CLASSES)
    assert sum(prediction.probability for prediction in picture.predictions) == pytest.approx(1)


def test_a_technique_without_a_generator_needs_none(network: Network, tmp_path: Path) -> None:
    (picture,) = synthesize(
        network, "conv", 3, technique="fourier", generator=tmp_path / "nowhere", steps=2, progress=False
    )
    assert picture.technique == "fourier"
    assert picture.code is None
    assert picture.image.shape == (32, 32, 3)


def test_another_token_gives_another_picture(generator: Generator) -> None:
    torch.manual_seed(0)
    module = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1, embed_dim=24, num_heads=2)
    vit = Network.of(module, preprocessing=SMALL)
    usual, named, other = (
        synthesize(vit, "blocks.0", 3, token=token, generator=generator, steps=2, progress=False)[0]
        for token in (None, 0, 2)
    )
    assert usual.trace.tolist() == named.trace.tolist() != other.trace.tolist()
    assert other.name == "blocks.0/3, token 2"
    with pytest.raises(ObjectiveError, match=r"has tokens; expected token=0 to 4"):
        synthesize(vit, "blocks.0", 3, position=(1, 1), generator=generator)


@pytest.mark.parametrize(
    ("layer", "units", "wrong", "error", "message"),
    [
        ("nowhere", 0, {}, LayerError, "nowhere"),
        ("output", 3, {}, UnitsError, r"3 units .*got 3\. A class can also be named, by itself, such as "),
        ("output", "wolf", {}, UnitsError, "wolf.*A class can also be named, by itself, such as "),
        ("output", "house cats", {}, UnitsError, "such as 'cat, house cat'$"),
        ("conv", "wolf", {}, UnitsError, "wolf"),
        ("conv", 0, {"token": 1}, ObjectiveError, "conv has no tokens"),
        ("conv", 0, {"position": (40, 0)}, ObjectiveError, "y from 0 to"),
        ("conv", 0, {"stepz": 3}, RecipeError, "stepz.*steps"),
        ("conv", 0, {"technique": "magic"}, RecipeError, "one of: dgn-am"),
        ("conv", 1.0, {}, UnitsError, r"units 1.0: expected a number"),
        ("conv", True, {}, UnitsError, r"units True: expected a number"),
        ("conv", [0, "1"], {}, UnitsError, r"expected a number"),
        ("conv", 0, {"seeds": ()}, ValueError, r"seeds: expected a whole number"),
        ("conv", 0, {"seeds": 1.5}, ValueError, r"seeds: .*got 1.5"),
        ("conv", 0, {"seeds": 2**64}, ValueError, r"seeds: .*of 64 bits"),
        ("conv", 0, {"candidates": 2.5}, ValueError, r"candidates: is a number from 1 to 8; got 2\.5"),
        ("conv", 0, {"candidates": True}, ValueError, "candidates: is a number"),
        ("conv", 0, {"candidates": "2"}, ValueError, "candidates: is a number"),
        ("conv", 0, {"candidates": 9}, ValueError, "candidates: is a number"),
        ("conv", 0, {"position": (0,)}, ObjectiveError, r"expected \(y, x\)"),
        ("conv", 0, {"position": (-1, 0)}, ObjectiveError, r"expected \(y, x\)"),
        ("conv", 0, {"position": "00"}, ObjectiveError, r"expected \(y, x\)"),
    ],
)
def test_mistakes_are_told_before_any_work(
    network: Network,
    generator: Generator,
    layer: str,
    units: Any,
    wrong: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    steps: list[int] = []
    with pytest.raises(error, match=message):
        synthesize(
            network,
            layer,
            units,
            generator=generator,
            progress=lambda done, total: steps.append(done),
            **wrong,
        )
    assert steps == []


def test_whole_numbers_of_numpy_and_torch_are_numbers(network: Network, generator: Generator) -> None:
    pictures = synthesize(
        network,
        "conv",
        torch.tensor([0, 2]),
        seeds=np.arange(2),
        position=(np.int64(1), np.int64(2)),
        generator=generator,
        steps=1,
        progress=False,
    )
    assert [(p.unit, p.seed) for p in pictures] == [(0, 0), (0, 1), (2, 0), (2, 1)]
    (one,) = synthesize(
        network, "output", np.argmax([0, 1, 0]), seeds=np.uint64(2**64 - 1), technique="pixel", steps=1
    )
    assert (one.label, one.seed) == ("dog", 2**64 - 1)


def test_a_position_that_can_be_read_once_is_that_of_all_units(
    network: Network, generator: Generator
) -> None:
    given: dict[str, Any] = {"generator": generator, "steps": 1, "progress": False, "candidates": np.int64(2)}
    once = synthesize(network, "conv", [0, 1], position=(place for place in (1, 2)), **given)
    again = synthesize(network, "conv", [0, 1], position=(1, 2), **given)
    assert [one.objective for one in once] == [one.objective for one in again]
    for one, other in zip(once, again, strict=True):
        assert np.array_equal(one.image, other.image)


def test_a_module_in_place_of_a_network_is_told_how_to_become_one() -> None:
    with pytest.raises(NetworkError, match=r"got a Classifier: .*Network\.of\(module\)"):
        synthesize(Classifier(), "conv", 0)  # type: ignore[arg-type]


def test_labels_name_the_logits_alone_and_all_of_them() -> None:
    module = nn.Sequential(nn.Conv2d(3, 3, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))
    named = Network.of(module, preprocessing=SMALL, labels=CLASSES)
    hidden, logits = (
        synthesize(named, layer, 1, technique="pixel", steps=1, progress=False)[0] for layer in ("2", "3")
    )
    assert (hidden.label, logits.label) == (None, "dog")
    short = Network.of(module, preprocessing=SMALL, labels=CLASSES[:2])
    with pytest.raises(NetworkError, match="labels: expected 3, one a class; got 2"):
        synthesize(short, "0", 1, technique="pixel", progress=False)


def test_a_network_is_named_by_its_id(generator: Generator) -> None:
    (picture,) = synthesize(
        "efficientnet_lite0.imagenet",
        "conv_stem",
        0,
        generator=generator,
        steps=1,
        input_size=64,
        progress=False,
    )
    assert picture.network == "efficientnet_lite0.imagenet"
    assert picture.crop_box is not None
    assert picture.crop.shape[:2] < picture.image.shape[:2]


def test_layers_are_listed_as_a_table_by_number_and_by_name() -> None:
    layers = list_layers(load_network("efficientnet_lite0.imagenet"))
    assert layers["classifier"] == layers[-1]
    assert layers[0].name in repr(layers[:1])
    assert "<td>112×112</td>" in layers[:1]._repr_html_()
    with pytest.raises(KeyError):
        layers["nowhere"]


class TestNetworkOf:
    def test_it_is_a_frozen_copy_that_later_training_does_not_change(self) -> None:
        module = Classifier().train()
        network = Network.of(module, preprocessing=SMALL)
        before = network.module.get_parameter("head.weight").clone()
        module.head.weight.data += 1
        assert module.training
        assert module.head.weight.requires_grad
        assert torch.equal(network.module.get_parameter("head.weight"), before)
        assert not network.module.training
        assert not any(weight.requires_grad for weight in network.module.parameters())

    def test_without_a_copy_the_module_itself_is_frozen(self) -> None:
        module = Classifier()
        network = Network.of(module, preprocessing=SMALL, copy=False)
        assert network.module is module
        assert not module.head.weight.requires_grad

    def test_its_weights_are_named_by_what_they_are(self) -> None:
        module = Classifier()
        one, same = Network.of(module), Network.of(module)
        module.head.weight.data += 1
        assert one.weights_sha256 == same.weights_sha256 != Network.of(module).weights_sha256

    def test_a_plain_preprocessing_is_applied(self) -> None:
        network = Network.of(Classifier(), preprocessing=SMALL)
        grey = torch.full((1, 3, 32, 32), 0.75)
        assert torch.equal(network.preprocessing(grey), torch.ones_like(grey))

    def test_a_module_of_timm_brings_its_own_preprocessing(self) -> None:
        module = timm.create_model("test_vit", pretrained=False)
        size = module.pretrained_cfg["input_size"][-1]  # type: ignore[index]
        assert Network.of(module).preprocessing.size == size
        assert Network.of(Classifier()).preprocessing.size == 224

    def test_its_pictures_are_those_of_the_module(self, generator: Generator) -> None:
        torch.manual_seed(3)
        module = Classifier().eval()
        network = Network.of(module, preprocessing=SMALL)
        (picture,) = synthesize(network, "output", 2, generator=generator, progress=False)
        rgb = torch.from_numpy(picture.image.copy()).permute(2, 0, 1)[None] / 255
        np.testing.assert_allclose(module((rgb - 0.5) / 0.25)[0, 2].item(), picture.activation, atol=1e-4)


class Sized(nn.Module):
    """Runs at any size: a layer whose units see three pixels, one whose units see everything."""

    def __init__(self) -> None:
        super().__init__()
        self.early, self.head = nn.Conv2d(3, 8, 3, 2), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.early(x).relu().mean((2, 3)))
        return scores


@pytest.mark.parametrize(
    ("layer", "given", "expected"),
    [
        ("early", {}, ("fourier", 128, 11)),
        ("early", {"steps": 2}, ("fourier", 2, 11)),
        ("early", {"position": (1, 2)}, ("fourier", 128, 32)),
        ("early", {"position": (7, 7)}, ("fourier", 128, 11)),  # the usual place
        ("early", {"learning_rate": 0.5}, ("dgn-am", 10, 32)),
        ("output", {}, ("dgn-am", 10, 32)),
    ],
)
def test_auto_is_what_suits_the_layer(
    generator: Generator, layer: str, given: dict[str, Any], expected: tuple[str, int, int]
) -> None:
    sized = Network.of(Sized(), preprocessing=SMALL)
    (picture,) = synthesize(sized, layer, 0, technique="auto", generator=generator, progress=False, **given)
    size = picture.parameters["input_size"] or SMALL.size
    assert (picture.technique, picture.parameters["steps"], size) == expected


class OfManyPixels(Sized):
    """Runs on pictures of 1040 pixels alone, more than recipes may name."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.view(-1, 3, 1040, 1040))


def test_auto_takes_a_network_s_own_size_that_recipes_cannot_name() -> None:
    large = Network.of(OfManyPixels(), preprocessing=Preprocessing(1040, (0.5,) * 3, (0.25,) * 3))
    (picture,) = synthesize(large, "early", 0, technique="auto", steps=1, progress=False)
    assert (picture.technique, picture.parameters["input_size"]) == ("fourier", None)
    assert picture.image.shape == (1040, 1040, 3)
