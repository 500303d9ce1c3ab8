"""From ids to the networks that a training needs, and from its parts to a training."""

import torch

from imago_engine.trainings import TrainingSettings
from worker.synthesis.networks import load_network
from worker.training.bounds import statistics_of
from worker.training.encoding import Encoder
from worker.training.features import FeatureNetwork
from worker.training.placement import Placement
from worker.training.preparation import Prepared
from worker.training.recipes import Context, Recipe
from worker.training.schedule import Schedule
from worker.training.training import Training
from worker.training.world import ALONE, World

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
    world: World = ALONE,
) -> Training:
    """A training at its first step. Raises OptionsError, NetworkError or LayerError."""
    placement = placement or Placement()
    context = Context(
        index=prepared.index,
        statistics=statistics_of(prepared.codes[: prepared.index.train]),
        features=load_feature_network().to(placement.device),
        placement=placement,
        world=world,
    )
    return Training(prepared, recipe(options, context), schedule)
