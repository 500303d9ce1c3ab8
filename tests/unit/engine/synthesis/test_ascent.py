"""The climb: the published step, items that do not know of each other, honest answers where none leads up."""

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from imago_engine.synthesis.ascent import PATIENCE, Item, Stop, synthesize
from imago_engine.synthesis.fitting import FitError
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.networks.load import Network, Preprocessing
from imago_engine.synthesis.objectives import ObjectiveError
from imago_engine.synthesis.scoring import VIEWS
from imago_engine.synthesis.stored_pixels import from_bytes
from imago_engine.techniques.dgn_am import DgnAm
from tests.unit.engine.synthesis.codes import code_of

Wrap = Callable[..., Network]
FREE = DgnAm(steps=5, learning_rate=0.2, decay=1.0, bounds="none", start="half-normal")
LITE0 = DgnAm(steps=3, learning_rate=0.02, start="half-normal", input_size=64)


class Reader(nn.Module):
    """Each unit sums one colour over 3×3 pixels: channel c of `conv` reads channel c of the input."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.conv.weight.data = torch.einsum("io,hw->iohw", torch.eye(3), torch.ones(3, 3))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(x)
        return result


def small_classifier() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(200, 6),
    )


def brightened(canvas: Generator, network: Network, item: Item) -> NDArray[np.float32]:
    """The change that the ascent made to the code, which is the picture: [3, 16, 16]."""
    (picture,) = synthesize(network, canvas, "conv", [item], FREE)
    start = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(item.seed)).abs() * 0.25
    change: NDArray[np.float32] = code_of(picture) - start.numpy()
    return change


def place(change: NDArray[np.float32]) -> tuple[set[int], slice, slice]:
    """Channels, rows and columns of what changed."""
    channels, rows, columns = np.nonzero(np.abs(change) > 1e-6)
    return (
        set(channels.tolist()),
        slice(int(rows.min()), int(rows.max()) + 1),
        slice(int(columns.min()), int(columns.max()) + 1),
    )


def test_a_position_is_read_as_row_then_column(wrap: Wrap, canvas: Generator) -> None:
    change = brightened(canvas, wrap(Reader()), Item(unit=0, seed=3, position=(2, 9)))
    assert place(change) == ({0}, slice(1, 4), slice(8, 11))
    assert change.max() > 0.4


def test_without_a_position_a_channel_is_read_at_its_centre(wrap: Wrap, canvas: Generator) -> None:
    assert place(brightened(canvas, wrap(Reader()), Item(unit=1, seed=3))) == (
        {1},
        slice(7, 10),
        slice(7, 10),
    )


def test_a_bgr_network_gets_blue_first(wrap: Wrap, canvas: Generator) -> None:
    bgr = Preprocessing(16, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2), bgr=True)
    assert place(brightened(canvas, wrap(Reader(), bgr), Item(unit=0, seed=3)))[0] == {2}


def test_a_smaller_input_is_cut_from_the_centre_of_the_picture(wrap: Wrap, canvas: Generator) -> None:
    network = wrap(Reader(), Preprocessing(10, (0.0,) * 3, (1.0,) * 3))
    (picture,) = synthesize(network, canvas, "conv", [Item(0, seed=3, position=(0, 4))], FREE)
    assert place(brightened(canvas, network, Item(0, 3, (0, 4)))) == ({0}, slice(3, 5), slice(6, 9))
    assert picture.crop_box == (6, 3, 9, 5)  # left, top, right, bottom in the picture's pixels


def test_the_network_is_fed_the_stored_picture_with_its_mean_taken_off_once(
    wrap: Wrap, canvas: Generator
) -> None:
    class Recorder(Reader):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.detach()[0])
            return super().forward(x)

    seen: list[Tensor] = []
    recorder = Recorder()
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)
    (picture,) = synthesize(wrap(recorder, Preprocessing(16, mean, std)), canvas, "conv", [Item(0, 0)], FREE)
    rgb = torch.from_numpy(picture.image).permute(2, 0, 1) / 255
    expected = torch.stack([(rgb[c] - mean[c]) / std[c] for c in range(3)])
    # The last looks are the score's, which sees parts of it.
    torch.testing.assert_close(seen[-VIEWS - 1], expected)
    assert picture.activation == pytest.approx(expected[0, 7:10, 7:10].sum().item(), rel=1e-5)


def test_the_code_follows_the_published_steps(wrap: Wrap, compact: Generator) -> None:
    network = wrap(small_classifier())
    recipe = DgnAm(
        steps=6, learning_rate=0.5, learning_rate_end=0.1, decay=0.9, bounds_k=1.0, precision="float32"
    )
    pictures = synthesize(network, compact, "5", [Item(2, seed=7), Item(4, seed=8)], recipe)
    for picture, unit, seed in zip(pictures, (2, 4), (7, 8), strict=True):
        # Not clipped before the first step.
        code = torch.randn(24, generator=torch.Generator().manual_seed(seed))
        trace = []
        for i in range(6):
            code.requires_grad_()
            image = compact(code[None])[:, :, 8:24, 8:24]
            activation = network.module(image)[0, unit]
            (g,) = torch.autograd.grad(activation, code)
            rate = 0.5 + (0.1 - 0.5) * i / 6
            upper = compact.code_mean + 1.0 * compact.code_std
            code = torch.minimum((code + rate * g / g.abs().mean()).detach().clamp_min(0), upper) * 0.9
            trace.append(activation.item())
        np.testing.assert_allclose(code_of(picture), code.numpy(), atol=1e-4)
        np.testing.assert_allclose(picture.trace, trace, atol=1e-4)


def test_the_picture_kept_is_the_last_one(wrap: Wrap, compact: Generator) -> None:
    network = wrap(small_classifier())
    # Far too large steps: activation falls at the end, and the last code is kept all the same.
    (picture,) = synthesize(network, compact, "5", [Item(0, 0)], DgnAm(steps=7, learning_rate_end=8.0))
    last = compact(torch.from_numpy(code_of(picture))[None])[0].permute(1, 2, 0).clamp(0, 1)
    assert np.abs(picture.image / 255 - last.numpy()).max() <= 0.5 / 255 + 1e-6


def test_a_units_picture_is_the_same_alone_or_among_63_others(lite0: Network, compact: Generator) -> None:
    recipe = LITE0.changed(input_size=48)
    items = [Item(unit=(13 * n) % 1000, seed=n) for n in range(64)]
    together = synthesize(lite0, compact, "output", items, recipe)
    for n in (0, 31, 63):
        (alone,) = synthesize(lite0, compact, "output", [items[n]], recipe)
        np.testing.assert_allclose(code_of(alone), code_of(together[n]), atol=1e-5)
        assert np.abs(alone.image.astype(int) - together[n].image.astype(int)).mean() < 0.01
        assert alone.activation == pytest.approx(together[n].activation, abs=1e-4)


def test_neighbours_leave_no_trace_in_a_long_climb_with_jitter_and_places(
    lite0: Network, compact: Generator
) -> None:
    # So large steps that a difference in the last bit would be a different picture at the end.
    recipe = LITE0.changed(steps=15, learning_rate=0.3, jitter=3, input_size=32, momentum=0.5)
    items = [Item(unit=n, seed=n, position=(n % 4, (n * 3) % 4)) for n in range(7)]
    together = synthesize(lite0, compact, "blocks.2.0", items, recipe)
    (alone,) = synthesize(lite0, compact, "blocks.2.0", [items[5]], recipe)
    np.testing.assert_allclose(code_of(alone), code_of(together[5]), atol=1e-4)


def test_activations_rise(lite0: Network, compact: Generator) -> None:
    recipe = LITE0.changed(steps=10, learning_rate=0.05)
    pictures = synthesize(
        lite0, compact, "output", [Item(unit, seed=1) for unit in (1, 99, 301, 950)], recipe
    )
    for picture in pictures:
        assert picture.activation > picture.trace[0] + 0.5
        assert picture.trace.shape == (10,)


def test_the_same_seed_gives_the_same_picture_and_another_seed_another(
    lite0: Network, compact: Generator
) -> None:
    first, again, other = (
        synthesize(lite0, compact, "output", [Item(5, seed)], LITE0)[0].image for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_predictions_are_the_networks_five_best_for_the_stored_picture(
    lite0: Network, compact: Generator
) -> None:
    (picture,) = synthesize(lite0, compact, "blocks.1.0", [Item(3, seed=0)], LITE0)
    assert picture.predictions is not None
    pixels = torch.from_numpy(picture.image.copy()).permute(2, 0, 1)[None]
    x = nn.functional.interpolate(from_bytes(pixels), (64, 64), mode="bilinear", align_corners=False)
    best = lite0.module(lite0.preprocessing(x))[0].softmax(0).topk(5)
    assert [index for index, _ in picture.predictions] == best.indices.tolist()
    np.testing.assert_allclose([p for _, p in picture.predictions], best.values.numpy(), rtol=1e-3)


def test_a_network_without_logits_predicts_nothing(wrap: Wrap, canvas: Generator) -> None:
    (picture,) = synthesize(wrap(Reader()), canvas, "conv", [Item(0, 0)], FREE)
    assert picture.predictions is None


def test_a_dead_unit_is_unreachable_and_its_neighbours_are_not(wrap: Wrap, compact: Generator) -> None:
    module = small_classifier()
    module.get_parameter("5.weight").data[3] = 0
    steps = PATIENCE + 4
    items = [Item(2, 0), Item(3, 1), Item(4, 2)]
    pictures = synthesize(wrap(module), compact, "5", items, DgnAm(steps=steps, learning_rate=0.05))
    assert [picture.status for picture in pictures] == ["done", "unreachable", "done"]
    assert [len(picture.trace) for picture in pictures] == [steps, PATIENCE, steps]
    (alone,) = synthesize(wrap(module), compact, "5", [Item(4, 2)], DgnAm(steps=steps, learning_rate=0.05))
    np.testing.assert_allclose(code_of(pictures[2]), code_of(alone), atol=1e-3)


def test_a_batch_of_dead_units_ends_early(wrap: Wrap, compact: Generator) -> None:
    module = small_classifier()
    module.get_parameter("5.weight").data.zero_()
    done: list[int] = []
    pictures = synthesize(wrap(module), compact, "5", [Item(0, 0), Item(1, 1)], DgnAm(), on_step=done.append)
    assert {picture.status for picture in pictures} == {"unreachable"}
    assert len(done) == PATIENCE


@pytest.mark.parametrize("inplace", [True, False])
def test_a_relu_unit_that_is_off_is_reached_through_its_input(
    wrap: Wrap, canvas: Generator, inplace: bool
) -> None:
    conv = nn.Conv2d(3, 3, 1)
    conv.weight.data, bias = torch.eye(3)[:, :, None, None], conv.bias
    assert bias is not None
    bias.data.fill_(-7.0)
    module = nn.Sequential(Reader(), conv, nn.ReLU(inplace))
    (picture,) = synthesize(wrap(module), canvas, "2", [Item(0, seed=0)], FREE.changed(learning_rate=3.0))
    assert picture.trace[0] == 0
    assert picture.status == "done"
    assert picture.activation > 0  # of the layer as asked for: after the ReLU


def test_a_step_without_a_finite_gradient_is_skipped_and_counted(wrap: Wrap, canvas: Generator) -> None:
    class Stumbling(nn.Conv2d):
        """Gives the first item no number at its second run of the ascent."""

        runs = 0

        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            self.runs += x.requires_grad
            factor = torch.ones(len(y), 1, 1, 1)
            factor[0] = torch.nan if self.runs == 2 and x.requires_grad else 1
            return y * factor

    module = Reader()
    stumbling = Stumbling(3, 3, 3, padding=1, bias=False)
    stumbling.weight = module.conv.weight
    module.conv = stumbling
    items = [Item(0, seed=0), Item(1, seed=1)]
    stumbled = synthesize(wrap(module), canvas, "conv", items, FREE)
    straight = synthesize(wrap(Reader()), canvas, "conv", items, FREE)
    assert [picture.skipped_steps for picture in stumbled] == [1, 0]
    assert np.isfinite(code_of(stumbled[0])).all()
    np.testing.assert_allclose(code_of(stumbled[1]), code_of(straight[1]), atol=1e-6)
    assert not np.allclose(code_of(stumbled[0]), code_of(straight[0]))


def test_codes_end_within_their_bounds(lite0: Network, compact: Generator) -> None:
    recipe = LITE0.changed(learning_rate=5.0, decay=1.0, bounds_k=1.5)
    (picture,) = synthesize(lite0, compact, "output", [Item(7, 0)], recipe)
    assert code_of(picture).min() >= 0
    assert code_of(picture).max() <= 0.4 + 1.5 * 0.4 + 1e-6
    assert code_of(picture).max() == pytest.approx(1.0)


def test_a_norm_penalty_keeps_the_code_smaller(wrap: Wrap, canvas: Generator) -> None:
    (plain,) = synthesize(wrap(Reader()), canvas, "conv", [Item(0, 0)], FREE)
    (penalised,) = synthesize(wrap(Reader()), canvas, "conv", [Item(0, 0)], FREE.changed(l2=50.0))
    assert np.linalg.norm(code_of(penalised)) < np.linalg.norm(code_of(plain))


def test_momentum_carries_further(wrap: Wrap, canvas: Generator) -> None:
    slow = FREE.changed(learning_rate=1e-3)
    (plain,) = synthesize(wrap(Reader()), canvas, "conv", [Item(0, 0)], slow)
    (carried,) = synthesize(wrap(Reader()), canvas, "conv", [Item(0, 0)], slow.changed(momentum=0.9))
    assert carried.activation > plain.activation > plain.trace[0]


def test_progress_is_told_each_step_and_the_caller_can_stop(
    lite0: Network, compact: Generator, hook_count: Callable[[nn.Module], int]
) -> None:
    done: list[int] = []

    def stop_at_three(step: int) -> None:
        done.append(step)
        if step == 3:
            raise Stop

    with pytest.raises(Stop):
        synthesize(lite0, compact, "blocks.1.0", [Item(0, 0)], LITE0, on_step=stop_at_three)
    assert done == [1, 2, 3]
    assert hook_count(lite0.module) == 0


def test_networks_and_generators_are_left_as_they_were(lite0: Network, compact: Generator) -> None:
    state = copy.deepcopy({**lite0.module.state_dict(), **compact.state_dict()})
    synthesize(lite0, compact, "output", [Item(0, 0)], LITE0)
    after = {**lite0.module.state_dict(), **compact.state_dict()}
    assert all(torch.equal(after[name], tensor) for name, tensor in state.items())
    assert not any(p.requires_grad or p.grad is not None for p in lite0.module.parameters())
    assert not any(part.training for part in lite0.module.modules())


def test_bfloat16_gives_nearly_the_same_activations(wrap: Wrap, compact: Generator) -> None:
    network = wrap(small_classifier())
    low_network = replace(network, module=copy.deepcopy(network.module).to(torch.bfloat16))
    low_generator = copy.deepcopy(compact).to(torch.bfloat16)
    items = [Item(unit, seed=unit) for unit in range(4)]
    recipe = LITE0.changed(input_size=None)
    low = synthesize(low_network, low_generator, "output", items, recipe)
    full = synthesize(network, compact, "output", items, recipe)
    for a, b in zip(low, full, strict=True):
        assert code_of(a).dtype == np.float32
        assert a.activation == pytest.approx(b.activation, abs=0.1)
        assert a.activation > a.trace[0]


@pytest.mark.parametrize(
    ("layer", "item", "message"),
    [
        ("output", Item(1000, 0), "item 0: unit 1000 of layer classifier; expected 0 to 999"),
        ("output", Item(-1, 0), "expected 0 to 999"),
        ("output", Item(0, 0, (0, 0)), "have no places; expected none"),
        ("blocks.2.0", Item(0, 0, (8, 0)), "expected y from 0 to 7 and x from 0 to 7"),
    ],
)
def test_units_and_positions_that_do_not_exist_are_named(
    lite0: Network, compact: Generator, layer: str, item: Item, message: str
) -> None:
    with pytest.raises(ObjectiveError, match=message):
        synthesize(lite0, compact, layer, [item], LITE0)


def test_a_crop_from_a_picture_that_is_too_small_is_an_error(lite0: Network, compact: Generator) -> None:
    with pytest.raises(FitError, match="gives 32 pixels, the input has 64"):
        synthesize(lite0, compact, "output", [Item(0, 0)], LITE0.changed(fit="crop"))


def test_no_items_are_no_pictures(lite0: Network, compact: Generator) -> None:
    assert synthesize(lite0, compact, "output", [], LITE0) == []
