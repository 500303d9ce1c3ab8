"""cuDNN gives no gradient through recurrent layers in eval mode: while they run on a GPU it is off
(tests/gpu/test_recurrent_networks.py)."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest
import torch
from torch import Tensor, nn

from imago_engine.synthesis.ascent import Item, synthesize
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.inspection.layers import inspect
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.recurrent import without_cudnn
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


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("layer", [None, nn.LSTM, nn.GRU, nn.RNN])
def test_on_the_cpu_networks_run_as_the_process_has_it(
    wrap: Wrap, compact: Generator, monkeypatch: pytest.MonkeyPatch, layer: Recurrent | None, before: bool
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "enabled", before)
    network = wrap(module := Rows(layer))
    inspect(network)
    for name in ("conv", "output"):
        synthesize(network, compact, name, [Item(1, 0), Item(2, 1)], RECIPE)
    assert module.with_cudnn == {before}
    assert torch.backends.cudnn.enabled is before


def test_runs_that_overlap_leave_cudnn_as_it_was() -> None:
    before = torch.backends.cudnn.enabled
    first, second = ExitStack(), ExitStack()
    first.enter_context(without_cudnn())
    second.enter_context(without_cudnn())
    first.close()
    assert not torch.backends.cudnn.enabled, "the second one still runs"
    second.close()
    assert torch.backends.cudnn.enabled is before


def test_cudnn_is_as_it_was_behind_a_run_that_fails() -> None:
    before = torch.backends.cudnn.enabled
    with pytest.raises(RuntimeError), without_cudnn():
        raise RuntimeError
    assert torch.backends.cudnn.enabled is before
