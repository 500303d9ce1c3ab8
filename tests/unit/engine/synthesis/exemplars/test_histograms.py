"""Histograms of fixed size: the same whatever the order, exact sums, errors that stay within a bin."""

import numpy as np
import pytest
import torch
from torch import Tensor

from imago_engine.synthesis.exemplars.histograms import BINS, Histograms
from imago_engine.synthesis.exemplars.strongest import Strongest

LEVELS = torch.tensor([0.0, 0.1, 0.5, 0.9, 0.99, 1.0])


def counted(*batches: Tensor) -> Histograms:
    made = Histograms(batches[0].shape[1])
    for batch in batches:
        made.add(0, batch)
    return made


def same(one: Histograms, other: Histograms) -> bool:
    return all(torch.equal(tensor, other.state()[name]) for name, tensor in one.state().items())


@pytest.fixture
def values() -> Tensor:
    draw = torch.Generator().manual_seed(0)
    scale = torch.tensor([1e-30, 1e-3, 1.0, 40.0, 1e30])
    values = torch.randn(4000, 5, generator=draw).exp() * torch.randn(4000, 5, generator=draw).sign()
    return values * scale


def test_the_order_of_the_values_changes_nothing(values: Tensor) -> None:
    rising = values.sort(0).values
    assert same(counted(*rising.chunk(571)), counted(*rising.flip(0).chunk(63)))


def test_parts_add_up_to_the_whole(values: Tensor) -> None:
    small, large = values[:1000] / 1000, values[1000:]
    for first, second in ((small, large), (large, small)):
        added = counted(first)
        added.merge(counted(second))
        assert same(added, counted(small, large))


def test_quantiles_are_within_a_bin_of_the_exact_ones(values: Tensor) -> None:
    told = counted(values).quantiles(LEVELS).numpy()
    exact = np.quantile(values.double().numpy(), LEVELS.numpy(), axis=0, method="inverted_cdf").T
    slack = np.abs(exact) / 8 + np.abs(values.numpy()).max(0)[:, None] / 256
    assert (np.abs(told - exact) <= slack).all()
    np.testing.assert_array_equal(told[:, 0], values.min(0).values)
    np.testing.assert_array_equal(told[:, -1], values.max(0).values)


def test_zeros_are_counted_by_themselves() -> None:
    torch.set_flush_denormal(False)  # whatever ran before in this process
    values = torch.tensor([[0.0, -0.0, 1e-40], [0.0, 2.0, 0.0], [1.0, 3.0, 0.0], [-1.0, 5.0, 0.0]])
    assert counted(values).non_zero().tolist() == [0.5, 0.75, 0.25]


def test_what_is_no_finite_number_is_left_out() -> None:
    values = torch.tensor(
        [[torch.nan, torch.nan], [torch.inf, torch.nan], [-torch.inf, torch.nan], [2.0, torch.nan]]
    )
    made = counted(values)
    assert made.counted().tolist() == [1, 0]
    assert made.quantiles(LEVELS)[0].tolist() == [2.0] * len(LEVELS)
    assert made.quantiles(LEVELS)[1].isnan().all()


def test_the_largest_float_has_a_bin() -> None:
    largest = torch.finfo(torch.float32).max
    made = counted(torch.tensor([[largest], [-largest], [1.0]]))
    assert made.counts.shape == (1, BINS)
    assert made.quantiles(torch.tensor([0.0, 1.0]))[0].tolist() == [-largest, largest]


def test_the_strongest_of_two_parts_are_those_of_both() -> None:
    draw = torch.Generator().manual_seed(0)
    values = torch.randint(0, 20, (60, 4), generator=draw).float()

    def strongest(first: int, last: int) -> Strongest:
        made = Strongest(4, 6)
        made.offer(0, values[first:last], torch.arange(first, last), lambda n, c: n + first)
        return made

    whole, merged = strongest(0, 60), strongest(25, 60)
    merged.merge(strongest(0, 25))
    for name, tensor in whole.state().items():
        assert torch.equal(tensor, merged.state()[name])
