"""Along which direction of real codes a unit's activation grows: where the start `direction` goes.

Codes are taken in the coordinates of the generator's prior, in which real ones have variance 1 along every
axis. The direction of a unit is the slope of its activation by them, as long as 1:

- in the encoder's own network, of a layer that the codes lead to, by giving the network codes in the place of
  its own (`_encoded`);
- of all others by ridge regression on the pictures of typical codes, which the network sees once
  (`_regressed`): activation ≈ a + coordinates · slope. The ridge is as strong for every neuron of the code:
  a coordinate counts by how much codes vary along it. With 1,024 codes that comes as near to what the
  encoder's own network says (cosine 0.80) as half as many more do with one as strong for every coordinate.

What is regressed is what will be climbed, a channel at the place where it is read: the codes of 2×2 places
tell it better than its mean over the map. Of the logits' slopes their mean over all classes is taken off:
what raises all of them makes none more probable.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from threading import get_ident
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imago_engine.objectives import Place
from imago_engine.synthesis.fitting import Fit
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.inspection.anatomy import Anatomy, TracedLayer, anatomy
from imago_engine.synthesis.inspection.layers import find_layer
from imago_engine.synthesis.kept_looks import kept_looks
from imago_engine.synthesis.networks.hooks import After, Inputs, watching
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.modes import own_modes
from imago_engine.synthesis.networks.truncate import Prefix, submodule
from imago_engine.synthesis.objectives import UnitObjective
from imago_engine.synthesis.pictures import Item
from imago_engine.synthesis.remembered import Remembered
from imago_engine.synthesis.seeding import seeded
from imago_engine.synthesis.stored_pixels import from_bytes, to_bytes
from imago_engine.synthesis.thread_groups import Run, filled, thread_groups
from imago_engine.techniques import BaseParameters
from imago_engine.techniques.dgn_am import DgnAm

GROUP = 32
BLOCK = 8 * GROUP
"""Codes whose activations are held at a time."""
TOGETHER = 100_000
"""Units of layers that are looked at in one pass, at most: 128 MB of sums."""
VERSION = 1
"""Raised when directions are measured otherwise: those that were kept then count no more."""
STEP = 1.0
"""σ along an axis, to either side, between which a slope is measured where the network is given codes."""

_LOOKS: Remembered[dict[str, Tensor]] = Remembered(kept=4)


class Directions:
    """The directions of one layer's units, measured once for each network and generator and remembered."""

    def __init__(
        self, network: Network, generator: Generator, layer: TracedLayer, fit: Fit, parameters: DgnAm
    ) -> None:
        self._network, self._generator, self._layer, self._fit = network, generator, layer, fit
        self._parameters = parameters

    def of(self, items: Sequence[Item], run: Run) -> list[Tensor]:
        """Each item's direction, float32 [R] on the CPU; zeros for a unit that no code excites more than
        another."""
        places = UnitObjective(self._layer, [i.unit for i in items], [i.position for i in items]).positions
        known = {place: self._known(place, run) for place in set(places)}
        return [known[place][:, item.unit].float() for item, place in zip(items, places, strict=True)]

    def _known(self, place: Place, run: Run) -> Tensor:
        """Of all units of the layer at one place, [R, C]."""
        network, generator, parameters = self._network, self._generator, self._parameters
        layers = [Read(self._layer, place)]
        if place == self._layer.place:
            layers = looked_at_with(self._layer, network, generator, self._fit.input_size)

        def make() -> dict[str, Tensor]:
            return _kept_or_measured(network, generator, layers, self._fit, parameters, run)

        key = (layers[0], self._fit, network.dtype, parameters.direction_codes, parameters.direction_ridge)
        return _LOOKS.get(network.module, generator, key, make)[self._layer.name]


class Read(NamedTuple):
    """A layer, and the place where its units are read."""

    layer: TracedLayer
    place: Place


def looked_at_with(layer: TracedLayer, network: Network, generator: Generator, input_size: int) -> list[Read]:
    """The layers whose directions, each at its usual place, are measured in one pass with those of `layer`;
    always the same ones."""
    traced = anatomy(network.module, input_size)
    behind = _behind_encoder(network, generator, traced)
    parts: list[list[Read]] = [[]]
    for each in traced.layers.values():
        if (each.name in behind) != (layer.name in behind):
            continue
        if parts[-1] and sum(other.shape[0] for other, _ in parts[-1]) + each.shape[0] > TOGETHER:
            parts.append([])
        parts[-1].append(Read(each, each.place))
    return next(part for part in parts if Read(layer, layer.place) in part)


