"""Networks that answer by their company or by chance, that no gradient goes through, or that have no weights:
made reproducible or refused by name. And callers with modes of their own."""

import gc
import random
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torchvision.ops import stochastic_depth

from imago_engine.notebook.functions import synthesize as for_notebooks
from imago_engine.synthesis.ascent import Item, synthesize
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.inspection.input_sizes import input_sizes
from imago_engine.synthesis.inspection.layers import find_layer, inspect
from imago_engine.synthesis.networks.load import Network, NetworkError
from imago_engine.synthesis.networks.truncate import LayerError
from imago_engine.techniques import BaseParameters
from imago_engine.techniques.dgn_am import DgnAm
from imago_engine.techniques.fourier import Fourier as FourierParameters
from imago_engine.techniques.pixel import Pixel as PixelParameters

Wrap = Callable[..., Network]
Step = Callable[["Small", Tensor], Tensor]
RECIPE = DgnAm(steps=3, learning_rate=0.2, decay=1.0, bounds="none", start="half-normal")


class Small(nn.Module):
    """A convolution and a classifier of its means, with something before, between and after them."""

    def __init__(
        self,
        before: Step = lambda s, x: x,
        between: Step = lambda s, h: h,
        after: Step = lambda s, y: y,
        **parts: nn.Module,
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.before, self.between, self.after = before, between, after
        self.conv, self.fc = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6, 4)
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        h = self.between(self, self.conv(self.before(self, x)).relu())
        return self.after(self, self.fc(h.mean((2, 3))))


ACROSS: dict[str, Callable[[], Small]] = {
    "batch norm without statistics": lambda: Small(
        between=lambda s, h: s.get_submodule("norm")(h), norm=nn.BatchNorm2d(6, track_running_stats=False)
    ),
    "centred features": lambda: Small(between=lambda s, h: h - h.mean(0)),
    "maximum of the batch": lambda: Small(before=lambda s, x: x - x.amax(0)),
    "running sum": lambda: Small(between=lambda s, h: h.cumsum(0)),
    "neighbour": lambda: Small(between=lambda s, h: h + 0.1 * h.roll(1, 0)),
    "softmax over the batch": lambda: Small(after=lambda s, y: y.softmax(0)),
    "number of pictures": lambda: Small(after=lambda s, y: y / len(y)),
    "greatest of the first picture or the second": lambda: Small(after=lambda s, y: y / y.abs().max()),
    "least of the first picture or the second": lambda: Small(after=lambda s, y: y - y.min()),
}


@pytest.mark.parametrize("kind", ACROSS)
def test_what_is_computed_across_the_batch_is_refused_at_inspection_and_never_shows(
    wrap: Wrap, compact: Generator, kind: str
) -> None:
    network = wrap(ACROSS[kind]())
    with pytest.raises(NetworkError, match="depends on"):
        inspect(network)
    items = [Item(0, 0), Item(1, 1), Item(2, 2)]
    (alone,) = synthesize(network, compact, "fc", items[:1], RECIPE)
    company = synthesize(network, compact, "fc", items, RECIPE)
    assert np.array_equal(alone.image, company[0].image)
    assert alone.activation == company[0].activation


def test_a_network_that_needs_company_to_run_and_depends_on_it_is_refused(
    wrap: Wrap, compact: Generator
) -> None:
    network = wrap(
        nn.Sequential(
            nn.Conv2d(3, 6, 3),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.BatchNorm1d(6, track_running_stats=False),
        )
    )
    with pytest.raises(NetworkError, match="depends on the others in its batch, first in layer '3'"):
        synthesize(network, compact, "2", [Item(0, 0)], RECIPE)


def test_rounding_that_differs_by_the_size_of_the_batch_is_no_dependence(wrap: Wrap) -> None:
    # As kernels do: the last bits follow the number of pictures, and a sharp function enlarges them.
    noisy = Small(after=lambda s, y: (y * (1 + 1e-6 * len(y))).mul(40).sin())
    assert [layer.name for layer in inspect(wrap(noisy))] == ["conv", "fc"]


