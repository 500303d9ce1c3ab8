"""cuDNN gives no gradient through recurrent layers in eval mode: while they run it is off."""

import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from imago_engine.synthesis.ascent import Item, synthesize
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.inspection.layers import inspect
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.recurrent import answer
from imago_engine.techniques.dgn_am import DgnAm

Wrap = Callable[..., Network]
Recurrent = type[nn.LSTM] | type[nn.GRU] | type[nn.RNN]
RECIPE = DgnAm(steps=2, learning_rate=0.2, decay=1.0, bounds="none", start="half-normal")


class Rows(nn.Module):
    """Reads a picture's columns one after the other, and notes whether cuDNN may take part."""

    def __init__(self, layer: Recurrent | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3)
        self.layer = layer(8, 8, batch_first=True) if layer is not None else None
        self.fc = nn.Linear(8, 4)
        self.with_cudnn: set[bool] = set()

    def forward(self, x: Tensor) -> Tensor:
        self.with_cudnn.add(torch.backends.cudnn.enabled)
        columns = self.conv(x).mean(2).transpose(1, 2)  # [N, W, 8]
        seen = columns if self.layer is None else self.layer(columns)[0]
        result: Tensor = self.fc(seen[:, -1])
        return result


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_recurrent_network_runs_without_cudnn(wrap: Wrap, compact: Generator, layer: Recurrent) -> None:
    before, module = torch.backends.cudnn.enabled, Rows(layer)
    network = wrap(module)
    inspect(network)
    for name in ("conv", "output"):
        synthesize(network, compact, name, [Item(1, 0), Item(2, 1)], RECIPE)
    assert module.with_cudnn == {False}
    assert torch.backends.cudnn.enabled is before


@pytest.mark.parametrize("before", [True, False])
def test_other_networks_run_as_the_process_has_it(
    wrap: Wrap, compact: Generator, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "enabled", before)
    module = Rows(None)
    synthesize(wrap(module), compact, "output", [Item(1, 0)], RECIPE)
    assert module.with_cudnn == {before}


class Meeting(Rows):
    """Stays in its run until it is let go."""

    def __init__(self) -> None:
        super().__init__(nn.LSTM)
        self.runs, self.go = threading.Event(), threading.Event()

    def forward(self, x: Tensor) -> Tensor:
        self.runs.set()
        assert self.go.wait(60)
        return super().forward(x)


def test_runs_that_overlap_leave_cudnn_as_it_was() -> None:
    before, first, second = torch.backends.cudnn.enabled, Meeting(), Meeting()
    threads = [threading.Thread(target=answer, args=(m, torch.rand(1, 3, 8, 8))) for m in (first, second)]
    for thread, module in zip(threads, (first, second), strict=True):
        thread.start()
        assert module.runs.wait(60)
    first.go.set()
    threads[0].join()
    assert not torch.backends.cudnn.enabled, "the second one still runs"
    second.go.set()
    threads[1].join()
    assert first.with_cudnn == second.with_cudnn == {False}
    assert torch.backends.cudnn.enabled is before


def test_cudnn_is_as_it_was_behind_a_run_that_fails() -> None:
    before = torch.backends.cudnn.enabled
    with pytest.raises(RuntimeError):
        answer(Rows(nn.GRU), torch.rand(1, 5, 8, 8))
    assert torch.backends.cudnn.enabled is before
