"""From ids to the networks that a training needs, and from its parts to a training."""

import torch

from imago_engine.synthesis.networks.load import load_network
from imago_engine.training.data.encoder import Encoder
from imago_engine.training.data.preparation import Prepared
from imago_engine.training.distributed.processes import ALONE, Processes
from imago_engine.training.recipes import Context, Recipe
from imago_engine.training.recipes.feature_network import FeatureNetwork
from imago_engine.training.results.code_statistics import statistics_of
from imago_engine.training.run.placement import Placement
from imago_engine.training.run.schedule import Schedule
from imago_engine.training.run.training import Training
from imago_engine.trainings import TrainingSettings

FEATURE_NETWORK = "efficientnet_lite0.imagenet"


def load_encoder(
    network_id: str,
    layer: str,
    input_size: int | None,
    device: torch.device | str = "cpu",
    grid: int | None = None,
) -> Encoder:
    """The encoder; `input_size` in pixels, None for the network's own. Raises NetworkError or LayerError."""
    network = load_network(network_id, device)
    return Encoder(network, layer, input_size or network.preprocessing.size, grid)


def load_feature_network() -> FeatureNetwork:
    """The feature network of discriminator and metrics. It is a fresh copy: folding changes it."""
    return FeatureNetwork(load_network(FEATURE_NETWORK).module)


def new_training(
    prepared: Prepared,
    recipe: type[Recipe],
    options: TrainingSettings,
    schedule: Schedule,
    placement: Placement | None = None,
    processes: Processes = ALONE,
) -> Training:
    """A training at its first step. Raises OptionsError, NetworkError or LayerError."""
    placement = placement or Placement()
    context = Context(
        index=prepared.index,
        statistics=statistics_of(prepared.codes[: prepared.index.train]),
        features=load_feature_network().to(placement.device),
        placement=placement,
        processes=processes,
    )
    return Training(prepared, recipe(options, context), schedule)
