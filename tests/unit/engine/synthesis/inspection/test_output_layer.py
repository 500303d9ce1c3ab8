"""`output` is the layer whose values the network returns, or there is none; predictions are made of what it
returns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from imago_engine.synthesis.ascent import Item, synthesize
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.inspection.anatomy import anatomy
from imago_engine.synthesis.inspection.layers import find_layer, inspect
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.truncate import LayerError, Prefix
from imago_engine.synthesis.stored_pixels import from_bytes
from imago_engine.techniques.dgn_am import DgnAm

Wrap = Callable[..., Network]
SIZE = 16
RECIPE = DgnAm(steps=2, learning_rate=0.2, decay=1.0, bounds="none", start="half-normal")


@dataclass
class Answer:
    logits: Tensor
    embedding: Tensor


class Heads(nn.Module):
    """A convolution, its pooled features and two heads; `join` makes of them what is returned."""

    def __init__(self, join: Callable[["Heads", Tensor], Any], **parts: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.join = join
        self.conv, self.pool = nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1)
        self.fc, self.second = nn.Linear(8, 5), nn.Linear(8, 5)
        self.projection = nn.Linear(8, 12)
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Any:
        return self.join(self, self.pool(self.conv(x).relu()).flatten(1))


def output_of(join: Callable[[Heads, Tensor], Any], **parts: nn.Module) -> str | None:
    return anatomy(Heads(join, **parts).eval().requires_grad_(False), SIZE).output


@pytest.mark.parametrize(
    "join",
    [
        lambda s, h: (s.fc(h) + s.second(h)) / 2,
        lambda s, h: s.fc(h) * 2,
        lambda s, h: torch.cat([s.fc(h), s.second(h)], 1),
        lambda s, h: (s.fc(h) + s.second(h)).softmax(1),
        lambda s, h: nn.functional.normalize(s.fc(h)),
        lambda s, h: (s.fc(h), s.second(h)),
        lambda s, h: [s.projection(h), s.fc(h)],
        lambda s, h: {"scores": s.fc(h), "embedding": s.projection(h)},
        lambda s, h: None,
        # A map of scores for each place, and the network returns their mean.
        lambda s, h: s.get_submodule("head")(h[:, :, None, None] * torch.eye(4)).mean((2, 3)),
    ],
)
def test_a_layer_whose_values_are_not_clearly_what_is_returned_is_not_the_output(join: Any) -> None:
    assert output_of(join, head=nn.Conv2d(8, 5, 1)) is None


@pytest.mark.parametrize(
    "join",
    [
        lambda s, h: s.fc(h),
        lambda s, h: s.fc(h).clone().squeeze(),
        lambda s, h: torch.softmax(s.fc(h), 1),
        lambda s, h: s.fc(h).log_softmax(1),
        lambda s, h: s.fc(h).sigmoid(),
        lambda s, h: s.get_submodule("last")(s.fc(h)),
        lambda s, h: (s.projection(h), s.fc(h))[1],
        lambda s, h: (s.fc(h),),
        lambda s, h: {"features": h[:, :, None], "scores": s.fc(h)},
        lambda s, h: {"embedding": s.projection(h), "logits": s.fc(h)},
        lambda s, h: Answer(s.fc(h), s.projection(h)),
    ],
)
def test_the_layer_whose_values_are_returned_is_the_output(join: Any) -> None:
    class OwnSoftmax(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.exp() / x.exp().sum(1, keepdim=True)

    assert output_of(join, last=OwnSoftmax()) == "fc"


def test_of_an_activation_in_place_the_result_is_the_output_and_not_what_it_wrote_over() -> None:
    assert output_of(lambda s, h: s.get_submodule("last")(s.fc(h)), last=nn.ReLU(inplace=True)) == "last"


def test_a_head_of_zeros_is_the_output_only_if_its_very_tensor_is_returned() -> None:
    def zeroed(join: Callable[[Heads, Tensor], Any]) -> str | None:
        module = Heads(join).eval().requires_grad_(False)
        for head in (module.fc, module.second):
            head.weight.zero_()
            head.bias.zero_()
        return anatomy(module, SIZE).output

    assert zeroed(lambda s, h: s.fc(h)) == "fc"
    assert zeroed(lambda s, h: (s.fc(h) + s.second(h)) / 2) is None


@pytest.mark.parametrize("join", [lambda s, h: s.fc(h.squeeze()), lambda s, h: s.fc(h[:, :, None].squeeze())])
def test_layers_behind_a_bare_squeeze_are_listed_and_run_in_any_group(
    wrap: Wrap, canvas: Generator, join: Any
) -> None:
    network = wrap(Heads(join))
    assert {layer.name: layer.units for layer in inspect(network)}["fc"] == 5
    assert find_layer(network, "output").name == "fc"
    (picture,) = synthesize(network, canvas, "output", [Item(3, 0)], RECIPE, group_size=1)
    assert picture.status == "done"


@pytest.mark.parametrize("alias", ["output", "logits"])
def test_a_hidden_module_named_like_the_logits_does_not_stand_for_them(wrap: Wrap, alias: str) -> None:
    def hidden(s: Heads, h: Tensor) -> Tensor:
        result: Tensor = s.fc(s.get_submodule(alias)(h).relu())
        return result

    network = wrap(Heads(hidden, **{alias: nn.Linear(8, 8)}))
    assert find_layer(network, alias).name == "fc"
    layer = find_layer(network, f".{alias}")
    assert (layer.name, layer.shape) == (f".{alias}", (8,))
    assert [info.name for info in inspect(network) if info.name.endswith(alias)] == [f".{alias}"]
    x = torch.rand(2, 3, SIZE, SIZE)
    assert torch.equal(Prefix(network.module, layer.name)(x), Prefix(network.module, alias)(x))


def test_a_module_named_output_that_gives_the_logits_keeps_its_name(wrap: Wrap) -> None:
    network = wrap(Heads(lambda s, h: s.get_submodule("output")(h), output=nn.Linear(8, 3)))
    assert [layer.name for layer in inspect(network) if layer.kind == "output"] == ["output"]


def test_without_an_output_the_answer_names_layers_that_there_are(wrap: Wrap) -> None:
    network = wrap(Heads(lambda s, h: s.fc(h) + s.second(h)))
    with pytest.raises(LayerError, match=r"none of its layers gives .* such as .*fc, second"):
        find_layer(network, "output")
    tuples = wrap(Heads(lambda s, h: (s.fc(h), s.projection(h))))
    with pytest.raises(LayerError, match=r"a tuple of \[N, 5\], \[N, 12\], and nothing tells"):
        find_layer(tuples, "logits")


@pytest.mark.parametrize(
    ("join", "told"),
    [
        (lambda s, h: s.fc(h), lambda result: result.softmax(1)),
        (lambda s, h: s.fc(h).softmax(1), lambda result: result),
        (lambda s, h: s.fc(h).log_softmax(1), lambda result: result.exp()),
        (lambda s, h: s.fc(h).sigmoid(), lambda result: result),
        (lambda s, h: nn.Sigmoid()(s.fc(h)), lambda result: result),
        (lambda s, h: {"logits": s.fc(h).sigmoid()}, lambda result: result["logits"]),
        (lambda s, h: s.fc(h) + s.second(h), lambda result: result.softmax(1)),
        (lambda s, h: (s.fc(h) + s.second(h)).softmax(1), lambda result: result),
        (lambda s, h: Answer(3 * s.fc(h), h), lambda result: result.logits.softmax(1)),
        (lambda s, h: {"logits": 3 * s.fc(h)}, lambda result: result["logits"].softmax(1)),
        (lambda s, h: s.fc(h).sigmoid() / 2 + s.second(h).sigmoid() / 2, None),
        (lambda s, h: (s.fc(h), s.projection(h)), None),
        (lambda s, h: h[:, :, None, None].expand(-1, -1, 4, 4), None),
    ],
)
def test_predictions_are_of_what_is_returned_or_there_are_none(
    wrap: Wrap, canvas: Generator, join: Any, told: Any
) -> None:
    network = wrap(Heads(join))
    (picture,) = synthesize(network, canvas, "conv", [Item(1, 0)], RECIPE)
    if told is None:
        assert picture.predictions is None
        return
    pixels = torch.from_numpy(picture.image.copy()).permute(2, 0, 1)[None]
    best = told(network.module(network.preprocessing(from_bytes(pixels))))[0].topk(5)
    assert picture.predictions is not None
    assert [index for index, _ in picture.predictions] == best.indices.tolist()
    assert [share for _, share in picture.predictions] == pytest.approx(best.values.tolist(), rel=1e-4)


def test_a_network_that_works_on_its_input_in_place_predicts_as_if_asked_once(
    wrap: Wrap, canvas: Generator
) -> None:
    class InPlace(Heads):
        def forward(self, x: Tensor) -> Any:
            return super().forward(x.sub_(0.4).mul_(3))

    network = wrap(InPlace(lambda s, h: s.fc(h)))
    (picture,) = synthesize(network, canvas, "conv", [Item(1, 0)], RECIPE.changed(steps=1))
    pixels = torch.from_numpy(picture.image.copy()).permute(2, 0, 1)[None]
    best = network.module(network.preprocessing(from_bytes(pixels)))[0].softmax(0).topk(5)
    assert picture.predictions is not None
    assert [share for _, share in picture.predictions] == pytest.approx(best.values.tolist(), rel=1e-4)
