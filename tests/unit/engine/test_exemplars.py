"""Where an activation stands among those of real pictures."""

import pytest

from imago_engine.exemplars.quantiles import LEVELS, percentile

EVEN = [100 * level for level in LEVELS]


@pytest.mark.parametrize("activation", [0.0, 0.05, 3.3, 50.0, 99.95, 100.0])
def test_between_quantiles_it_is_interpolated(activation: float) -> None:
    assert percentile(activation, EVEN) == pytest.approx(activation)


def test_beyond_all_pictures_it_is_all_or_none() -> None:
    assert (percentile(-1.0, EVEN), percentile(101.0, EVEN)) == (0, 100)


def test_of_equal_activations_none_is_less() -> None:
    """A unit that most pictures do not excite at all."""
    quantiles = [0.0 if level < 0.9 else 10 * (level - 0.9) for level in LEVELS]
    assert percentile(0.0, quantiles) == 0
    assert percentile(1e-9, quantiles) == pytest.approx(90, abs=0.1)
    assert percentile(0.0, [0.0] * len(LEVELS)) == 0
