"""Half the bits on a GPU: pictures nearly as exciting, and trainings that end in whole weights."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from imago_engine.synthesis import DgnAm, Generator, Item, Network, load_generator, load_network, synthesize
from imago_engine.weights import shipped_generator
from tests.unit.engine.training.conftest import drawn


def test_pictures_made_in_bfloat16_excite_their_units_nearly_as_much(device: torch.device) -> None:
    items = [Item(unit=unit, seed=0) for unit in (301, 851, 980, 985)]
    means = []
    for dtype in (torch.float32, torch.bfloat16):
        network = load_network("efficientnet_lite0.imagenet", dtype=dtype)
        generator = load_generator(shipped_generator(), dtype=dtype)
        recipe = DgnAm(**generator.info.recommended)
        made = synthesize(network, generator, "output", items, recipe, device=device)
        means.append(np.mean([picture.activation for picture in made]))
    assert means[1] == pytest.approx(means[0], rel=0.3)


@pytest.mark.parametrize("layer", ["blocks.4", "output"])
def test_steps_in_bfloat16_excite_units_as_much_as_steps_in_float32(
    layer: str, lite0: Network, shipped: Generator, device: torch.device
) -> None:
    items = [Item(unit=unit, seed=0) for unit in (3, 17, 40, 55)]
    means = []
    for precision in ("float32", "bfloat16"):
        recipe = DgnAm(**{**shipped.info.recommended, "precision": precision})
        made = synthesize(lite0, shipped, layer, items, recipe, device=device)
        means.append(np.mean([picture.activation for picture in made]))
    assert means[1] == pytest.approx(means[0], rel=0.3)


def test_steps_in_bfloat16_take_no_longer_than_in_float32(
    lite0: Network, shipped: Generator, device: torch.device
) -> None:
    items = [Item(unit=unit, seed=0) for unit in range(64)]
    seconds = {"float32": float("inf"), "bfloat16": float("inf")}
    for _ in range(3):
        for precision in seconds:
            recipe = DgnAm(**{**shipped.info.recommended, "steps": 20, "precision": precision})
            synthesize(lite0, shipped, "output", items[:1], recipe, device=device)  # what is made once
            torch.cuda.synchronize()
            began = time.perf_counter()
            synthesize(lite0, shipped, "output", items, recipe, device=device)
            seconds[precision] = min(seconds[precision], time.perf_counter() - began)
    assert seconds["bfloat16"] < 1.1 * seconds["float32"]


def test_a_training_in_bfloat16_on_a_gpu_ends_in_float32_weights_that_are_numbers(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index in range(40):
        (pictures / f"{index:02d}.png").write_bytes(drawn(index))
    run = tmp_path / "run"
    small = "--image-size 32 --encoder-size 32 --encoder-layer global_pool --feature-size 32 --batch 8"
    few = "--width 0.125 --minimum 16 --held-out 8 --pictures 32"
    command = [sys.executable, "-m", "imago_engine.training", "train", str(pictures), "--run", str(run)]
    subprocess.run(
        [*command, *small.split(), *few.split(), "--device", "cuda", "--precision", "bfloat16"], check=True
    )
    weights = load_file(run / "generator.safetensors")
    assert {value.dtype for value in weights.values() if value.is_floating_point()} == {torch.float32}
    assert all(value.isfinite().all() for value in weights.values())
    assert "bfloat16" in (run / "generator.md").read_text()
