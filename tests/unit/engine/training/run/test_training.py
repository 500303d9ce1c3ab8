from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from imago_engine.synthesis.generators.architectures import STANDARD_FLOOR
from imago_engine.training.data.feed import Feed, batch_rows
from imago_engine.training.data.preparation import Prepared
from imago_engine.training.recipes.losses import layout_loss
from imago_engine.training.recipes.projected import ProjectedRecipe, _patch
from imago_engine.training.recipes.projected_discriminator import Discriminator
from imago_engine.training.results.held_out import held_out_metrics
from imago_engine.training.run.placement import Placement
from imago_engine.training.run.training import Training

SmallTraining = Callable[..., Training]


def numbers(losses: dict[str, torch.Tensor]) -> dict[str, float]:
    return {name: float(loss) for name, loss in losses.items()}


def test_a_training_that_is_killed_and_resumed_has_the_losses_of_an_unbroken_one(
    small_training: SmallTraining, tmp_path: Path
) -> None:
    unbroken = small_training()
    expected = [numbers(unbroken.step()) for _ in range(3)]

    first = small_training()
    got = [numbers(first.step())]
    first.save(tmp_path / "checkpoint.safetensors")
    first.step()  # lost with the process
    second = small_training()
    second.restore(tmp_path / "checkpoint.safetensors")
    got += [numbers(second.step()) for _ in range(2)]

    for a, b in zip(expected, got, strict=True):
        assert b == pytest.approx(a, rel=1e-6)
    for name, tensor in unbroken.recipe.modules["average"].state_dict().items():
        torch.testing.assert_close(
            second.recipe.modules["average"].state_dict()[name], tensor, atol=0, rtol=0
        )
    assert second.pictures == unbroken.pictures == 24


def test_every_picture_is_seen_once_an_epoch_in_another_order() -> None:
    epochs = [[row for s in range(4) for row in batch_rows(40, 10, 4 * e + s, seed=1)] for e in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(40))
    assert epochs[0] != epochs[1]


def test_data_in_the_memory_of_the_device_give_the_same_batches(prepared: Prepared) -> None:
    mapped, resident = (
        Feed(prepared, batch=8, seed=3, placement=Placement(), resident=resident)
        for resident in (False, True)
    )
    for step in (0, 1, 7, 6):
        one, other = mapped.take(step), resident.take(step)
        assert torch.equal(one.real, other.real)
        assert torch.equal(one.code, other.code)
        assert one.real.stride() == other.real.stride()
    assert resident.waited == 0


def test_a_checkpoint_is_restored_into_the_tensors_that_a_recorded_step_uses(
    small_training: SmallTraining, tmp_path: Path
) -> None:
    training = small_training()
    training.step(now=0.0)
    training.save(tmp_path / "checkpoint.safetensors")
    expected = numbers(training.step(now=0.0))
    optimizer, _ = training.recipe.optimizers["generator_optimizer"]
    held = {id(tensor) for state in optimizer.state.values() for tensor in state.values()}
    training.restore(tmp_path / "checkpoint.safetensors")
    assert {id(tensor) for state in optimizer.state.values() for tensor in state.values()} == held
    assert numbers(training.step(now=0.0)) == expected


def test_the_part_whose_pixels_are_judged_is_cut_out_where_it_was_drawn() -> None:
    pictures = torch.rand(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    assert torch.equal(_patch(pictures, torch.tensor([1, 3]), 5), pictures[:, :, 1:6, 3:8])
    assert _patch(pictures, torch.tensor([0, 0]), 8) is pictures


def test_only_the_generator_and_the_heads_of_the_discriminator_are_trained(
    small_training: SmallTraining,
) -> None:
    training = small_training()
    recipe = training.recipe
    assert isinstance(recipe, ProjectedRecipe)
    features = recipe.context.features
    discriminator = recipe.modules["discriminator"]
    assert isinstance(discriminator, Discriminator)
    fixed = {k: v.clone() for k, v in discriminator.state_dict().items() if k.startswith("across")}
    fixed_features = {k: v.clone() for k, v in features.state_dict().items()}
    before = recipe.network.to_rgb.weight.clone()
    assert fixed
    assert fixed_features
    for _ in range(2):
        training.step()
    assert all(torch.equal(discriminator.state_dict()[k], v) for k, v in fixed.items())
    assert all(torch.equal(features.state_dict()[k], v) for k, v in fixed_features.items())
    assert not torch.equal(recipe.network.to_rgb.weight, before)
    assert all(p.requires_grad for p in discriminator.heads.parameters())


def test_the_generator_learns_colours_and_layout(small_training: SmallTraining) -> None:
    training = small_training(learning_rate=1e-3, layout_weight=50.0, batch=16)
    recipe, rows = training.recipe, np.arange(54)
    assert isinstance(recipe, ProjectedRecipe)
    statistics, codes = recipe.context.statistics, training.prepared.rows(rows)[1]
    standardised = (codes - statistics.mean) / (statistics.std + STANDARD_FLOOR)

    def layout() -> float:
        """Over all pictures: from batch to batch it varies more than a few steps change it."""
        with torch.no_grad():
            return float(layout_loss(recipe.network(standardised), training.pictures_of(rows)))

    before = layout()
    for _ in range(14):
        training.step()
    assert layout() < 0.7 * before


def test_held_out_metrics_compare_held_out_pictures_with_what_the_averaged_generator_makes_of_their_codes(
    small_training: SmallTraining,
) -> None:
    training = small_training()
    training.step()
    rows = np.arange(54, 60)
    difference = (training.reconstructions(rows) - training.pictures_of(rows)) / 2  # in units of [0, 1]
    metrics = held_out_metrics(training)
    assert set(metrics) == {"pixels", "layout", "features", "code", "texture"}
    assert metrics["pixels"] == pytest.approx(float((difference**2).mean()), abs=1e-4)