RANDOM: dict[str, Callable[[], Small]] = {
    "dropout": lambda: Small(between=lambda s, h: F.dropout(h, 0.5)),
    "noise": lambda: Small(before=lambda s, x: x + 0.1 * torch.randn_like(x)),
    "one draw for all": lambda: Small(after=lambda s, y: y * torch.rand(1)),
    "path dropped now and then": lambda: Small(between=lambda s, h: h + stochastic_depth(h, 0.1, "row")),
    "few values dropped": lambda: Small(after=lambda s, y: F.dropout(y, 0.03)),
}


@pytest.mark.parametrize("kind", RANDOM)
def test_what_is_random_in_eval_mode_is_refused_at_inspection_and_drawn_alike_each_time(
    wrap: Wrap, compact: Generator, kind: str
) -> None:
    network = wrap(RANDOM[kind]())
    with pytest.raises(NetworkError, match="another result each time"):
        inspect(network)
    state = torch.get_rng_state()
    first, again = (synthesize(network, compact, "fc", [Item(0, 0)], RECIPE)[0] for _ in range(2))
    (_, company) = synthesize(network, compact, "fc", [Item(1, 1), Item(0, 0)], RECIPE)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.image, company.image)
    assert len(state) == len(torch.get_rng_state())


@pytest.mark.parametrize("draw", [random.random, np.random.random])
def test_chance_that_torch_does_not_know_of_is_refused_however_seldom_it_shows(
    wrap: Wrap, compact: Generator, draw: Callable[[], float]
) -> None:
    network = wrap(Small(after=lambda s, y: y if draw() > 0.2 else y.flip(1)))
    for use in (lambda: inspect(network), lambda: synthesize(network, compact, "fc", [Item(0, 0)], RECIPE)):
        with pytest.raises(NetworkError, match="another result each time"):
            use()


GENERATORS: list[Callable[[], Callable[[Small], float]]] = [
    lambda: _drawing(np.random.default_rng(0), lambda rng: rng.random()),
    lambda: _drawing(np.random.RandomState(0), lambda rng: rng.random_sample()),
    lambda: _drawing(random.Random(0), lambda rng: rng.random()),
    lambda: _drawing(torch.Generator().manual_seed(3), lambda rng: float(torch.rand(1, generator=rng))),
]


def _drawing(rng: Any, draw: Callable[[Any], float]) -> Any:
    def after(s: Small, y: Tensor) -> Tensor:
        return y if draw(s.__dict__["rng"]) > 0.1 else y.flip(1)

    network = Small(after=after)
    network.__dict__["rng"] = rng
    return network


@pytest.mark.parametrize("make", GENERATORS)
def test_chance_of_a_generator_that_the_network_keeps_is_refused(wrap: Wrap, make: Any) -> None:
    with pytest.raises(NetworkError, match="another result each time"):
        inspect(wrap(make()))


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight).mean((2, 3))


@pytest.mark.parametrize("module", [lambda: nn.Conv2d(3, 4, 3), Functional])
def test_a_network_whose_modules_give_no_units_is_refused_as_that(wrap: Wrap, module: Any) -> None:
    with pytest.raises(NetworkError, match="none of the network's modules gives units"):
        inspect(wrap(module()))


def test_random_numbers_that_change_nothing_are_no_flaw(wrap: Wrap) -> None:
    network = wrap(Small(before=lambda s, x: x + 0 * torch.rand(1)))
    assert [layer.name for layer in inspect(network)] == ["conv", "fc"]


@pytest.mark.parametrize("after", [lambda s, y: y.argmax(1), lambda s, y: y.sum(1), lambda s, y: y[0, 0]])
def test_a_network_that_returns_one_number_a_picture_has_no_output(
    wrap: Wrap, compact: Generator, after: Step
) -> None:
    network = wrap(Small(after=after))
    assert [layer.kind for layer in inspect(network)] == ["conv", "linear"]
    with pytest.raises(LayerError, match="returns"):
        find_layer(network, "output")
    (picture,) = synthesize(network, compact, "fc", [Item(0, 0)], RECIPE)
    assert (picture.status, picture.predictions) == ("done", None)


