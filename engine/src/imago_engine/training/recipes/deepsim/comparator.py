"""The network in whose features a DeePSiM generator's pictures are compared with the real ones."""

from torch import Tensor

from imago_engine.synthesis.inspection.layers import inspect
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.truncate import LayerError, Prefix


class Comparator:
    """RGB in [0, 1], [N, 3, s, s] → features of one layer, differentiable.

    The published one is CaffeNet up to pool5. Where it is not at hand, any network of the catalog stands for
    it; the published weight of its loss is meant for CaffeNet's features, so look at the loss and weigh it
    anew.
    """

    def __init__(self, network: Network, layer: str) -> None:
        self.network_id, self.layer = network.id, layer
        self._preprocessing, self._prefix = network.preprocessing, Prefix(network.module, layer)

    def __call__(self, rgb: Tensor) -> Tensor:
        return self._prefix(self._preprocessing(rgb))


def last_layer_with_places(network: Network) -> str:
    """What pool5 is to CaffeNet: the last layer whose channels still have places. Raises LayerError when
    there is none.
    """
    spatial = [layer for layer in inspect(network) if layer.spatial is not None and max(layer.spatial) > 1]
    if not spatial:
        raise LayerError(f"{network.id} has no layer of channels with places; expected --comparator-layer")
    return spatial[-1].name
