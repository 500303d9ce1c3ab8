"""From ids to the networks that a training needs."""

from worker.synthesis.networks import NetworkReference, load_network
from worker.training.encoding import Encoder
from worker.training.features import FeatureNetwork

FEATURE_NETWORK = "efficientnet_lite0.imagenet"


def load_encoder(network_id: str, layer: str, input_size: int | None) -> Encoder:
    """The encoder; `input_size` in pixels, None for the network's own. Raises NetworkError or LayerError."""
    network = load_network(NetworkReference.parse(network_id))
    return Encoder(network, layer, input_size or network.preprocessing.size)


def load_feature_network() -> FeatureNetwork:
    """The discriminator's feature network. It is a fresh copy: folding changes it."""
    return FeatureNetwork(load_network(NetworkReference.parse(FEATURE_NETWORK)).module)
