"""What lies in all pictures at the same pixels is seen, and can be trained away."""

from collections.abc import Callable

import pytest
import torch

from imago_engine.training.recipes.shared_pattern import SharedPattern

SIZE = 32


def pictures(seed: int, count: int = 64) -> torch.Tensor:
    """RGB in [−1, 1], [count, 3, 32, 32]: patches of two pixels, each picture's own."""
    draw = torch.Generator().manual_seed(seed)
    patches = torch.rand(count, 3, SIZE // 2, SIZE // 2, generator=draw) * 2 - 1
    return patches.repeat_interleave(2, 2).repeat_interleave(2, 3)


def grain(strength: float) -> torch.Tensor:
    return strength * torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(9))


def seam(strength: float) -> torch.Tensor:
    line = torch.zeros(1, 3, SIZE, SIZE)
    line[:, :, 15] = strength
    return line


def seen(added: torch.Tensor, batches: int = 30) -> torch.Tensor:
    """The last loss of batches of pictures with something added."""
    pattern = SharedPattern(SIZE)
    losses: list[torch.Tensor] = [
        pattern(pictures(2 * i) + added, pictures(2 * i + 1)) for i in range(batches)
    ]
    return losses[-1]


def test_pictures_that_share_no_more_than_photographs_do_have_no_pattern_but_for_chance() -> None:
    assert seen(torch.zeros(())).abs() < 0.02 * seen(grain(0.5))


@pytest.mark.parametrize("of", [grain, seam])
def test_what_lies_in_every_picture_at_the_same_pixels_is_a_pattern(
    of: Callable[[float], torch.Tensor],
) -> None:
    assert 0 < seen(of(0.2)) < seen(of(0.6)) / 4


def test_its_gradient_takes_the_pattern_away() -> None:
    pattern, added = SharedPattern(SIZE), grain(0.5)
    first = seen(added)
    for i in range(200):
        added.requires_grad_()
        (gradient,) = torch.autograd.grad(pattern(pictures(2 * i) + added, pictures(2 * i + 1)), added)
        added = (added - 20 * gradient).detach()
    assert seen(added) < 0.2 * first


def test_pictures_without_any_edge_leave_it_as_it_is() -> None:
    pattern, plain = SharedPattern(SIZE), torch.zeros(4, 3, SIZE, SIZE)
    assert pattern(plain, plain + 0.5).isfinite()
    assert pattern.surplus.isfinite().all()


def test_a_checkpoint_without_it_begins_anew_and_one_with_it_goes_on() -> None:
    pattern = SharedPattern(SIZE)
    pattern(pictures(0) + seam(1), pictures(1))
    state = {name: tensor.clone() for name, tensor in pattern.state_dict().items()}
    assert state["surplus"].any()
    pattern.load_state_dict({})
    assert not pattern.surplus.any()
    pattern.load_state_dict(state)
    assert torch.equal(pattern.surplus, state["surplus"])
