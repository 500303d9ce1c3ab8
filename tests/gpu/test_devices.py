"""A network says where its pictures are computed, wherever the generator is."""

import pytest
import torch

from imago_engine import load_generator as load_for_notebooks
from imago_engine import synthesize as synthesize_in_a_notebook
from imago_engine.synthesis import DgnAm, Generator, Item, Network, load_network, synthesize


def two_steps(generator: Generator) -> DgnAm:
    return DgnAm(**{**generator.info.recommended, "steps": 2})


def test_a_network_that_was_loaded_onto_a_device_is_used_there(
    shipped: Generator, device: torch.device
) -> None:
    network = load_network("efficientnet_lite0.imagenet", device=device)
    (picture,) = synthesize(network, shipped, "output", [Item(3, 0)], two_steps(shipped))
    assert picture.status == "done"
    assert network.device.type == "cuda"
    assert shipped.code_mean.device.type == "cpu"


def test_a_generator_that_was_used_on_one_device_can_be_used_on_another(
    lite0: Network, shipped: Generator, device: torch.device
) -> None:
    on_gpu = load_network("efficientnet_lite0.imagenet")
    synthesize(on_gpu, shipped, "output", [Item(3, 0)], two_steps(shipped), device=device)
    (picture,) = synthesize(lite0, shipped, "output", [Item(3, 0)], two_steps(shipped))
    assert picture.status == "done"
    assert lite0.device.type == "cpu"


def test_a_generator_that_is_on_a_device_serves_a_network_that_is_not(
    lite0: Network, device: torch.device
) -> None:
    generator = load_for_notebooks(device=device)
    (picture,) = synthesize(lite0, generator, "output", [Item(3, 0)], two_steps(generator))
    assert picture.status == "done"


@pytest.mark.parametrize("devices", [("cuda", "cpu"), ("cpu", "cuda")])
def test_the_default_generator_keeps_no_call_s_device(devices: tuple[str, str]) -> None:
    for device in devices:
        network = load_network("efficientnet_lite0.imagenet", device=device)
        made = synthesize_in_a_notebook(network, "output", 3, steps=2, progress=False)
        assert made[0].status == "done"
