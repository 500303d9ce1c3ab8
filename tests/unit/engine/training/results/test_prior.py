"""The prior of codes that a training writes into its generator."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from imago_engine.generators import GeneratorInfo
from imago_engine.synthesis.generators.architectures import Generator, build_network
from imago_engine.synthesis.generators.files import load_generator, save_generator
from imago_engine.training.results import prior as prior_module
from imago_engine.training.results.code_statistics import statistics_of
from imago_engine.training.results.prior import measured_prior
from imago_engine.training.results.samples import write_with_samples


def correlated(count: int, size: int, rank: int, seed: int = 0) -> np.ndarray:
    """Codes [count, size] that vary along `rank` directions around a mean of 2."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(rank, size)) * np.linspace(3, 1, rank)[:, None]
    return (2 + random.normal(size=(count, rank)) @ mixing).astype(np.float32)


@pytest.mark.parametrize("exact", [40, 39], ids=["exact", "randomized"])
def test_the_coordinates_of_real_codes_are_uncorrelated_and_of_variance_one(
    exact: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prior_module, "EXACT", exact)
    codes = correlated(3000, 40, 8)
    prior = measured_prior(codes, statistics_of(codes), directions=6, prototypes=10)
    points = prior.point(torch.from_numpy(codes))
    torch.testing.assert_close(points.mean(0), torch.zeros(6), atol=0.02, rtol=0)
    torch.testing.assert_close(torch.cov(points.T), torch.eye(6), atol=0.05, rtol=0)


def test_where_the_usual_solver_fails_the_directions_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = correlated(500, 40, 4)
    usual = measured_prior(codes, statistics_of(codes), directions=4, prototypes=5).axes

    def failing(covariance: torch.Tensor) -> None:
        raise torch.linalg.LinAlgError("linalg.eigh: The algorithm failed to converge")  # type: ignore[attr-defined]

    monkeypatch.setattr(torch.linalg, "eigh", failing)
    axes = measured_prior(codes, statistics_of(codes), directions=4, prototypes=5).axes
    signs = (axes * usual).sum(1, keepdim=True).sign()
    torch.testing.assert_close(axes * signs, usual, atol=1e-4, rtol=1e-4)


def test_directions_in_which_nothing_varies_are_left_out() -> None:
    codes = correlated(500, 40, 4)
    prior = measured_prior(codes, statistics_of(codes), directions=20, prototypes=5)
    assert prior.axes.shape == (4, 40)
    rebuilt = prior.code(prior.point(torch.from_numpy(codes)))
    np.testing.assert_allclose(rebuilt.numpy(), codes, atol=0.05)


def test_long_codes_have_fewer_directions_so_that_a_file_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prior_module, "LARGEST", 130)
    codes = correlated(500, 40, 8)
    assert measured_prior(codes, statistics_of(codes), directions=8, prototypes=5).axes.shape == (3, 40)


def test_directions_of_many_places_are_measured_coarsely_and_lead_through_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    codes = correlated(2000, 3 * 4 * 4, 4).reshape(-1, 3, 4, 4)
    prior = measured_prior(codes, statistics_of(codes), directions=20, prototypes=5)
    assert prior.axes.shape == (4, 3, 4, 4)
    rebuilt = prior.code(prior.point(torch.from_numpy(codes)))
    np.testing.assert_allclose(rebuilt.numpy(), codes, atol=0.05)
    monkeypatch.setattr(prior_module, "LARGEST_TOLD", 3 * 48)
    assert len(measured_prior(codes, statistics_of(codes), directions=20, prototypes=5).axes) == 3


def test_a_direction_is_the_mean_of_what_lies_along_it_whatever_else_is_in_the_places() -> None:
    random = np.random.default_rng(2)
    smooth = correlated(4000, 3 * 2 * 2, 4).reshape(-1, 3, 2, 2).repeat(2, axis=2).repeat(2, axis=3)
    detail = random.normal(size=(4000, 3, 2, 2, 2, 2))
    detail -= detail.mean(axis=(3, 5), keepdims=True)  # nothing of it is left in a part's average
    codes = (smooth + detail.reshape(4000, 3, 4, 4)).astype(np.float32)
    prior = measured_prior(codes, statistics_of(codes), directions=4, prototypes=5)
    parts = prior.axes.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)  # [R, C, 2, 2, 4]
    assert parts.std(-1).max() < 0.2 * prior.axes.abs().max()


def test_prototypes_are_the_centres_of_what_lies_together() -> None:
    random = np.random.default_rng(1)
    centres = random.normal(size=(4, 12)) * 20
    codes = (centres[random.integers(4, size=800)] + random.normal(size=(800, 12)) * 0.1).astype(np.float32)
    prior = measured_prior(codes, statistics_of(codes), directions=12, prototypes=40)
    found = prior.code(prior.prototypes).numpy()
    away = np.linalg.norm(found[:, None] - centres[None], axis=2)
    assert away.min(axis=1).max() < 3, "a prototype lies where there are no codes"
    assert away.min(axis=0).max() < 3, "a cluster has no prototype"


def test_the_same_codes_give_the_same_prior() -> None:
    codes = correlated(600, 30, 5)
    one, other = (measured_prior(codes, statistics_of(codes), 5, 8) for _ in range(2))
    assert torch.equal(one.axes, other.axes)
    assert torch.equal(one.prototypes, other.prototypes)


def test_samples_are_codes_of_the_training_as_they_are() -> None:
    codes = correlated(600, 30, 5)
    prior = measured_prior(codes, statistics_of(codes), 5, 8)
    assert prior.samples is not None
    points = prior.point(torch.from_numpy(codes))
    away = torch.cdist(prior.samples.first(200), points).amin(1)
    assert prior.samples.first(200).norm(dim=1).mean() > 1.5
    assert away.max() < 0.1, "a sample is no code"
    assert not torch.equal(prior.samples.first(600).sort(0).values, prior.samples.first(600))


def test_samples_are_added_to_a_file_whose_other_tensors_stay_as_they_are(tmp_path: Path) -> None:
    file, out = tmp_path / "before.safetensors", tmp_path / "after.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        arguments = {"code_size": 20, "widths": (16, 8, 8), "depths": (1, 1, 1)}
        network = build_network("compact", arguments)
    codes = correlated(300, 20, 5)
    statistics = statistics_of(codes)
    prior = measured_prior(codes, statistics, 5, 8)
    info = GeneratorInfo("compact", arguments, (20,), 32, "rgb_unit_tanh", "e.t", "pool", "ab" * 32)
    tensors = (statistics.mean, statistics.std, statistics.lower, prior.axes, prior.prototypes)
    save_generator(file, Generator(info, network, *tensors))
    write_with_samples(file, out, np.array_split(codes, 3))
    before, after = load_file(file), load_file(out)
    assert after.keys() - before.keys() == {"code_samples", "code_sample_scale"}
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    loaded = load_generator(out)
    assert loaded.info.prior == {"directions": 5, "prototypes": 8, "samples": 300}
    assert loaded.prior is not None
    away = torch.cdist(loaded.prior.typical(50), prior.point(torch.from_numpy(codes))).amin(1)
    assert away.max() < 0.1
