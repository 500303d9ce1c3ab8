"""From ids to the networks that a training needs, and from its parts to a training."""

import torch

from imago_engine.networks import NetworkReference
from imago_engine.synthesis.networks.load import load_network
from imago_engine.training.data.encoder import Encoder
from imago_engine.training.data.preparation import Prepared
from imago_engine.training.distributed.processes import ALONE, Processes
from imago_engine.training.recipes import Context, OptionsError, Recipe
from imago_engine.training.recipes.feature_network import FEATURE_NETWORK, FeatureNetwork
from imago_engine.training.recipes.tapped_network import TapError, TappedNetwork
from imago_engine.training.results.code_statistics import statistics_of
from imago_engine.training.results.prior import measured_prior
from imago_engine.training.run.placement import Placement
from imago_engine.training.run.schedule import Schedule
from imago_engine.training.run.training import Training
from imago_engine.trainings import TrainingSettings

PRIOR_CODES = 8192
"""Codes that a training's own prior is measured of: it only tells what an ascent may find."""


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


def load_second_network(options: TrainingSettings) -> TappedNetwork | None:
    """The network that judges beside the feature network, where the options name one. Raises NetworkError, or
    OptionsError for one that cannot judge.
    """
    name, file = getattr(options, "second_network", None), getattr(options, "second_weights", None)
    if name is None:
        return None
    network = load_network(
        name if file is None else NetworkReference("second.own", "file", name, weights=file)
    )
    try:
        return TappedNetwork(network, options.feature_size)
    except TapError as error:
        raise OptionsError(f"--second-network: {error}") from error


def new_training(
    prepared: Prepared,
    recipe: type[Recipe],
    options: TrainingSettings,
    schedule: Schedule,
    placement: Placement | None = None,
    processes: Processes = ALONE,
    *,
    resident: bool = False,
) -> Training:
    """A training at its first step; `resident` keeps its data on the device.

    Raises OptionsError, NetworkError or LayerError.
    """
    placement = placement or Placement()
    codes = prepared.codes[: prepared.index.train]
    statistics, prior = statistics_of(codes), None
    if getattr(options, "ascent_share", 0) or getattr(options, "reachable_share", 0):
        prior = measured_prior(codes[:: max(1, len(codes) // PRIOR_CODES)], statistics)
    second = load_second_network(options)
    context = Context(
        index=prepared.index,
        statistics=statistics,
        features=load_feature_network().to(placement.device),
        placement=placement,
        processes=processes,
        second=None if second is None else second.to(placement.device),
        prior=prior,
    )
    return Training(prepared, recipe(options, context), schedule, resident=resident)
