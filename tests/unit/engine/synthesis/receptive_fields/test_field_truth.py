"""A receptive field is never too small: random networks, the gradient the judge of what a unit sees."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from imago_engine.synthesis.inspection.anatomy import anatomy
from imago_engine.synthesis.networks.truncate import Prefix

SIZE = 20
Operation = Callable[[Tensor], Tensor]


def _window(kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Operation:
    weight = torch.ones(3, 1, kernel, kernel)
    return lambda x: F.conv2d(x, weight, None, stride, padding, dilation, groups=3)


def _written(x: Tensor, start: int, step: int = 1) -> Tensor:
    y = x.clone()
    y[:, :1, :, start::step] = x[:, :1, :, : y[:, :1, :, start::step].shape[3]]
    return y


def _accumulated(x: Tensor) -> Tensor:
    y = x * 2
    part = y.narrow(3, 0, y.shape[3] // 2)
    part += x.flip(3).narrow(3, 0, part.shape[3])
    return y


def _through_a_view(x: Tensor) -> Tensor:
    y = x.clone()
    y.transpose(2, 3).add_(x[:, :, : x.shape[2], : x.shape[3]].transpose(2, 3).flip(2))
    return y


def _filled(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y[:, :, 1:, 2:] = x[:, :, :-1, :-2]
    return y


def _grid(x: Tensor) -> Tensor:
    """The right half of a picture, mirrored."""
    mirrored = torch.tensor([[[-0.5, 0.0, 0.5], [0.0, 1.0, 0.0]]]).expand(len(x), 2, 3)
    return F.affine_grid(mirrored, list(x.shape), align_corners=False)


KERNEL = torch.ones(3, 3, 3, 3)
KNOWN: dict[str, Operation] = {
    "conv 3": _window(3, padding=1),
    "conv 3 without padding": _window(3),
    "conv 3 by 2": _window(3, 2, 1),
    "dilated": _window(3, padding=2, dilation=2),
    "pool": lambda x: F.avg_pool2d(x, 2),
    "maximum": lambda x: F.max_pool2d(x, 3, 1, 1),
    "relu": lambda x: F.leaky_relu(x, 0.5),
    "in place": lambda x: x.clone().mul_(2).add_(1),
    "residual": lambda x: x + _window(3, padding=1)(x),
    "residual in place": lambda x: x.clone().add_(_window(5, padding=2)(x)),
    "padding": lambda x: F.pad(x, (2, 1, 0, 3)),
    "channels": lambda x: x[:, [2, 0, 1]] if x.ndim == 3 else torch.cat([x[:, 1:], x[:, :1]], 1),
    "channels last": lambda x: (x.permute(0, 2, 3, 1) * 2).permute(0, 3, 1, 2),
    "normalised channels": lambda x: x - x.mean(1, keepdim=True),
    "batch norm": lambda x: F.batch_norm(x, torch.zeros(3), torch.ones(3)),
    "embedding": lambda x: x + torch.arange(x.shape[3]) / 9,
}
MOVING: dict[str, Operation] = {
    "flip": lambda x: x.flip(2),
    "roll": lambda x: x.roll(3, 3),
    "transpose": lambda x: x.transpose(2, 3),
    "index": lambda x: x[:, :, torch.arange(x.shape[2] - 1, -1, -1)],
    "slice": lambda x: x[:, :, 1:, :-1],
    "every other": lambda x: x[:, :, ::2, 1::2] if min(x.shape[2:]) > 3 else x,
    "sum along": lambda x: x.cumsum(2),
    "softmax along": lambda x: x.softmax(3) * 5,
    "sorted": lambda x: x.sort(3).values,
    "row mean": lambda x: x + x.mean(3, keepdim=True),
    "columns mixed": lambda x: x @ torch.ones(x.shape[3], x.shape[3]),
    "rows mixed": lambda x: F.linear(x.transpose(2, 3), torch.ones(x.shape[2], x.shape[2])).transpose(2, 3),
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x),
    "layer norm of rows": lambda x: F.layer_norm(x, x.shape[3:]),
    "one place for all": lambda x: x + x[:, :, :1, :1],
    "reflected": lambda x: F.pad(x, (2, 2, 2, 2), mode="reflect"),
    "replicated": lambda x: F.pad(x, (3, 1, 1, 3), mode="replicate"),
    "circular": lambda x: F.pad(x, (2, 2, 2, 2), mode="circular"),
    "resized": lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear"),
    "shuffled to places": lambda x: F.pixel_shuffle(x.repeat(1, 4, 1, 1), 2)[:, :3],
    "transposed conv": lambda x: F.conv_transpose2d(x, torch.ones(3, 3, 3, 3), stride=2),
    "sheared view": lambda x: x.flatten(2).roll(1, 2).view_as(x),
    "written": lambda x: _written(x, 4),
    "written by twos": lambda x: _written(x, 1, 2),
    "accumulated": _accumulated,
    "through a view": _through_a_view,
    "filled": _filled,
    "concatenated with the whole": lambda x: torch.cat(
        [x[:, :2], x.mean((2, 3), True).expand_as(x)[:, :1]], 1
    ),
    "concatenated with a resized mean": lambda x: torch.cat(
        [F.interpolate(F.adaptive_avg_pool2d(x, 1), x.shape[2:]), x], 1
    )[:, 2:5],
    "the whole added": lambda x: x + x.mean((2, 3), True),
    "the whole added in place": lambda x: x.clone().add_(F.adaptive_avg_pool2d(x, 1)),
    "quarter turn": lambda x: torch.rot90(x, 1, (2, 3)),
    "taken by index": lambda x: x.index_select(3, torch.arange(x.shape[3] - 1, -1, -1)),
    "looked up in a grid": lambda x: F.grid_sample(x, _grid(x), align_corners=False),
    "deformable": lambda x: deform_conv2d(x, torch.full((len(x), 18, *x.shape[2:]), 3.0), KERNEL, padding=1),
    "by its values": lambda x: x.roll(int(x.abs().sum() * 1000) % 5 + 1, 3),
}


class Chain(nn.Module):
    """Operations one after the other, and the layer whose units are asked for."""

    def __init__(self, operations: list[Operation]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.operations = operations
        self.parts = nn.ModuleList(part for part in operations if isinstance(part, nn.Module))
        self.last = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        for operation in self.operations:
            x = operation(x)
        result: Tensor = self.last(x)
        return result


def assert_never_too_small(operations: list[Operation]) -> None:
    module = Chain(operations).eval().requires_grad_(False)
    layer = anatomy(module, SIZE).layers.get("last")
    if layer is None or layer.field is None:
        return
    _, height, width = layer.shape
    x = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)).requires_grad_()
    output = Prefix(module, "last")(x)
    for position in {(height // 2, width // 2), (0, 0), (height - 1, width - 1), (0, width // 2)}:
        (gradient,) = torch.autograd.grad(output[0, :, position[0], position[1]].sum(), x, retain_graph=True)
        box = layer.field.box(position, SIZE)
        if box is not None:
            seen = gradient[0].abs().sum(0) > 0
            seen[box.top : box.bottom, box.left : box.right] = False
            assert not seen.any(), f"position {position}: told {box}"


@pytest.mark.parametrize("name", MOVING)
def test_what_moves_or_mixes_places_is_not_taken_for_what_keeps_them(name: str) -> None:
    for before in ([], [KNOWN["conv 3"]], [KNOWN["pool"]]):
        assert_never_too_small([*before, MOVING[name]])
        assert_never_too_small([*before, MOVING[name], KNOWN["conv 3 by 2"]])


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(sorted(KNOWN | MOVING)), min_size=2, max_size=5))
def test_no_composition_of_operations_has_a_field_that_is_too_small(names: list[str]) -> None:
    everything = KNOWN | MOVING
    try:
        Chain([everything[name] for name in names])(torch.zeros(1, 3, SIZE, SIZE))
    except RuntimeError:
        return  # too small by then for what comes next
    assert_never_too_small([everything[name] for name in names])


@pytest.mark.parametrize("name", KNOWN)
def test_what_keeps_places_keeps_the_field_known(name: str) -> None:
    layer = anatomy(Chain([KNOWN[name]]).eval().requires_grad_(False), SIZE).layers["last"]
    assert layer.field is not None
    assert layer.field.size < SIZE


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
@pytest.mark.parametrize(
    "behind",
    [
        [lambda x: F.pad(x, (1, 1, 1, 1)), _window(3)],
        [lambda x: F.pad(x, (0, 2, 0, 2)), _window(3, 2)],
        [lambda x: F.pad(x, (-1, 3, -1, 3)), _window(4)],
        [lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True)],
        [lambda x: F.avg_pool2d(x, 3, 3, ceil_mode=True)],
        [lambda x: F.avg_pool2d(x, 4, 3, padding=1, ceil_mode=True)],
    ],
)
def test_what_is_repeated_at_the_edge_may_lie_in_a_window_that_does_not_reach_its_source(
    mode: str, behind: list[Operation]
) -> None:
    for width in (1, 2):
        for before in ([], [_window(3)], [_window(2)]):
            padded = lambda x, width=width: F.pad(x, (width,) * 4, mode=mode)  # noqa: E731
            assert_never_too_small([*before, padded, *behind])


class Along(nn.Module):
    """A module that works on the picture with its dimensions in another order, which is then put back."""

    def __init__(self, part: nn.Module, order: tuple[int, ...]) -> None:
        super().__init__()
        self.part, self.order = part, order
        self.back = tuple(order.index(dim) for dim in range(4))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.part(x.permute(self.order)).permute(self.back)
        return result


LRN = nn.LocalResponseNorm(3, alpha=1.0)


@pytest.mark.parametrize(
    ("part", "order", "known"),
    [
        (nn.Linear(3, 3), (0, 2, 3, 1), True),
        (nn.Linear(SIZE, SIZE), (0, 1, 2, 3), False),
        (nn.Linear(SIZE, SIZE), (0, 1, 3, 2), False),
        (LRN, (0, 1, 2, 3), True),
        (LRN, (0, 2, 1, 3), False),
        (LRN, (0, 3, 2, 1), False),
        (nn.LayerNorm(3), (0, 2, 3, 1), True),
        (nn.LayerNorm(SIZE), (0, 1, 2, 3), False),
    ],
    ids=lambda value: str(value).replace(" ", ""),
)
def test_modules_that_mix_channels_keep_the_field_known_and_those_that_mix_places_do_not(
    part: nn.Module, order: tuple[int, ...], known: bool
) -> None:
    layer = anatomy(Chain([Along(part, order)]).eval().requires_grad_(False), SIZE).layers["last"]
    assert (layer.field is not None) == known
    assert_never_too_small([Along(part, order)])
    assert_never_too_small([KNOWN["conv 3"], Along(part, order), KNOWN["conv 3 by 2"]])


def test_gates_and_normalisation_by_the_whole_keep_the_field_known() -> None:
    gated = [_window(3), lambda x: x * x.mean((2, 3), True).sigmoid(), lambda x: x - x.mean((2, 3), True)]
    layer = anatomy(Chain(gated).eval().requires_grad_(False), SIZE).layers["last"]
    assert layer.field is not None
    assert layer.field.size == 3


def test_reflection_is_known_again_behind_a_window_that_covers_it() -> None:
    wide = [MOVING["reflected"], _window(5)]
    layer = anatomy(Chain(wide).eval().requires_grad_(False), SIZE).layers["last"]
    assert layer.field is not None
    assert layer.field.size == 5
    assert_never_too_small(wide)
