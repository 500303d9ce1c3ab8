"""Networks with recurrent layers have pictures on a GPU too, though cuDNN gives no gradient through them."""

import pytest
import torch
from torch import Tensor, nn

from imago_engine.networks import Preprocessing
from imago_engine.synthesis import DgnAm, Generator, Item, Network, synthesize
from imago_engine.synthesis.inspection.layers import inspect

Recurrent = type[nn.LSTM] | type[nn.GRU] | type[nn.RNN]


class Rows(nn.Module):
    """Reads a picture's columns one after the other, and notes whether cuDNN may take part."""

    def __init__(self, layer: Recurrent) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3)
        self.layer = layer(8, 8, batch_first=True)
        self.fc = nn.Linear(8, 4)
        self.with_cudnn: set[bool] = set()

    def forward(self, x: Tensor) -> Tensor:
        self.with_cudnn.add(torch.backends.cudnn.enabled)
        columns = self.conv(x).mean(2).transpose(1, 2)  # [N, W, 8]
        result: Tensor = self.fc(self.layer(columns)[0][:, -1])
        return result


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_recurrent_network_has_pictures(layer: Recurrent, shipped: Generator, device: torch.device) -> None:
    plain = Preprocessing(64, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    before, module = torch.backends.cudnn.enabled, Rows(layer).to(device)
    network = Network.of(module, preprocessing=plain, copy=False)
    assert {"conv", "fc"} <= {info.name for info in inspect(network)}
    (picture,) = synthesize(network, shipped, "output", [Item(1, 0)], DgnAm(steps=3))
    assert picture.status == "done"
    assert module.with_cudnn == {False}
    assert torch.backends.cudnn.enabled is before