def holding_itself(s: Small, y: Tensor) -> Any:
    result: dict[str, Any] = {"hidden": y.exp(), "other": y.sin()}
    result["all"] = result
    return result


@pytest.mark.parametrize("after", [lambda s, y: y.to_sparse(), lambda s, y: torch.fft.fft(y), holding_itself])
def test_a_result_that_cannot_be_scores_leaves_a_network_without_an_output(
    wrap: Wrap, compact: Generator, after: Step
) -> None:
    network = wrap(Small(after=after))
    assert [layer.kind for layer in inspect(network)] == ["conv", "linear"]
    assert input_sizes(network).own == network.preprocessing.size
    (picture,) = synthesize(network, compact, "fc", [Item(0, 0)], RECIPE)
    assert (picture.status, picture.predictions) == ("done", None)


def test_a_network_that_changes_with_every_run_is_refused_everywhere(wrap: Wrap, compact: Generator) -> None:
    class Counting(Small):
        runs = 0

        def forward(self, x: Tensor) -> Tensor:
            self.runs += 1
            return super().forward(x) * self.runs

    network = wrap(Counting())
    for use in (lambda: inspect(network), lambda: synthesize(network, compact, "fc", [Item(0, 0)], RECIPE)):
        with pytest.raises(NetworkError, match="in its result"):
            use()


@pytest.mark.parametrize(
    "between",
    [
        lambda s, h: h.detach(),
        lambda s, h: h.data,
        torch.no_grad()(lambda s, h: 2 * h),
        lambda s, h: (9 * h).long().float(),
        lambda s, h: torch.from_numpy(h.detach().numpy()),
        lambda s, h: h.argmax(1, keepdim=True).expand(-1, 6, -1, -1).float(),
    ],
)
def test_a_layer_that_is_cut_off_is_named_and_those_before_it_are_not(
    wrap: Wrap, compact: Generator, between: Step
) -> None:
    network = wrap(Small(between=between))
    assert [(layer.name, layer.kind) for layer in inspect(network)] == [("conv", "conv")]
    for layer, message in (("fc", "cut off"), ("output", "no gradient leads")):
        with pytest.raises(LayerError, match=message):
            find_layer(network, layer)
    (picture,) = synthesize(network, compact, "conv", [Item(0, 0)], RECIPE)
    assert picture.status == "done"
    assert picture.predictions is not None  # what it returns is still what it says


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize(
    "module",
    [
        lambda: Small(before=lambda s, x: x.detach()),
        lambda: Small(before=torch.no_grad()(lambda s, x: 2 * x)),
        lambda: Small(before=lambda s, x: (255 * x).to(torch.uint8).float()),
        lambda: Small(before=lambda s, x: checkpoint(lambda y: y * 2, x, use_reentrant=True)),
    ],
)
def test_a_network_that_no_gradient_goes_through_is_refused_by_name(
    wrap: Wrap, compact: Generator, module: Callable[[], Small]
) -> None:
    network = wrap(module())
    with pytest.raises(NetworkError, match="no gradient"):
        synthesize(network, compact, "fc", [Item(0, 0)], RECIPE)


def test_a_network_without_weights_is_refused_and_one_of_buffers_alone_works(
    wrap: Wrap, compact: Generator
) -> None:
    class Buffers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight: Tensor
            self.register_buffer("weight", torch.randn(4, 3, 3, 3))
            self.act = nn.Tanh()

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.act(F.conv2d(x, self.weight))
            return result

    with pytest.raises(NetworkError, match="no weights"):
        inspect(wrap(nn.Sequential(nn.AvgPool2d(2), nn.Flatten())))
    (picture,) = synthesize(wrap(Buffers()), compact, "act", [Item(0, 0)], RECIPE)
    assert picture.status == "done"


