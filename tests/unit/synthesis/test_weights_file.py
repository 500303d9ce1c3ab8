"""A user's own safetensors file for a known architecture."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision import models

from worker.synthesis.networks import NetworkError, NetworkReference, Preprocessing, load_network

ARCHITECTURE = "timm:test_efficientnet"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return dict(timm.create_model("test_efficientnet", num_classes=7).state_dict())


def reference(path: Path, architecture: str = ARCHITECTURE, classes: int | None = None) -> NetworkReference:
    return NetworkReference("mine.v1", "file", architecture, weights=str(path), classes=classes)


def saved(path: Path, state: dict[str, Tensor], **metadata: Any) -> Path:
    file = path / "weights.safetensors"
    save_file(state, file, {name: json.dumps(value) for name, value in metadata.items()})
    return file


def test_a_file_loads_with_the_classes_it_has(tmp_path: Path, state: dict[str, Tensor]) -> None:
    file = saved(tmp_path, state)
    network = load_network(reference(file))
    assert network.module(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
    assert torch.equal(network.module.state_dict()["classifier.weight"], state["classifier.weight"])
    assert network.weights_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (network.id, network.labels) == ("mine.v1", ())


def test_metadata_gives_labels_and_preprocessing(tmp_path: Path, state: dict[str, Tensor]) -> None:
    preprocessing = {"size": 96, "mean": [0.1, 0.2, 0.3], "std": [1, 1, 0.5], "bgr": True}
    network = load_network(
        reference(saved(tmp_path, state, labels=list("abcdefg"), preprocessing=preprocessing))
    )
    assert network.labels == tuple("abcdefg")
    assert network.preprocessing == Preprocessing(96, (0.1, 0.2, 0.3), (1.0, 1.0, 0.5), bgr=True)


def test_without_metadata_the_architectures_preprocessing_holds(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    config = timm.get_pretrained_cfg("test_efficientnet")
    assert config is not None
    assert load_network(reference(saved(tmp_path, state))).preprocessing.size == config.input_size[1]


def test_a_torchvision_architecture_loads_too(tmp_path: Path) -> None:
    file = saved(tmp_path, dict(models.squeezenet1_1(num_classes=5).state_dict()))
    network = load_network(reference(file, "torchvision:squeezenet1_1"))
    assert network.module(torch.zeros(1, 3, 64, 64)).shape == (1, 5)
    assert network.preprocessing.size == 224


def test_weights_of_another_network_are_refused_with_the_names_that_differ(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    other = dict(state)
    other["surplus"] = torch.zeros(1)
    other["conv_stem.weight"] = torch.zeros(5, 3, 3, 3)
    del other["bn1.weight"]
    with pytest.raises(NetworkError) as caught:
        load_network(reference(saved(tmp_path, other)))
    message = str(caught.value)
    assert "1 missing (bn1.weight)" in message
    assert "1 unexpected (surplus)" in message
    assert "conv_stem.weight is [5, 3, 3, 3], expected [" in message


def test_the_number_of_classes_asked_for_is_checked(tmp_path: Path, state: dict[str, Tensor]) -> None:
    with pytest.raises(NetworkError, match=r"classifier\.weight is \[7, \d+\], expected \[9, \d+\]"):
        load_network(reference(saved(tmp_path, state), classes=9))


def test_weights_that_are_not_finite_are_refused(tmp_path: Path, state: dict[str, Tensor]) -> None:
    broken = {**state, "classifier.bias": torch.full((7,), torch.nan)}
    with pytest.raises(NetworkError, match=r"not finite, in classifier\.bias"):
        load_network(reference(saved(tmp_path, broken)))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"labels": ["a"]}, "metadata labels: expected a list of 7 strings"),
        ({"preprocessing": {"size": 0}}, "preprocessing.size: expected whole pixels"),
        ({"preprocessing": {"mean": [1, 2]}}, "preprocessing.mean: expected three numbers"),
        ({"preprocessing": {"std": [1, 0, 1]}}, "preprocessing.std: expected positive numbers"),
        (
            {"preprocessing": {"crop": 1}},
            "expected an object with fields of bgr, mean, size, std",
        ),
    ],
)
def test_wrong_metadata_is_named(
    tmp_path: Path, state: dict[str, Tensor], metadata: dict[str, Any], message: str
) -> None:
    with pytest.raises(NetworkError, match=message):
        load_network(reference(saved(tmp_path, state, **metadata)))


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("resnet18", "expected torchvision:NAME or timm:NAME"),
        ("keras:resnet18", "expected torchvision:NAME or timm:NAME"),
        ("timm:resnet1", "expected a name of timm.list_models"),
        ("torchvision:resnet1", "expected a name of torchvision.models"),
        ("torchvision:resnet18", r"98 missing \(conv1\.weight; "),
    ],
)
def test_a_wrong_architecture_is_named(
    tmp_path: Path, state: dict[str, Tensor], architecture: str, message: str
) -> None:
    with pytest.raises(NetworkError, match=message):
        load_network(reference(saved(tmp_path, state), architecture))


def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(1)}, file)
    with pytest.raises(NetworkError, match=r"weights\.pth: expected a safetensors file"):
        load_network(reference(file))
