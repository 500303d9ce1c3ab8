"""Networks as people hold them: in wrappers, compiled, with weights that are computed, with names of any
characters, with layers of tokens, quantised."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, remove_spectral_norm, spectral_norm
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint

from imago_engine.synthesis.ascent import Item, Picture, synthesize
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.inspection.layers import find_layer, inspect
from imago_engine.synthesis.networks.load import Network, NetworkError
from imago_engine.synthesis.networks.truncate import LayerError
from imago_engine.techniques.dgn_am import DgnAm
from tests.unit.engine.synthesis.codes import code_of

Wrap = Callable[..., Network]
RECIPE = DgnAm(steps=3, learning_rate=0.2, decay=1.0, bounds="none", start="half-normal", precision="float32")


def bare() -> nn.Sequential:
    torch.manual_seed(0)
    features = [nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 5, 3)]
    return nn.Sequential(*features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4)).eval()


def compiled(module: nn.Module) -> nn.Module:
    # By a backend that needs no compiler; what it captures, and where it breaks off, is as with any other.
    return cast(nn.Module, torch.compile(module, backend="eager"))


class Checkpointed(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = checkpoint(self.inner, x, use_reentrant=False)
        return result


def compiled_and_run(module: nn.Module) -> nn.Module:
    result = compiled(module)
    result(torch.rand(1, 3, 16, 16))
    return result


WRAPPERS: dict[str, tuple[Callable[[nn.Module], nn.Module], str]] = {
    "data parallel": (nn.DataParallel, "module."),
    "averaged": (AveragedModel, "module."),
    "checkpointed": (Checkpointed, "inner."),
    "compiled": (compiled, "_orig_mod."),
    "compiled and run before": (compiled_and_run, "_orig_mod."),
    "part of which is compiled": (lambda module: nn.DataParallel(compiled(module)), "module._orig_mod."),
}


def assert_same(pictures: list[Picture], expected: list[Picture]) -> None:
    assert len(pictures) == len(expected)
    for picture, other in zip(pictures, expected, strict=True):
        np.testing.assert_allclose(code_of(picture), code_of(other), atol=1e-3)
        np.testing.assert_allclose(picture.trace, other.trace, atol=1e-3)
        assert picture.status == other.status == "done"
        assert picture.predictions is not None
        assert other.predictions is not None
        assert [index for index, _ in picture.predictions] == [index for index, _ in other.predictions]


@pytest.fixture
def _compile_anew() -> Iterator[None]:
    """What torch.compile has kept of the code of torch's own modules is kept for no other test."""
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("_compile_anew")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # of torch.compile
@pytest.mark.parametrize("kind", WRAPPERS)
def test_a_wrapped_network_has_the_layers_and_makes_the_pictures_of_the_bare_one(
    wrap: Wrap, compact: Generator, kind: str
) -> None:
    wrapper, prefix = WRAPPERS[kind]
    plain, network = wrap(bare()), wrap(wrapper(bare()))
    names = [layer.name for layer in inspect(network)]
    assert set(names) >= {prefix + layer.name for layer in inspect(plain)}
    assert find_layer(network, "output").shape == (4,)
    items = [Item(0, 0), Item(3, 1)]
    for name in ("2", "6"):
        expected = synthesize(plain, compact, name, items, RECIPE)
        assert_same(synthesize(network, compact, prefix + name, items, RECIPE), expected)


@pytest.mark.parametrize(
    ("compute", "fix"),
    [
        (parametrizations.weight_norm, lambda part: parametrize.remove_parametrizations(part, "weight")),
        (parametrizations.spectral_norm, lambda part: parametrize.remove_parametrizations(part, "weight")),
        (parametrizations.orthogonal, lambda part: parametrize.remove_parametrizations(part, "weight")),
        (spectral_norm, remove_spectral_norm),
    ],
    ids=["weight norm", "spectral norm", "orthogonal", "spectral norm of old"],
)
def test_weights_that_are_computed_make_the_pictures_of_the_weights_that_they_come_to(
    wrap: Wrap, compact: Generator, compute: Callable[..., nn.Module], fix: Callable[[nn.Module], nn.Module]
) -> None:
    computed, fixed = bare(), bare()
    for module in (computed, fixed):
        for name in ("0", "3", "6"):
            torch.manual_seed(1)  # both begin the power iteration alike
            compute(module.get_submodule(name))
        module.eval()
    for name in ("0", "3", "6"):
        fix(fixed.get_submodule(name))
    names = [layer.name for layer in inspect(wrap(fixed))]
    assert set(names) <= {layer.name for layer in inspect(wrap(computed))}
    for name in ("0", "3", "6"):
        made = [synthesize(wrap(m), compact, name, [Item(1, 0)], RECIPE) for m in (computed, fixed)]
        assert_same(*made)


def test_modules_may_have_names_of_any_characters(wrap: Wrap, compact: Generator) -> None:
    names = ["a/b", "c:d e", "ü", "100%", '"quoted"', "output ", "__"]

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.parts = nn.ModuleDict({name: nn.Conv2d(3, 3, 1) for name in names})

        def forward(self, x: Tensor) -> Tensor:
            for name in names:
                x = self.parts[name](x)
            return x

    network = wrap(Named())
    assert [layer.name for layer in inspect(network)] == [f"parts.{name}" for name in names]
    for name in names:
        (picture,) = synthesize(network, compact, f"parts.{name}", [Item(2, 0)], RECIPE)
        assert picture.status == "done"


class Tokens(nn.Module):
    """Patches of 4 × 4 pixels through a transformer and an LSTM to a classifier."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.transformer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.lstm = nn.LSTM(8, 8, batch_first=True)
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.transformer(self.patches(x).flatten(2).transpose(1, 2))
        result: Tensor = self.fc(self.lstm(tokens)[0][:, -1])
        return result


def test_what_a_transformer_and_an_lstm_list_has_pictures_and_the_rest_is_refused_by_name(
    wrap: Wrap, compact: Generator
) -> None:
    network = wrap(Tokens())
    names = [layer.name for layer in inspect(network)]
    assert {"patches", "transformer", "transformer.linear1", "fc"} <= set(names)
    for name in names:
        (picture,) = synthesize(network, compact, name, [Item(2, 0)], RECIPE)
        assert picture.status == "done"
        assert picture.predictions is not None
    for name in ("lstm", "transformer.self_attn"):  # they give tuples
        with pytest.raises(LayerError, match=f"'{name}' is none of"):
            synthesize(network, compact, name, [Item(0, 0)], RECIPE)


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:UserWarning")
def test_a_quantised_network_is_refused_because_no_gradient_leads_through_it(wrap: Wrap) -> None:
    quantization: Any = torch.ao.quantization  # it has no types
    engine = torch.backends.quantized.supported_engines[-1]
    layers = [nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 5, 3)]
    module = nn.Sequential(quantization.QuantStub(), *layers, quantization.DeQuantStub()).eval()
    module.qconfig = quantization.get_default_qconfig(engine)
    quantization.prepare(module, inplace=True)
    module(torch.rand(1, 3, 16, 16))
    quantization.convert(module, inplace=True)
    assert not list(module.parameters())  # they are packed: nothing but buffers tells the device
    with pytest.raises(NetworkError, match="no gradient"):
        inspect(wrap(module))
