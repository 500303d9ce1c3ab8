"""A user's own safetensors file for a known architecture."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision import models

from imago_engine.networks import NetworkReference, Stated
from imago_engine.synthesis.networks.load import NetworkError, Preprocessing, load_network
from imago_engine.synthesis.sources.tensors import plain_names

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
        ({"preprocessing": {"std": [0.2, 0.2, 1e-30]}}, "preprocessing.std: expected positive numbers"),
        ({"preprocessing": {"std": [58.4, 57.1, 57.4]}}, "preprocessing.std: .*divide those of 0 to 255"),
        (
            {"preprocessing": {"mean": [104.0, 117.0, 124.0]}},
            "preprocessing.mean: .*divide means of 0 to 255",
        ),
        ({"preprocessing": {"mean": [-0.1, 0, 0]}}, "preprocessing.mean: expected numbers from 0 to 1"),
        ({"preprocessing": {"mean": [0, float("nan"), 0]}}, "preprocessing.mean: expected three numbers"),
        ({"preprocessing": {"std": [float("inf"), 1, 1]}}, "preprocessing.std: expected three numbers"),
        ({"preprocessing": {"mean": [0, 0, False]}}, "preprocessing.mean: expected three numbers"),
        ({"preprocessing": {"mean": [0, 0, 10**400]}}, "preprocessing.mean: expected three numbers"),
        ({"preprocessing": {"size": True}}, "preprocessing.size: expected whole pixels"),
        ({"preprocessing": {"size": 64.0}}, "preprocessing.size: expected whole pixels"),
        ({"preprocessing": {"bgr": 1}}, "preprocessing.bgr: expected true or false"),
        ({"preprocessing": [0.5]}, "preprocessing: expected an object"),
        ({"labels": [*"abcdef", "g\0"]}, r"metadata labels\[6\]: expected text without U\+0000"),
        ({"labels": [*"abcdef", "\ud800"]}, r"metadata labels\[6\]: expected text without .*surrogates"),
        ({"labels": ["a" * 201, *"bcdefg"]}, r"metadata labels\[0\]: expected at most 200 characters"),
        ({"labels": [*"abcdef", None]}, "metadata labels: expected a list of 7 strings"),
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


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "9" * 5000, "{'size': 3}"])
def test_metadata_that_is_no_json_is_named(tmp_path: Path, state: dict[str, Tensor], text: str) -> None:
    file = tmp_path / "weights.safetensors"
    save_file(state, file, {"preprocessing": text})
    with pytest.raises(NetworkError, match="metadata preprocessing: expected"):
        load_network(reference(file))


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.", "model.module._orig_mod.module."]
)
def test_the_names_that_wrappers_give_are_taken_off(
    tmp_path: Path, state: dict[str, Tensor], prefix: str
) -> None:
    wrapped = {prefix + name: tensor for name, tensor in state.items()}
    wrapped["n_averaged"] = torch.tensor(3)  # as torch.optim.swa_utils.AveragedModel has it
    network = load_network(reference(saved(tmp_path, wrapped)))
    assert torch.equal(network.module.state_dict()["conv_stem.weight"], state["conv_stem.weight"])


def test_a_part_that_was_compiled_alone_loads_too(tmp_path: Path, state: dict[str, Tensor]) -> None:
    wrapped = {name.replace("blocks.1.", "blocks.1._orig_mod."): tensor for name, tensor in state.items()}
    assert wrapped.keys() != state.keys()
    load_network(reference(saved(tmp_path, wrapped)))


def test_a_part_called_model_keeps_its_name() -> None:
    names = ["model.0.weight", "head.weight"]
    assert list(plain_names({name: torch.zeros(1) for name in names})) == names


def test_two_names_that_become_one_are_refused() -> None:
    names = ["conv._orig_mod.weight", "conv.weight"]
    with pytest.raises(NetworkError, match=r"two tensors are called 'conv\.weight'"):
        plain_names({name: torch.zeros(1) for name in names})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_read_as_float32(
    tmp_path: Path, state: dict[str, Tensor], dtype: torch.dtype
) -> None:
    other = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
    loaded = load_network(reference(saved(tmp_path, other))).module.state_dict()
    assert loaded["conv_stem.weight"].dtype == torch.float32
    assert torch.equal(loaded["conv_stem.weight"], state["conv_stem.weight"].to(dtype).float())


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float8_e4m3fn,
        torch.float8_e5m2,
        torch.int8,
        torch.uint8,
        torch.int64,
        torch.bool,
        torch.complex64,
    ],
)
def test_numbers_that_are_no_plain_floats_are_refused_by_name(
    tmp_path: Path, state: dict[str, Tensor], dtype: torch.dtype
) -> None:
    other = {**state, "conv_stem.weight": state["conv_stem.weight"].to(dtype)}
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(NetworkError, match=rf"conv_stem\.weight is {name}, expected float32"):
        load_network(reference(saved(tmp_path, other)))


def test_numbers_beyond_float32_are_not_finite(tmp_path: Path, state: dict[str, Tensor]) -> None:
    other = {**state, "classifier.bias": torch.full((7,), 1e60, dtype=torch.float64)}
    with pytest.raises(NetworkError, match=r"not finite, in classifier\.bias"):
        load_network(reference(saved(tmp_path, other)))


def test_variances_below_zero_are_refused_by_name(tmp_path: Path, state: dict[str, Tensor]) -> None:
    other = {**state, "bn1.running_var": -state["bn1.running_var"]}
    with pytest.raises(NetworkError, match=r"negative variances, in bn1\.running_var"):
        load_network(reference(saved(tmp_path, other)))


def test_what_is_stated_goes_before_the_metadata(tmp_path: Path, state: dict[str, Tensor]) -> None:
    file = saved(tmp_path, state, preprocessing={"size": 96, "mean": [0.1, 0.2, 0.3]})
    stated = Stated(size=64, std=(0.5, 0.5, 1.0), bgr=True, labels=tuple("abcdefg"))
    network = load_network(replace(reference(file), stated=stated))
    assert network.preprocessing == Preprocessing(64, (0.1, 0.2, 0.3), (0.5, 0.5, 1.0), bgr=True)
    assert network.labels == tuple("abcdefg")


@pytest.mark.parametrize(
    ("stated", "metadata"),
    [
        (Stated(size=64), {"preprocessing": {"size": 0}}),
        (Stated(mean=(0.5, 0.5, 0.5)), {"preprocessing": {"mean": [128, 128, 128]}}),
        (Stated(std=(0.2, 0.2, 0.2)), {"preprocessing": {"std": [58, 57, 57]}}),
        (Stated(bgr=True), {"preprocessing": {"bgr": 1}}),
        (Stated(labels=tuple("abcdefg")), {"labels": ["a"]}),
        (Stated(64, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2), bgr=False), {"preprocessing": "ImageNet's"}),
    ],
)
def test_what_is_stated_goes_before_metadata_that_is_wrong(
    tmp_path: Path, state: dict[str, Tensor], stated: Stated, metadata: dict[str, Any]
) -> None:
    file = reference(saved(tmp_path, state, **metadata))
    with pytest.raises(NetworkError, match="metadata"):
        load_network(file)
    network = load_network(replace(file, stated=stated))
    assert network.preprocessing == stated.over(network.preprocessing)
    assert network.labels == (stated.labels or ())


def test_metadata_that_nothing_is_stated_in_place_of_is_still_checked(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    file = saved(tmp_path, state, preprocessing={"size": 0, "mean": [128, 128, 128]})
    with pytest.raises(NetworkError, match=r"preprocessing\.mean: expected numbers from 0 to 1"):
        load_network(replace(reference(file), stated=Stated(size=64)))


def test_a_transformer_is_made_for_the_size_that_is_stated(tmp_path: Path) -> None:
    made = timm.create_model("test_vit", num_classes=7, img_size=96)
    file = saved(tmp_path, dict(made.state_dict()))
    network = load_network(replace(reference(file, "timm:test_vit"), stated=Stated(size=96)))
    assert network.module(torch.zeros(1, 3, 96, 96)).shape == (1, 7)


def test_own_weights_are_given_the_input_that_their_preprocessing_says(tmp_path: Path) -> None:
    torch.manual_seed(0)
    own = models.googlenet(num_classes=5, aux_logits=False, init_weights=False).eval()
    network = load_network(reference(saved(tmp_path, dict(own.state_dict())), "torchvision:googlenet"))
    picture = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(network.module(picture), own(picture))


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("torchvision:fcn_resnet50", "network of torchvision for segmentation"),
        ("torchvision:fasterrcnn_resnet50_fpn", "for detection, which does not give one number a class"),
        ("resnet18", "expected torchvision:NAME or timm:NAME"),
        ("keras:resnet18", "expected torchvision:NAME or timm:NAME"),
        ("timm:resnet1", "expected a name of timm.list_models"),
        ("timm:resnet18.x1", "expected resnet18, or a tag"),
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


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        b"<!DOCTYPE html><title>404</title>",
        (9).to_bytes(8, "little") + b"{'no': 1}",
        (2**63).to_bytes(8, "little") + b"{}",
        bytes(64),
    ],
    ids=["nothing", "pointer of LFS", "web page", "no JSON", "header of any size", "zeros"],
)
def test_what_a_download_leaves_in_place_of_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(content)
    with pytest.raises(NetworkError, match=r"weights\.safetensors: expected a safetensors file"):
        load_network(reference(file))


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
def test_weights_that_are_cut_off_are_refused(tmp_path: Path, state: dict[str, Tensor], kept: float) -> None:
    file = saved(tmp_path, state)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * kept)])
    with pytest.raises(NetworkError, match="expected a safetensors file"):
        load_network(reference(file))


def test_counters_of_training_steps_may_be_missing(tmp_path: Path, state: dict[str, Tensor]) -> None:
    converted = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    assert len(converted) < len(state)
    loaded = load_network(reference(saved(tmp_path, converted))).module.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in converted.items())
