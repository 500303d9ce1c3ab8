"""While the engine works, float32 is float32 on every device; afterwards the process is as it was."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from imago_engine.synthesis.networks.modes import own_modes

BACKENDS: Any = torch.backends
CUDNN = BACKENDS.cudnn


def switches() -> list[str]:
    return [part.fp32_precision for part in (CUDNN.conv, CUDNN.rnn, BACKENDS.cuda.matmul)]


@pytest.fixture(params=["as torch has it", "older switches", "newer switches"])
def before(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """What the caller has set."""
    if request.param == "older switches":
        torch.set_float32_matmul_precision("medium")
    if request.param == "newer switches":
        BACKENDS.fp32_precision = "tf32"
    yield switches()
    BACKENDS.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")
    CUDNN.allow_tf32 = True


def test_products_are_not_rounded_while_the_engine_works_and_the_process_is_as_before(
    before: list[str],
) -> None:
    assert "tf32" in before, "torch rounds convolutions unless told otherwise"
    with own_modes():
        with own_modes():
            assert not {"tf32", "bf16"} & set(switches())
        assert not {"tf32", "bf16"} & set(switches())
    assert switches() == before


def test_a_thread_that_ends_leaves_products_whole_for_another_that_works() -> None:
    before, entered, ended = switches(), threading.Event(), threading.Event()
    found: list[list[str]] = []

    def work() -> None:
        with own_modes():
            entered.set()
            ended.wait()
            found.append(switches())

    thread = threading.Thread(target=work)
    with own_modes():
        thread.start()
        entered.wait()
    ended.set()
    thread.join()
    assert "tf32" in before
    assert "tf32" not in found[0]
    assert switches() == before
    assert CUDNN.allow_tf32
    assert torch.get_float32_matmul_precision() == "highest"
