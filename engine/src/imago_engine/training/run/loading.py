"""From ids to the networks that a training needs, and from its parts to a training."""

from pathlib import Path
from typing import TypeVar

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

Settings = TypeVar("Settings", bound=TrainingSettings)
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


def with_second_network(options: Settings) -> tuple[TappedNetwork | None, Settings]:
    """The network that judges beside the feature network, where the options name one, and the options with
    the hash of its weights where these are a file's. Raises NetworkError, or OptionsError for one that cannot
    judge or has other weights than the training was begun with.
    """
    name, file = getattr(options, "second_network", None), getattr(options, "second_weights", None)
    if name is None and file is not None:
        raise OptionsError(f"--second-weights: {Path(file).name} are of no network; name --second-network")
    if name is None:
        return None, options
    network = load_network(
        name if file is None else NetworkReference("second.own", "file", name, weights=file)
    )
    if file is not None:
        before, sha256 = getattr(options, "second_sha256", None), network.weights_sha256
        if before not in (None, sha256):
            raise OptionsError(
                f"--second-weights: {Path(file).name} has other weights than those that the training was "
                f"begun with; expected sha256 {before}, got {sha256}"
            )
        options = options.changed(second_sha256=sha256)
    try:
        return TappedNetwork(network, options.feature_size), options
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
    second, options = with_second_network(options)
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
