"""A training on a GPU: its steps are recorded once and replayed, its data stay in the GPU's memory."""

from pathlib import Path

import pytest
import torch

from imago_engine.training.data.feed import Feed
from imago_engine.training.data.preparation import Limits, Prepared, load_prepared, prepare
from imago_engine.training.data.sources import RawPicture
from imago_engine.training.recipes.captured_step import WARM_UP
from imago_engine.training.recipes.projected import ProjectedOptions, ProjectedRecipe
from imago_engine.training.run.loading import load_encoder, new_training
from imago_engine.training.run.placement import Placement
from imago_engine.training.run.schedule import Schedule
from imago_engine.training.run.training import Training
from tests.unit.engine.training.conftest import drawn

BATCH = 8
HEAD_START = 6 * BATCH
STEPS = 14
"""With the head start that is two recordings: with and without the generator's update."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("prepared")
    encoder = load_encoder("efficientnet_lite0.imagenet", "bn2", 64, grid=2)
    pictures = (RawPicture(str(i), drawn(i)) for i in range(60))
    limits = Limits(held_out=8, minimum=16)
    prepare(folder, pictures, encoder, image_size=128, sources=("drawn",), limits=limits)
    return load_prepared(folder)


def training(prepared: Prepared, placement: Placement) -> Training:
    options = ProjectedOptions(
        batch=BATCH,
        feature_size=64,
        widths=(24, 16, 8, 8),
        depths=(1, 1, 1, 1),
        local=8,
        finish=8,
        subpixel=True,
        noise=True,
        smooth=True,
        refined=True,
        blind=True,
        ascent_share=0.25,
        head_start=HEAD_START,
        learning_rate=1e-5,
    )
    return new_training(prepared, ProjectedRecipe, options, Schedule(10_000, warmup=0), placement)


def losses(training: Training, steps: int) -> list[dict[str, float]]:
    return [{name: float(loss) for name, loss in training.step(0.0).items()} for _ in range(steps)]


def replays(training: Training) -> bool:
    assert isinstance(training.recipe, ProjectedRecipe)
    captured = training.recipe._captured
    return captured is not None and captured[1].replays


@pytest.mark.parametrize(("precision", "within"), [("float32", 0.01), ("bfloat16", 0.1)])
def test_recorded_steps_have_the_losses_of_steps_that_are_not_recorded(
    prepared: Prepared, device: torch.device, precision: str, within: float
) -> None:
    recorded, usual = (
        training(prepared, Placement(device, precision, graphs))  # type: ignore[arg-type]
        for graphs in (True, False)
    )
    found, expected = losses(recorded, STEPS), losses(usual, STEPS)
    assert replays(recorded)
    assert not replays(usual)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=within, abs=within / 10)
    # The batches differ by more than that: what is replayed is each step's own.
    layouts = [step["layout"] for step in found]
    assert len(set(layouts)) == STEPS


def test_a_recorded_training_goes_on_from_its_checkpoint(
    prepared: Prepared, device: torch.device, tmp_path: Path
) -> None:
    first = training(prepared, Placement(device))
    losses(first, WARM_UP + 8)
    assert replays(first)
    first.save(tmp_path / "checkpoint.safetensors")
    expected = losses(first, 5)
    second = training(prepared, Placement(device))
    second.restore(tmp_path / "checkpoint.safetensors")
    for one, other in zip(losses(second, 5), expected, strict=True):
        assert one == pytest.approx(other, rel=0.01, abs=0.001)
    # Back in time, with the recording that exists.
    first.restore(tmp_path / "checkpoint.safetensors")
    for one, other in zip(losses(first, 5), expected, strict=True):
        assert one == pytest.approx(other, rel=0.01, abs=0.001)


def test_a_recorded_step_takes_the_learning_rate_of_its_own_time(
    prepared: Prepared, device: torch.device
) -> None:
    rated = training(prepared, Placement(device))
    losses(rated, STEPS)
    assert replays(rated)
    before = rated.recipe.modules["generator"].state_dict()["to_rgb.weight"].clone()
    rated.schedule = Schedule(10_000, warmup=0, final=0.0, started=0.0, deadline=1.0)
    rated.step(now=1.0)
    torch.testing.assert_close(
        rated.recipe.modules["generator"].state_dict()["to_rgb.weight"], before, rtol=0, atol=0
    )
    rated.step(now=0.0)
    after = rated.recipe.modules["generator"].state_dict()["to_rgb.weight"]
    assert not torch.equal(after, before)


def test_data_in_the_gpus_memory_give_the_batches_that_are_read_from_files(
    prepared: Prepared, device: torch.device
) -> None:
    on_gpu = Feed(prepared, BATCH, 0, Placement(device))
    from_files = Feed(prepared, BATCH, 0, Placement())
    assert "stay in the memory" in on_gpu.residence
    for step in (0, 1, 9):
        here, there = on_gpu.take(step), from_files.take(step)
        assert here.real.is_cuda
        torch.testing.assert_close(here.real.cpu(), there.real)
        torch.testing.assert_close(here.code.cpu(), there.code, rtol=0, atol=0)
    assert on_gpu.waited == 0