def _kept_or_measured(
    network: Network,
    generator: Generator,
    layers: Sequence[Read],
    fit: Fit,
    parameters: DgnAm,
    run: Run,
) -> dict[str, Tensor]:
    """As `look`, from where looks are kept if it is there: another process may have looked before."""
    kept = kept_looks()
    behind = _behind_encoder(network, generator, anatomy(network.module, fit.input_size))
    if kept is None or layers[0].layer.name in behind:  # the latter costs hardly more than fetching it
        return look(network, generator, layers, fit, parameters, run)
    facts = {
        "what": "directions",
        "version": VERSION,
        "input_size": fit.input_size,
        "fit": "crop" if fit.crops else "resize",
        "dtype": str(network.dtype),
        "codes": parameters.direction_codes,
        "ridge": parameters.direction_ridge,
        "layers": [[read.layer.name, *read.place] for read in layers],
    }
    found = kept.get(facts)
    size = generator.prior.axes.shape[0] if generator.prior is not None else 0
    shapes = {read.layer.name: (size, read.layer.shape[0]) for read in layers}
    if found is not None and {name: tuple(tensor.shape) for name, tensor in found.items()} == shapes:
        return found
    measured = look(network, generator, layers, fit, parameters, run)
    kept.put(facts, measured)
    return measured


def needs_directions(parameters: BaseParameters) -> bool:
    """Whether climbs by this recipe ask for the directions of units."""
    return isinstance(parameters, DgnAm) and parameters.start == "direction"


def look_ahead(
    network: Network,
    generator: Generator,
    layer: str,
    parameters: BaseParameters,
    on_pause: Callable[[], None] | None = None,
) -> None:
    """Measure now the directions that a climb of the layer's units, at their usual place, will ask for.

    For callers that time climbs. Nothing is done where the recipe needs none. `on_pause` is as `synthesize`
    has it. Raises as that does.
    """
    if not isinstance(parameters, DgnAm) or not needs_directions(parameters) or generator.prior is None:
        return
    size = parameters.input_size or network.preprocessing.size
    found, fit = find_layer(network, layer, size), Fit.plan(parameters.fit, generator.info.image_size, size)
    traced = anatomy(network.module, size)
    with own_modes(), thread_groups(network.device, on_pause) as run:
        if traced.flaw is not None and traced.flaw.cure == "seeded":
            run = seeded(run, network.device)
        Directions(network, generator, found, fit, parameters).of([Item(0, 0)], run)


def look(
    network: Network,
    generator: Generator,
    layers: Sequence[Read],
    fit: Fit,
    parameters: DgnAm,
    run: Run,
) -> dict[str, Tensor]:
    """The directions of all units of some layers that are looked at together, float16 [R, C] by their names.

    16 bits are what is kept of them: they are the same wherever they come from.
    """
    traced = anatomy(network.module, fit.input_size)
    watched = _Watched(network, layers)
    if layers[0].layer.name in _behind_encoder(network, generator, traced):
        slopes = _encoded(watched, generator, fit, run)
    else:
        slopes = _regressed(watched, generator, fit, parameters, run)
    if traced.output in slopes:
        slopes[traced.output] = slopes[traced.output] - slopes[traced.output].mean(1, keepdim=True)
    return {name: _unit_length(slope).half() for name, slope in slopes.items()}


def _unit_length(slopes: Tensor) -> Tensor:
    """[R, C] → each column as long as 1; one that is nothing, or no number, becomes zeros."""
    length = slopes.norm(dim=0)
    usable = length.isfinite() & (length > 0)
    return torch.where(usable, slopes / torch.where(usable, length, 1.0), 0.0)


def _behind_encoder(network: Network, generator: Generator, traced: Anatomy) -> set[str]:
    """The layers that the generator's codes lead to: of the encoder's own network, its layer and those after
    it."""
    names = list(traced.layers)
    encoder = generator.info.encoder_layer
    if network.weights_sha256 != generator.info.encoder_sha256 or encoder not in names:
        return set()
    return set(names[names.index(encoder) :])


class _Watched:
    """A network that runs until the last of some layers is done, and tells what each of them gave."""

    def __init__(self, network: Network, layers: Sequence[Read]) -> None:
        self.network = network
        self._modules = [(submodule(network.module, read.layer.name), read) for read in layers]
        last = layers[-1].layer
        self._prefix = Prefix(network.module, last.name, last.layout)

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> dict[str, Tensor]:
        """Of pictures [N, 3, S, S] in [0, 1], float32 [N, C] on the CPU by the layers' names."""
        found: dict[str, Tensor] = {}

        def keep(read: Read) -> After:
            def hook(module: nn.Module, inputs: Inputs, output: Any) -> None:
                if read.layer.name not in found:  # a later run of the same module is not the layer
                    found[read.layer.name] = _units(read, output)

            return hook

        x = self.network.preprocessing(pictures.to(self.network.device, self.network.dtype))
        with watching(after=[(module, keep(read)) for module, read in self._modules]):
            self._prefix(x)
        return found


