"""What a GPU makes is what a CPU makes, up to rounding."""

import numpy as np
import pytest
import torch

from imago_engine.synthesis import DgnAm, Generator, Item, Network, Picture, synthesize

FIRST_STEPS = 2
"""A climb is chaotic: rounding grows from step to step, so that only its first steps can be compared."""
LEVELS = 4.0
"""Of 255, in the mean over a picture."""


def first_steps(
    network: Network, generator: Generator, layer: str, items: list[Item], device: str | torch.device
) -> list[Picture]:
    recipe = DgnAm(**{**generator.info.recommended, "steps": FIRST_STEPS, "precision": "float32"})
    return synthesize(network, generator, layer, items, recipe, device=device)


def difference(one: Picture, other: Picture) -> float:
    return float(np.abs(one.image.astype(float) - other.image.astype(float)).mean())


@pytest.mark.parametrize("layer", ["blocks.3", "output"])
def test_the_first_steps_of_a_climb_are_those_on_a_cpu(
    layer: str, lite0: Network, shipped: Generator, device: torch.device
) -> None:
    items = [Item(unit=22, seed=0), Item(unit=7, seed=1)]
    on_cpu = first_steps(lite0, shipped, layer, items, "cpu")
    on_gpu = first_steps(lite0, shipped, layer, items, device)
    for cpu, gpu in zip(on_cpu, on_gpu, strict=True):
        assert difference(cpu, gpu) < LEVELS
        assert gpu.activation == pytest.approx(cpu.activation, rel=0.1, abs=0.1)
    # The measure tells pictures apart: what differs by no more than rounding is the same item.
    assert difference(on_gpu[0], on_gpu[1]) > 3 * LEVELS


def test_a_picture_on_a_gpu_does_not_depend_on_its_batch(
    lite0: Network, shipped: Generator, device: torch.device
) -> None:
    item = Item(unit=301, seed=4)
    (alone,) = first_steps(lite0, shipped, "output", [item], device)
    among = first_steps(lite0, shipped, "output", [*(Item(unit=u, seed=u) for u in range(40)), item], device)
    assert difference(alone, among[-1]) < LEVELS


def test_a_whole_climb_on_a_gpu_excites_its_unit_as_one_on_a_cpu_does(
    lite0: Network, shipped: Generator, device: torch.device
) -> None:
    items = [Item(unit=980, seed=seed) for seed in range(4)]
    recipe = DgnAm(**shipped.info.recommended)
    means = [
        np.mean([made.activation for made in synthesize(lite0, shipped, "output", items, recipe, device=on)])
        for on in ("cpu", device)
    ]
    assert means[1] == pytest.approx(means[0], rel=0.3)
