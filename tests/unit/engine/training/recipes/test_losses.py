"""What a reconstruction must share with its picture."""

from collections.abc import Callable

import pytest
import torch

from imago_engine.training.recipes.losses import pattern_loss


def pictures(count: int, seed: int) -> torch.Tensor:
    """RGB in [−1, 1], [count, 3, 32, 32]: edges of two pixels, each picture's own."""
    draw = torch.Generator().manual_seed(seed)
    blocks = torch.rand(count, 3, 16, 16, generator=draw) * 2 - 1
    return blocks.repeat_interleave(2, 2).repeat_interleave(2, 3).roll(seed % 2, 3)


def grain(strength: float) -> torch.Tensor:
    return strength * torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(9))


def seam(strength: float) -> torch.Tensor:
    line = torch.zeros(1, 3, 32, 32)
    line[:, :, 15] = strength
    return line


def test_pictures_that_share_nothing_have_no_pattern_but_for_chance() -> None:
    found = torch.stack(
        [pattern_loss(pictures(64, seed), pictures(64, seed + 2)) for seed in range(0, 80, 4)]
    )
    assert found.amin() < 0 < found.amax()
    real = pictures(64, seed=1)
    assert found.mean().abs() < 0.1 * pattern_loss(pictures(64, seed=3) + grain(0.5), real)


@pytest.mark.parametrize("of", [grain, seam])
def test_what_lies_in_every_picture_at_the_same_pixels_is_a_pattern(
    of: Callable[[float], torch.Tensor],
) -> None:
    real = pictures(128, seed=0)
    weak, strong = (float(pattern_loss(pictures(128, seed=2) + of(much), real)) for much in (0.2, 0.6))
    assert 0 < weak < strong / 4


def test_its_gradient_takes_the_pattern_away() -> None:
    real, made, pattern = pictures(64, seed=0), pictures(64, seed=2), grain(0.5).requires_grad_()
    first = pattern_loss(made + pattern, real).detach()
    for _ in range(20):
        (gradient,) = torch.autograd.grad(pattern_loss(made + pattern, real), pattern)
        pattern = (pattern - 100 * gradient).detach().requires_grad_()
    assert pattern_loss(made + pattern, real).detach() < 0.3 * first
