from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch

from imago_engine.synthesis.networks.load import load_network
from imago_engine.training.data.array_file import ArrayFile
from imago_engine.training.recipes.augmentation import Augmentation, mirrored
from imago_engine.training.recipes.feature_network import TAPPED_CHANNELS, InFloat32
from imago_engine.training.recipes.moving_average import MovingAverage
from imago_engine.training.results.code_statistics import statistics_of
from imago_engine.training.results.grids import tile
from imago_engine.training.run.checkpoint import CheckpointError, NotRead, read_checkpoint, write_atomically
from imago_engine.training.run.folder import FolderInUse, occupied
from imago_engine.training.run.loading import load_feature_network
from imago_engine.training.run.schedule import Schedule
from imago_engine.training.run.threads import ThreadChoice

Limit = Callable[[int], AbstractContextManager[None]]


def test_a_full_disk_leaves_the_previous_checkpoint_whole(tmp_path: Path, file_size_limit: Limit) -> None:
    path = tmp_path / "checkpoint.safetensors"
    write_atomically(path, {"a": torch.ones(10)}, {"facts": '{"step": 1}'})
    with (
        file_size_limit(1 << 16),
        pytest.raises(CheckpointError, match="the previous file, if any, is untouched"),
    ):
        write_atomically(path, {"a": torch.ones(100_000)}, {"facts": '{"step": 2}'})
    tensors, facts = read_checkpoint(path)
    assert facts == {"step": 1}
    assert torch.equal(tensors["a"], torch.ones(10))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no")
    with pytest.raises(CheckpointError, match="is not a checkpoint of a training"):
        read_checkpoint(tmp_path / "x")


def test_a_checkpoint_that_cannot_be_read_now_is_told_from_one_that_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(NotRead, match="cannot be read"):
        read_checkpoint(tmp_path / "x")


def test_the_learning_rate_is_flat_then_falls_to_its_final_share() -> None:
    schedule = Schedule(pictures=1000, flat=0.5, final=0.1, warmup=0)
    factors = [schedule.learning_rate_factor(seen, now=0) for seen in (0, 499, 750, 1000)]
    assert factors == pytest.approx([1, 1, 0.55, 0.1], abs=0.01)


def test_a_deadline_brings_the_learning_rate_down_in_time() -> None:
    schedule = Schedule(pictures=10**9, final=0.1, warmup=0, started=100, deadline=200)
    assert schedule.progress(0, now=150) == 0.5
    assert schedule.learning_rate_factor(0, now=200) == pytest.approx(0.1)
    assert schedule.progress(10**9, now=100) == 1


def test_statistics_are_those_of_all_codes_whatever_the_chunks() -> None:
    codes = np.random.default_rng(0).normal(2, 3, (1000, 5)).astype(np.float32)
    codes[:, 0] = np.abs(codes[:, 0])
    statistics = statistics_of(codes, chunk=64)
    np.testing.assert_allclose(statistics.mean, codes.mean(0), rtol=1e-4)
    np.testing.assert_allclose(statistics.std, codes.std(0), rtol=1e-4)
    assert statistics.lower[0] == 0  # never negative: behind a ReLU
    np.testing.assert_allclose(statistics.lower[1:], (codes.mean(0) - 3 * codes.std(0))[1:], rtol=1e-3)


def test_folding_the_batch_norms_does_not_change_the_features() -> None:
    rgb = torch.rand(2, 3, 64, 64) * 2 - 1
    network = load_network("efficientnet_lite0.imagenet")
    with torch.no_grad():
        taps, code = load_feature_network()(rgb)
        module = network.module
        features = module.forward_features(network.preprocessing((rgb + 1) / 2))  # type: ignore[operator]
        expected = module.global_pool(features)  # type: ignore[operator]
    assert [tap.shape[1] for tap in taps] == list(TAPPED_CHANNELS)
    torch.testing.assert_close(code, expected, atol=1e-4, rtol=1e-3)


def test_a_code_with_places_is_mirrored_with_its_picture() -> None:
    pictures, codes = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 2, 2)
    flip = torch.tensor([True, False]).view(2, 1, 1, 1)
    turned, code = mirrored(pictures, codes, flip)
    assert torch.equal(turned, torch.stack([pictures[0].flip(2), pictures[1]]))
    assert torch.equal(code, torch.stack([codes[0].flip(2), codes[1]]))
    vectors = torch.randn(2, 5)
    assert torch.equal(mirrored(pictures, vectors, flip)[1], vectors)


def test_an_augmentation_is_the_same_for_a_picture_and_its_reconstruction() -> None:
    draw = Augmentation.draw(4, 24, torch.Generator().manual_seed(1))
    rgb = torch.rand(4, 3, 16, 16)
    assert draw(rgb).shape == (4, 3, 24, 24)
    assert torch.equal(draw(rgb), draw(rgb.clone()))
    other = Augmentation.draw(4, 24, torch.Generator().manual_seed(2))
    assert not torch.allclose(draw(rgb), other(rgb))


def test_the_average_follows_parameters_and_buffers() -> None:
    source = torch.nn.BatchNorm1d(3)
    average = MovingAverage(source, decay=0.5)
    source.weight.data.fill_(3.0)
    source.running_mean = torch.full((3,), 2.0)
    average.update(source, step=1000)
    followed = average.module.state_dict()
    assert torch.equal(followed["weight"], torch.full((3,), 2.0))
    assert torch.equal(followed["running_mean"], torch.full((3,), 1.0))


def test_a_grid_lays_pictures_out_row_by_row() -> None:
    rgb = torch.linspace(-1, 1, 6).view(6, 1, 1, 1).expand(6, 3, 2, 2)
    grid = tile(rgb, columns=3)
    assert grid.shape == (4, 6, 3)
    assert grid[::2, ::2, 0].ravel().tolist() == [0, 51, 102, 153, 204, 255]


def test_an_array_file_is_valid_only_when_it_was_finished(tmp_path: Path) -> None:
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    with ArrayFile(tmp_path / "a.npy", (3,), np.float32) as array:
        array.append(rows[:1])
        array.append(rows[1:])
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy", mmap_mode="r"), rows)


def test_a_run_folder_belongs_to_one_training_at_a_time(tmp_path: Path) -> None:
    with occupied(tmp_path), pytest.raises(FolderInUse, match="in use by the training with process id"):
        occupied(tmp_path).__enter__()
    with occupied(tmp_path):
        pass


def test_the_number_of_threads_that_was_fastest_is_kept() -> None:
    before = torch.get_num_threads()
    try:
        choice = ThreadChoice(2, trial=2, hold=3)
        for _ in range(4):
            choice.after_step(seconds=1.0 if torch.get_num_threads() == 2 else 0.5)
        assert torch.get_num_threads() == 1
        for _ in range(3):
            choice.after_step(seconds=1.0)
        for _ in range(4):
            choice.after_step(seconds=0.4 if torch.get_num_threads() == 2 else 0.5)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_features_and_their_gradient_in_bfloat16_are_those_in_float32_up_to_rounding() -> None:
    network = load_feature_network()
    strided = [module for module in network.modules() if isinstance(module, InFloat32)]
    assert len(strided) == 4
    rgb = (torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1).requires_grad_()
    found = []
    for bfloat16 in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            taps, code = network(rgb)
        found.append([code.float(), *torch.autograd.grad(taps[2].float().square().sum(), rgb)])
    for exact, rounded, least in zip(*found, (0.99, 0.9), strict=True):
        assert torch.cosine_similarity(exact.flatten(), rounded.flatten(), dim=0) > least
