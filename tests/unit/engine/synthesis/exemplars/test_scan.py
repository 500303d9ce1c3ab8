"""What a scan finds of every unit is what looking at all activations at once would find."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from imago_engine.exemplars.quantiles import LEVELS
from imago_engine.networks import Preprocessing
from imago_engine.synthesis.exemplars.scan import BATCH, Scan, StateError
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.truncate import LayerError, Prefix

SIZE, PICTURES, KEPT = 16, 75, 5
LAYERS = ("first", "rectified", "second", "head")


class Small(nn.Module):
    """Maps, an activation that writes over them, and a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.rectified = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(6, 8, 3, stride=2)
        self.head = nn.Linear(8, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.rectified(self.first(x)))
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    module = Small().requires_grad_(False).eval()
    assert module.first.bias is not None
    module.first.bias[1] = -100  # after the ReLU this unit is dead
    return Network.of(module, preprocessing=Preprocessing(SIZE, (0.5,) * 3, (0.25,) * 3))


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    draw = torch.Generator().manual_seed(1)
    made = torch.randint(0, 256, (PICTURES, SIZE, SIZE, 3), generator=draw, dtype=torch.uint8)
    made[40] = made[3]  # equal activations: the one that came first counts
    return made


def scanned(
    network: Network, pictures: Tensor, first: int = 0, state: dict[str, Tensor] | None = None
) -> Scan:
    scan = Scan(network, LAYERS, kept=KEPT)
    if state is not None:
        scan.restore(state)
    for start in range(first, len(pictures), BATCH):
        part = pictures[start : start + BATCH]
        scan.look(part, range(start, start + len(part)))
    return scan


def maps(network: Network, layer: str, pictures: Tensor) -> np.ndarray:
    """All activations [N, C, places], in passes of the same pictures."""
    found = []
    for part in torch.split(pictures, BATCH):
        filled = torch.cat([part, part[:1].expand(BATCH - len(part), *part.shape[1:])])
        x = network.preprocessing(filled.permute(0, 3, 1, 2).float() / 255)
        output = Prefix(network.module, layer)(x)[: len(part)].clone()
        found.append(output.flatten(2) if output.ndim == 4 else output[..., None])
    return torch.cat(found).numpy()


def test_it_finds_the_strongest_pictures_that_all_activations_together_tell(
    network: Network, pictures: Tensor
) -> None:
    scan = scanned(network, pictures)
    assert [layer.name for layer in scan.layers] == list(LAYERS)
    for index, name in enumerate(LAYERS):
        all_of_it = maps(network, name, pictures)
        found, peaks = scan.found(index), all_of_it.max(2)
        for unit in range(peaks.shape[1]):
            order = np.lexsort((np.arange(PICTURES), -peaks[:, unit]))[:KEPT]
            assert found.pictures[unit].tolist() == order.tolist()
            np.testing.assert_array_equal(found.activations[unit], peaks[order, unit])
            places = [all_of_it[picture, unit].argmax() for picture in order]
            assert found.places[unit].tolist() == places


def test_of_equal_pictures_the_first_is_kept(network: Network, pictures: Tensor) -> None:
    twins = torch.stack([pictures[0], pictures[3], pictures[3], pictures[3]])
    scan = Scan(network, ["head"], kept=2)
    scan.look(twins[:2], [0, 1])
    scan.look(twins[2:], [2, 3])
    kept = scan.found(0).pictures
    assert kept.shape == (7, 2)
    assert set(kept.flatten().tolist()) <= {0, 1, 2}
    assert all(sorted(row) in ([0, 1], [1, 2]) for row in kept.tolist())


def test_quantiles_and_shares_are_those_of_all_activations(network: Network, pictures: Tensor) -> None:
    scan = scanned(network, pictures)
    for index, name in enumerate(LAYERS):
        all_of_it, found = maps(network, name, pictures), scan.found(index)
        peaks = all_of_it.max(2)
        y, x = scan.layers[index].place
        width = scan.layers[index].shape[2] if len(scan.layers[index].shape) > 1 else 1
        usual = all_of_it[:, :, y * width + x]
        assert found.counted.tolist() == [PICTURES] * peaks.shape[1]
        np.testing.assert_allclose(found.non_zero, (peaks != 0).mean(0), rtol=1e-6)
        for told, values in ((found.quantiles, peaks), (found.usual_quantiles, usual)):
            for level, column in zip(LEVELS, told.T, strict=True):
                for unit, value in enumerate(column.tolist()):
                    assert_quantile(values[:, unit], level, value)


def assert_quantile(values: np.ndarray, level: float, told: float) -> None:
    """What is told lies no more than one bin from a value that has so many below it."""
    wanted = np.sort(values)
    low = wanted[max(0, int(np.ceil(level * len(values))) - 1)]
    high = wanted[min(len(values) - 1, int(np.floor(level * len(values))))]
    slack = max(abs(low), abs(high), abs(told)) / 8 + np.abs(values).max() / 256
    assert low - slack <= told <= high + slack


def test_a_unit_that_nothing_excites_is_told_apart(network: Network, pictures: Tensor) -> None:
    found = scanned(network, pictures).found(LAYERS.index("rectified"))
    assert found.non_zero[1] == 0
    assert (found.quantiles[1] == 0).all()
    assert (found.non_zero[[0, 2, 3, 4, 5]] > 0).all()


def test_an_interrupted_scan_goes_on_to_the_same_result(network: Network, pictures: Tensor) -> None:
    whole = scanned(network, pictures).state()
    half = {name: tensor.clone() for name, tensor in scanned(network, pictures[:BATCH]).state().items()}
    resumed = scanned(network, pictures, first=BATCH, state=half).state()
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_what_is_held_does_not_grow_with_the_pictures(network: Network, pictures: Tensor) -> None:
    def sizes(scan: Scan) -> dict[str, Sequence[int]]:
        return {name: tensor.shape for name, tensor in scan.state().items()}

    assert sizes(scanned(network, pictures[:1])) == sizes(scanned(network, pictures))


class Relative(nn.Module):
    """Of a black picture all that it gives is 0 / 0."""

    def __init__(self) -> None:
        super().__init__()
        self.relative = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.relative(x / x.amax((1, 2, 3), keepdim=True))
        return maps


def test_activations_that_are_no_numbers_do_not_count(pictures: Tensor) -> None:
    module = Relative().requires_grad_(False).eval()
    scan = Scan(Network.of(module, preprocessing=Preprocessing(SIZE, (0.0,) * 3, (1.0,) * 3)), kept=3)
    black = torch.zeros_like(pictures[:1])
    scan.look(torch.cat([black, pictures[:2], black]), range(4))
    found = scan.found(0)
    assert found.counted.tolist() == [2, 2]
    assert torch.isfinite(found.quantiles).all()
    assert [sorted(row) for row in found.pictures.tolist()] == [[-1, 1, 2]] * 2


def test_the_state_of_another_scan_is_refused(network: Network) -> None:
    with pytest.raises(StateError):
        Scan(network, ["head"]).restore(Scan(network, ["second"]).state())


def test_a_layer_that_there_is_not_is_refused(network: Network) -> None:
    with pytest.raises(LayerError, match="heat"):
        Scan(network, ["heat"])


def test_all_layers_are_scanned_unless_some_are_named(network: Network) -> None:
    assert [layer.name for layer in Scan(network).layers] == list(LAYERS)
