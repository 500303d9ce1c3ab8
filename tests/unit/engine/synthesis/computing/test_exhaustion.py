"""Memory that runs out says nothing of a network: it is raised as it is."""

from collections.abc import Callable
from typing import Any, NoReturn

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from imago_engine.networks import InputSizes, NetworkReference
from imago_engine.synthesis.inspection.input_sizes import input_sizes
from imago_engine.synthesis.networks.load import Network, NetworkError
from imago_engine.synthesis.sources import timm_hub, torchvision_hub

EXHAUSTED = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("can't allocate memory"),
]
exhausted = pytest.mark.parametrize("error", EXHAUSTED, ids=lambda error: type(error).__name__)
OTHER = RuntimeError("shapes cannot be multiplied")


class Hungry(nn.Module):
    """Its own size is 16; fails at all below it, or all from `above` on."""

    def __init__(self, error: Exception, *, above: int | None = None) -> None:
        super().__init__()
        self.error, self.above, self.fc = error, above, nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-1]
        if size < 16 if self.above is None else size >= self.above:
            raise self.error
        result: Tensor = self.fc(x.mean((2, 3)))
        return result


def failing(error: Exception) -> Callable[..., NoReturn]:
    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    return fail


@exhausted
def test_no_size_below_the_own_one_is_refused_for_it(wrap: Callable[..., Network], error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        input_sizes(wrap(Hungry(error)))
    assert caught.value is error
    assert input_sizes(wrap(Hungry(OTHER))).least == 16


@exhausted
@pytest.mark.parametrize("above", [17, 21, 64, 200])
def test_above_the_own_size_it_leaves_this_as_the_largest(
    wrap: Callable[..., Network], error: Exception, above: int
) -> None:
    """At the next size, some steps on, and at the first or the last of the usual ones."""
    everything = input_sizes(wrap(Hungry(error, above=1000)))
    found = input_sizes(wrap(Hungry(error, above=above)))
    assert (everything.step, everything.most) == (1, None)
    assert found == InputSizes(16, 1, everything.least, 16)


@exhausted
def test_at_the_own_size_it_is_raised(wrap: Callable[..., Network], error: Exception) -> None:
    with pytest.raises(type(error)):
        input_sizes(wrap(Hungry(error, above=16)))


@exhausted
@pytest.mark.parametrize(
    ("hub", "library", "function"),
    [(timm_hub, timm, "create_model"), (torchvision_hub, torchvision.models, "get_model")],
)
def test_no_architecture_is_refused_for_it(
    monkeypatch: pytest.MonkeyPatch, hub: Any, library: Any, function: str, error: Exception
) -> None:
    monkeypatch.setattr(library, function, failing(error))
    with pytest.raises(type(error)) as caught:
        hub.build("resnet18", {}, 10, 64)
    assert caught.value is error
    monkeypatch.setattr(library, function, failing(OTHER))
    with pytest.raises(NetworkError, match="cannot be made"):
        hub.build("resnet18", {}, 10, 64)


@exhausted
def test_no_download_is_blamed_for_it(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(timm_hub, "_check_downloadable", lambda config: "a hub")
    monkeypatch.setattr(timm, "create_model", failing(error))
    with pytest.raises(type(error)) as caught:
        timm_hub.Timm().load(NetworkReference.parse("resnet18.a1_in1k"))
    assert caught.value is error