@pytest.mark.parametrize("error", [StopIteration(), IndexError("gone"), KeyError("x"), AttributeError("y")])
def test_whatever_a_network_raises_is_told_with_its_type(wrap: Wrap, error: Exception) -> None:
    def fail(s: Small, y: Tensor) -> Tensor:
        raise error

    with pytest.raises(NetworkError, match=f"cannot run on pictures of 16 pixels.*{type(error).__name__}"):
        inspect(wrap(Small(after=fail)))


def test_a_network_whose_part_knows_it_is_let_go(wrap: Wrap, compact: Generator) -> None:
    network = wrap(Small())
    vars(network.module.get_submodule("conv"))["owner"] = [network.module]
    inspect(network)
    synthesize(network, compact, "fc", [Item(0, 0)], RECIPE)
    module = weakref.ref(network.module)
    del network
    gc.collect()
    assert module() is None


@contextmanager
def float64_by_default() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


WHITENED = DgnAm(steps=3, learning_rate=0.2, space="whitened", start="prototypes", jitter=1, zoom=1.3)


@pytest.mark.parametrize(
    "recipe",
    [
        WHITENED.changed(precision="float32"),
        WHITENED,
        FourierParameters(steps=30, input_size=23, learning_rate=1.0),
        PixelParameters(steps=3, input_size=23),
    ],
    ids=["float32", "bfloat16", "fourier", "pixel"],
)
@pytest.mark.parametrize(
    "mode",
    [
        torch.inference_mode,
        torch.no_grad,
        float64_by_default,
        lambda: torch.device("meta"),
        lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    ],
    ids=["inference", "no_grad", "float64", "meta", "autocast"],
)
def test_the_callers_modes_change_nothing(
    wrap: Wrap,
    knowing: Generator,
    monkeypatch: pytest.MonkeyPatch,
    mode: Callable[[], AbstractContextManager[object]],
    recipe: BaseParameters,
) -> None:
    # As on a CPU with units for it.
    monkeypatch.setattr("imago_engine.synthesis.ascent.dtype_for", lambda name, device: getattr(torch, name))
    monkeypatch.setattr(
        "imago_engine.synthesis.techniques.dgn_am.dtype_for", lambda name, device: getattr(torch, name)
    )
    # It makes a tensor wherever the default is, as positions are made.
    network = wrap(Small(before=lambda s, x: x + torch.linspace(0, 1, x.shape[3], dtype=x.dtype)))
    (expected,) = synthesize(network, knowing, "fc", [Item(0, 0)], recipe)
    sizes = input_sizes(network)
    with mode():
        fresh = wrap(network.module)  # also its inspection
        (picture,) = synthesize(fresh, knowing, "fc", [Item(0, 0)], recipe)
        layers = inspect(fresh, 17)
        assert input_sizes(fresh) == sizes
    assert np.array_equal(picture.image, expected.image)
    assert np.array_equal(picture.trace, expected.trace)
    assert picture.trace.dtype == np.float32
    assert [layer.name for layer in layers] == ["conv", "fc"]


@pytest.mark.parametrize("mode", [float64_by_default, lambda: torch.device("meta"), torch.inference_mode])
def test_the_callers_modes_change_nothing_of_what_auto_chooses(
    wrap: Wrap, knowing: Generator, mode: Callable[[], AbstractContextManager[object]]
) -> None:
    recipe: dict[str, Any] = {"technique": "auto", "generator": knowing, "progress": False, "steps": 3}
    network = wrap(Small(before=lambda s, x: x + torch.linspace(0, 1, x.shape[3], dtype=x.dtype)))
    (expected,) = for_notebooks(network, "conv", 0, **recipe)
    assert expected.technique == "fourier"
    with mode():
        (picture,) = for_notebooks(wrap(network.module), "conv", 0, **recipe)
    assert np.array_equal(picture.image, expected.image)
    assert picture.parameters == expected.parameters