def _units(read: Read, output: Tensor) -> Tensor:
    """A layer's output → its units at the place, float32 [N, C] on the CPU. A copy: networks write over what
    they gave."""
    units = read.layer.layout.units_first(output)
    if units.ndim == 4:
        units = units[:, :, read.place[0], read.place[1]]
    return units.to("cpu", torch.float32, copy=True).nan_to_num_(0, 0, 0)


def _regressed(
    watched: _Watched, generator: Generator, fit: Fit, parameters: DgnAm, run: Run
) -> dict[str, Tensor]:
    """Slopes [R, C] by ridge regression: (XᵀX / N + ridge · V⁻¹)⁻¹ XᵀA / N, where X are the coordinates of N
    codes, A the activations that their pictures cause, both without their means, and V how much codes vary
    along each axis, 1 in the mean."""
    assert generator.prior is not None
    prior, points = generator.prior, generator.prior.typical(parameters.direction_codes)
    centred = points - points.mean(0)  # [N, R]
    device = generator.code_mean.device

    @torch.no_grad()
    def seen(group: Tensor) -> dict[str, Tensor]:
        codes = prior.code(filled(group, GROUP).to(device)).to(generator.dtype)
        pictures = from_bytes(to_bytes(generator(codes)))
        return {name: found[: len(group)] for name, found in watched(fit(pictures)).items()}

    first: dict[str, Tensor] = {}  # [C]: taken off, so that what is the same for all codes has no slope
    sums: dict[str, Tensor] = {}
    for block, x in zip(torch.split(points, BLOCK), torch.split(centred, BLOCK), strict=True):
        parts = run(seen, torch.split(block, GROUP))
        first = first or {name: found[0].clone() for name, found in parts[0].items()}
        activations = {name: torch.cat([part[name] for part in parts]) - first[name] for name in first}
        # In one thread each: with more of them a sum is added up in another order.
        products = run(partial(_product, x.T, activations), list(first))  # [R, N] @ [N, C]
        for name, product in zip(first, products, strict=True):
            sums[name] = sums[name] + product if name in sums else product
    covariance = centred.T @ centred / len(points)
    variances = prior.axes.float().flatten(1).square().sum(1).cpu()  # [R]
    ridge = parameters.direction_ridge * variances.mean() / variances
    inverse = torch.linalg.inv(covariance + ridge.diag())
    return dict(zip(sums, run(partial(_product, inverse, sums), list(sums)), strict=True))


def _product(matrix: Tensor, of: Mapping[str, Tensor], name: str) -> Tensor:
    return matrix @ of[name]


def _encoded(watched: _Watched, generator: Generator, fit: Fit, run: Run) -> dict[str, Tensor]:
    """Slopes [R, C] where the network is given codes: differences between two codes along each axis."""
    assert generator.prior is not None
    network, prior = watched.network, generator.prior
    size, encoder = fit.input_size, submodule(network.module, generator.info.encoder_layer)
    axes = torch.eye(len(prior.axes), dtype=torch.float32)  # [R, R]
    grey = torch.full((GROUP, 3, size, size), 0.5, dtype=torch.float32)

    def given(group: Tensor) -> dict[str, Tensor]:
        codes = prior.code(filled(group, GROUP).to(prior.mean.device))
        with _instead(encoder, codes.to(network.device, network.dtype)):
            return {name: found[: len(group)] for name, found in watched(grey).items()}

    ahead, behind = (run(given, torch.split(sign * STEP * axes, GROUP)) for sign in (1, -1))
    return {
        name: torch.cat([a[name] - b[name] for a, b in zip(ahead, behind, strict=True)]) / (2 * STEP)
        for name in ahead[0]
    }


@contextmanager
def _instead(module: nn.Module, codes: Tensor) -> Iterator[None]:
    """Let a module give `codes` in the calling thread; places of a code are enlarged to those of its map."""
    owner = get_ident()

    def hook(_: nn.Module, inputs: Inputs, output: Tensor) -> Tensor | None:
        if get_ident() != owner:
            return None
        if output.ndim == 4 and codes.ndim == 4 and output.shape != codes.shape:
            return F.interpolate(codes, output.shape[2:], mode="nearest")
        return codes.view(output.shape)

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
