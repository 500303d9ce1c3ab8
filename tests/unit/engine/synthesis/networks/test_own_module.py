"""`Network.of` with odd modules: each works, or is refused with what would be accepted."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from imago_engine import Network, Preprocessing, synthesize
from imago_engine.synthesis.networks.load import NetworkError

SMALL = Preprocessing(16, (0.5,) * 3, (0.25,) * 3)


def small(*more: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), *more)


class Keeps(nn.Module):
    """Passes on what it is given, and keeps something beside it."""

    def __init__(self, kept: Any) -> None:
        super().__init__()
        self.kept = kept

    def forward(self, x: Tensor) -> Tensor:
        return x


class KeepsState(Keeps):
    def get_extra_state(self) -> Any:
        return self.kept

    def set_extra_state(self, state: Any) -> None:
        self.kept = state


class TrainsSilently(Keeps):
    def train(self, mode: bool = True) -> "TrainsSilently":
        super().train(mode)
        return None  # type: ignore[return-value]


def with_buffer(buffer: Tensor) -> nn.Module:
    module = small()
    module.register_buffer("kept", buffer)
    return module


def made_and_run(network: Network) -> None:
    (picture,) = synthesize(network, "0", 0, technique="pixel", steps=2, progress=False)
    assert picture.status == "done"


@pytest.mark.parametrize(
    "make",
    [
        lambda: small(KeepsState({"a": [1, torch.ones(2)]})),
        lambda: small(TrainsSilently(None)),
        lambda: with_buffer(torch.eye(3).to_sparse()),
        lambda: with_buffer(torch.ones(2, dtype=torch.complex64).conj()),
        lambda: with_buffer(torch.zeros(3).to(torch.float8_e4m3fn)),
        lambda: with_buffer(torch.zeros(0)),
        lambda: with_buffer(torch.zeros((), dtype=torch.bool)),
        lambda: small().half(),
        lambda: small().double().train(),
    ],
    ids=["extra state", "silent train", "sparse", "conjugate", "float8", "empty", "bool", "half", "double"],
)
def test_whatever_a_module_keeps_it_can_be_used_and_named(make: Callable[[], nn.Module]) -> None:
    network = Network.of(make(), preprocessing=SMALL)
    made_and_run(network)
    assert network.weights_sha256 == Network.of(make(), preprocessing=SMALL).weights_sha256


def test_what_is_kept_beside_tensors_is_a_part_of_the_weights_name() -> None:
    one, other = (Network.of(small(KeepsState({"a": [1, torch.full((2,), n)]}))) for n in (1.0, 2.0))
    assert one.weights_sha256 != other.weights_sha256


def test_a_network_made_in_inference_mode_is_as_good_as_any() -> None:
    module = small()
    with torch.inference_mode():
        network = Network.of(module, preprocessing=SMALL)
    made_and_run(network)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*is deprecated:FutureWarning")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: nn.Sequential(nn.LazyConv2d(4, 3)), "0.weight has no shape yet"),
        (lambda: small().to("meta"), "0.weight is on the device meta"),
        (lambda: small(Keeps(threading.Lock())), "cannot be copied .*copy=False"),
        (lambda: torch.jit.script(small()), "expected the module it is made of"),
        (lambda: nn.Conv2d, "expected a torch.nn.Module"),
    ],
    ids=["lazy", "meta", "lock", "TorchScript", "class"],
)
def test_a_module_that_cannot_be_used_is_refused_with_the_reason(
    make: Callable[[], Any], reason: str
) -> None:
    with pytest.raises(NetworkError, match=reason):
        Network.of(make(), preprocessing=SMALL)


def test_what_cannot_be_copied_is_used_itself() -> None:
    made_and_run(Network.of(small(Keeps(threading.Lock())), preprocessing=SMALL, copy=False))


@pytest.mark.parametrize(
    ("preprocessing", "reason"),
    [
        (Preprocessing(0, (0.5,) * 3, (0.5,) * 3), "size: expected whole pixels"),
        (Preprocessing(16, (0.5,) * 2, (0.5,) * 3), "mean: expected three numbers"),  # type: ignore[arg-type]
        (Preprocessing(16, (float("nan"),) * 3, (0.5,) * 3), "mean: expected finite numbers"),
        (Preprocessing(16, (0.5,) * 3, (0.0,) * 3), "std: expected numbers from 1e-06 to 10"),
        (Preprocessing(16, (0.5,) * 3, (58.4, 57.1, 57.4)), "divide those of 0 to 255"),
        ((16, (0.5,) * 3, (0.5,) * 3), r"expected a Preprocessing\(size, mean, std\)"),
    ],
)
def test_a_preprocessing_that_no_network_has_is_refused(preprocessing: Any, reason: str) -> None:
    with pytest.raises(NetworkError, match=f"preprocessing.*{reason}"):
        Network.of(small(), preprocessing=preprocessing)


def test_a_preprocessing_of_lists_or_arrays_is_as_good_as_of_tuples() -> None:
    given = Preprocessing(16, [0.5] * 3, np.full(3, 0.25))  # type: ignore[arg-type]
    made_and_run(Network.of(small(), preprocessing=given))


@pytest.mark.parametrize("labels", [range(10), ["cat", None], [b"cat"], "cat", 3, None])
def test_labels_that_are_no_strings_are_named(labels: Any) -> None:
    with pytest.raises(NetworkError, match="labels: expected strings, one a class; got "):
        Network.of(small(), preprocessing=SMALL, labels=labels)


def test_labels_may_come_one_by_one() -> None:
    assert Network.of(small(), preprocessing=SMALL, labels=iter("abc")).labels == ("a", "b", "c")  # type: ignore[arg-type]


@pytest.mark.parametrize("bgr", [1, "no", None])
def test_an_order_of_colours_that_is_neither_is_named(bgr: Any) -> None:
    odd = Preprocessing(16, (0.5,) * 3, (0.25,) * 3, bgr)
    with pytest.raises(NetworkError, match=r"preprocessing\.bgr: expected true or false; got "):
        Network.of(small(), preprocessing=odd)
