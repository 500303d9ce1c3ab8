"""Starting from a generator that was trained before, without the rest of its training."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from imago_engine.synthesis.generators.architectures import STANDARD_FLOOR, Generator
from imago_engine.synthesis.generators.compact import CompactNetwork
from imago_engine.synthesis.generators.files import file_sha256, load_generator
from imago_engine.synthesis.generators.growing import grown, may_widen, widened
from imago_engine.training.recipes import OptionsError
from imago_engine.training.recipes.warm_start_checkpoint import facts_of_checkpoint, take_over
from imago_engine.training.results.code_statistics import CodeStatistics
from imago_engine.training.run.training import Training


@dataclass(frozen=True)
class WarmStart:
    """The file that a training started from, by its sha256; `anew` are the parts that it did not have."""

    sha256: str
    anew: tuple[str, ...]


def warm_start(training: Training, file: Path) -> WarmStart:
    """Put the weights of a generator file into a new training, as far as they fit: a generator of larger
    pictures takes over all but its last stages, a wider or deeper one draws the same at first, or softer
    pictures than a generator that was not smooth. The discriminator starts anew. Of a training's checkpoint
    all is taken over, and must fit.

    Raises GeneratorFileError for a file that is none, OptionsError for a generator of another kind.
    """
    if facts_of_checkpoint(file) is not None:
        take_over(training, file)
        return WarmStart(file_sha256(file), ())
    generator, index = load_generator(file), training.prepared.index
    recipe = training.recipe
    architecture, _ = recipe.architecture(recipe.options, index.code_shape)
    wanted = {
        "architecture": architecture,
        "encoder": index.encoder,
        "encoder_sha256": index.encoder_sha256,
    }
    for name, value in wanted.items():
        found = getattr(generator.info, name)
        if found != value:
            raise OptionsError(f"--warm-start {file}: expected a generator with {name} {value}, got {found}")
    network = recipe.modules[recipe.shipped]
    own, weights = network.state_dict(), _weights_for(network, generator, recipe.context.statistics)
    reads_code = next(iter(own))
    if reads_code not in weights or weights[reads_code].shape != own[reads_code].shape:
        raise OptionsError(
            f"--warm-start {file}: expected a generator of codes like {list(index.code_shape)} from layer "
            f"{index.encoder_layer}, got one of {list(generator.info.code_shape)} from "
            f"{generator.info.encoder_layer}"
        )
    fitting = _fitting(network, weights)
    for name in {"generator", recipe.shipped}:
        recipe.modules[name].load_state_dict(fitting, strict=False)
    anew = dict.fromkeys(n.rpartition(".")[0] for n in own if n not in fitting)
    return WarmStart(file_sha256(file), tuple(anew))


def _fitting(network: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those of the weights that the network has a place for; a compact network also takes smaller ones."""
    own = network.state_dict()
    known = {name: tensor for name, tensor in weights.items() if name in own}
    if isinstance(network, CompactNetwork) and may_widen(known, network):
        return {name: tensor for name, tensor in widened(known, network).items() if name in known}
    return {name: tensor for name, tensor in known.items() if own[name].shape == tensor.shape}


def _weights_for(network: nn.Module, generator: Generator, statistics: CodeStatistics) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = generator.network.state_dict()
    source = generator.network
    if not (isinstance(network, CompactNetwork) and isinstance(source, CompactNetwork)):
        return weights
    if network.subpixel and not source.subpixel:
        weights = grown(weights, network)
    read_alike = statistics.std.shape == generator.code_std.shape
    if network.place is not None and not read_alike and generator.code_std.ndim in (1, 3):
        # Both read a mean over places in units of a deviation: there of larger places, here of smaller ones.
        here, there = (
            std.flatten(1).mean(1) if std.ndim == 3 else std for std in (statistics.std, generator.code_std)
        )
        if here.shape == there.shape:
            ratio = (here + STANDARD_FLOOR) / (there + STANDARD_FLOOR)
            weights |= {"style.linear.weight": weights["style.linear.weight"] * ratio}
    return weights
