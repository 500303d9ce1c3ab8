from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from worker.training.metrics import held_out_metrics
from worker.training.training import Training, batch_rows

NewTraining = Callable[..., Training]


def test_a_training_that_is_killed_and_resumed_has_the_losses_of_an_unbroken_one(
    new_training: NewTraining, tmp_path: Path
) -> None:
    unbroken = new_training()
    expected = [unbroken.step() for _ in range(4)]

    first = new_training()
    got = [first.step() for _ in range(2)]
    first.save(tmp_path / "checkpoint.safetensors")
    first.step()  # lost with the process
    second = new_training()
    second.restore(tmp_path / "checkpoint.safetensors")
    got += [second.step() for _ in range(2)]

    for a, b in zip(expected, got, strict=True):
        assert b == pytest.approx(a, rel=1e-3, abs=1e-4)
    for name, tensor in unbroken.average.module.state_dict().items():
        torch.testing.assert_close(second.average.module.state_dict()[name], tensor, atol=1e-4, rtol=1e-3)
    assert second.pictures == unbroken.pictures == 32


def test_every_picture_is_seen_once_an_epoch_in_another_order() -> None:
    epochs = [[row for s in range(4) for row in batch_rows(40, 10, 4 * e + s, seed=1)] for e in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(40))
    assert epochs[0] != epochs[1]


def test_only_the_generator_and_the_heads_of_the_discriminator_are_trained(new_training: NewTraining) -> None:
    training = new_training()
    fixed = {k: v.clone() for k, v in training.discriminator.state_dict().items() if k.startswith("across")}
    features = {k: v.clone() for k, v in training.features.state_dict().items()}
    before = training.generator.to_rgb.weight.clone()
    for _ in range(2):
        training.step()
    assert all(torch.equal(training.discriminator.state_dict()[k], v) for k, v in fixed.items())
    assert all(torch.equal(training.features.state_dict()[k], v) for k, v in features.items())
    assert not torch.equal(training.generator.to_rgb.weight, before)
    assert all(p.requires_grad for p in training.discriminator.heads.parameters())


def test_the_generator_learns_colours_and_layout(new_training: NewTraining) -> None:
    training = new_training(learning_rate=2e-3, layout_weight=50.0)
    losses = [training.step()["layout"] for _ in range(40)]
    assert sum(losses[-8:]) < 0.7 * sum(losses[:8])


def test_held_out_metrics_compare_held_out_pictures_with_what_the_averaged_generator_makes_of_their_codes(
    new_training: NewTraining,
) -> None:
    training = new_training()
    training.step()
    rows = np.arange(54, 60)
    difference = (training.reconstructions(rows) - training.pictures_of(rows)) / 2  # in units of [0, 1]
    metrics = held_out_metrics(training)
    assert set(metrics) == {"pixels", "layout", "features", "code"}
    assert metrics["pixels"] == pytest.approx(float((difference**2).mean()), abs=1e-4)
