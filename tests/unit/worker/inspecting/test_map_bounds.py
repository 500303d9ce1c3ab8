"""What the service says of a layer's map at another input size holds in the network itself."""

from pathlib import Path

import pytest

from imago_engine.networks import LayerInfo, NetworkReference
from imago_engine.synthesis.inspection.layers import inspect
from imago_engine.synthesis.networks.load import Network, load_network
from services.catalog.layers import Layer, map_at
from tests import small_world


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    folder: Path = tmp_path_factory.mktemp("network")
    small_world.write_network(folder)
    weights = str(folder / small_world.NETWORK_FILE)
    architecture = f"timm:{small_world.ARCHITECTURE}"
    return load_network(NetworkReference("small.random", "file", architecture, weights, small_world.CLASSES))


def _catalogued(info: LayerInfo) -> Layer:
    rest = (info.kind, info.units, info.spatial, info.receptive_field, info.stride)
    return Layer("small.random", info.name, 0, *rest)


@pytest.mark.parametrize("size", [96, 100, 160, 193, 320])
def test_no_layer_has_a_map_outside_of_its_bounds(network: Network, size: int) -> None:
    own = network.preprocessing.size
    here = {info.name: info for info in inspect(network, own)}
    told = 0
    for there in inspect(network, size):
        bounds = map_at(_catalogued(here[there.name]), own, size)
        if there.spatial is None or bounds.least is None or bounds.most is None:
            continue
        told += 1
        for side, least, most in zip(there.spatial, bounds.least, bounds.most, strict=True):
            assert least <= side <= most, there.name
    assert told > 10
