"""A larger generator that begins where a smaller one is."""

import pytest
import torch

from imago_engine.synthesis.generators.compact import CompactNetwork
from imago_engine.synthesis.generators.growing import may_widen, widened

SMALL = {"widths": (16, 8, 8), "depths": (2, 1, 1), "finish": 4, "subpixel": True, "noise": True, "places": 2}
LARGE = {**SMALL, "widths": (24, 12, 10), "finish": 6}


def trained(network: CompactNetwork) -> CompactNetwork:
    """Whose weights are all of some size, and whose norms have seen something."""
    torch.manual_seed(1)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(0.2 * torch.randn_like(tensor))
    for name, tensor in network.named_buffers():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize(
    "more", [{}, {"rounds": (1, 2, 3)}, {"local": 5}, {"rounds": (2, 1, 1), "local": 5}, {"refined": True}]
)
def test_a_wider_and_deeper_network_draws_the_same_pictures_at_first(more: dict[str, object]) -> None:
    small = trained(CompactNetwork(8, **SMALL))  # type: ignore[arg-type]
    large = CompactNetwork(8, **LARGE, **more).eval()  # type: ignore[arg-type]
    large.load_state_dict(widened(small.state_dict(), large))
    codes = torch.randn(6, 8, 2, 2)
    torch.testing.assert_close(large(codes), small(codes), atol=1e-4, rtol=1e-4)


def test_what_is_new_in_it_learns() -> None:
    small = trained(CompactNetwork(8, **SMALL))  # type: ignore[arg-type]
    large = CompactNetwork(8, **LARGE, rounds=(1, 2, 1), local=5)  # type: ignore[arg-type]
    large.load_state_dict(widened(small.state_dict(), large))
    adam = torch.optim.Adam(large.parameters(), 1e-3)
    codes, start = torch.randn(6, 8, 2, 2), {n: p.detach().clone() for n, p in large.named_parameters()}
    for _ in range(3):  # what is silent at first passes gradients on only once it is not
        adam.zero_grad()
        large(codes).square().mean().backward()
        adam.step()
    still = [name for name, parameter in large.named_parameters() if torch.equal(parameter, start[name])]
    assert still == []


def test_weights_do_not_fit_into_fewer_channels() -> None:
    large = CompactNetwork(8, **LARGE).state_dict()  # type: ignore[arg-type]
    small = CompactNetwork(8, **SMALL)  # type: ignore[arg-type]
    assert not may_widen(large, small)
    with pytest.raises(ValueError, match="does not fit into"):
        widened(large, small)


def test_places_set_the_style_of_their_own_part_of_the_picture() -> None:
    torch.manual_seed(0)
    network = CompactNetwork(8, (16, 8, 8), (1, 1, 1), finish=4, places=4, local=5).eval()
    for norm in (part for block in network.blocks for part in block.norms):  # type: ignore[union-attr]
        torch.nn.init.normal_(norm.local.weight, std=0.5)
    assert network.place is not None  # is silent: only the styles know of places
    code = torch.randn(1, 8, 4, 4)
    other = code.clone()
    other[:, :, :, 3] = other[:, :, :, 3].flip(2)  # the mean stays: the same style of the whole
    changed = (network(other) - network(code)).abs().mean((0, 1, 2))  # a number a column
    assert changed[-8:].mean() > 4 * changed[:8].mean()


def test_local_styles_need_places() -> None:
    with pytest.raises(ValueError, match="local goes with places"):
        CompactNetwork(8, (16, 8), (1, 1), local=4)
