"""Along which direction of real codes a unit's activation grows: where the start `direction` goes.

Codes are taken in the coordinates of the generator's prior, in which real ones have variance 1 along every
axis. The direction of a unit is the slope of its activation by them, as long as 1:

- in the encoder's own network, of a layer that the codes lead to, by giving the network codes in the place of
  its own (`encoded_slopes`);
- of all others by ridge regression on the pictures of typical codes, which the network sees once
  (`regressed_slopes`): activation ≈ a + coordinates · slope. The ridge is as strong for every neuron of the
  code, so that a coordinate counts by how much codes vary along it; one as strong for every coordinate needs
  more codes for directions as good (docs/pictures.md).

What is regressed is what will be climbed, a channel at the place where it is read: the codes of 2×2 places
tell it better than its mean over the map. Of the slopes of logits whose softmax are probabilities their mean
over all classes is taken off: what raises all of them makes none more probable. Not so of classes that do not
exclude each other, each of which has a probability by itself.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from threading import get_ident

import torch
from torch import Tensor

from imago_engine.objectives import Place
from imago_engine.synthesis.computing.thread_groups import Run, thread_groups
from imago_engine.synthesis.directions.encoded_slopes import behind_encoder, encoded_slopes
from imago_engine.synthesis.directions.kept_looks import Facts, KeptLooks, kept_looks
from imago_engine.synthesis.directions.regressed_slopes import Sums, regressed_slopes
from imago_engine.synthesis.directions.watched_layers import Read, WatchedLayers
from imago_engine.synthesis.fitting import Fit
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.inspection.anatomy import TracedLayer, anatomy
from imago_engine.synthesis.inspection.layers import find_layer
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.modes import own_modes
from imago_engine.synthesis.objectives import UnitObjective
from imago_engine.synthesis.pictures import Item
from imago_engine.synthesis.remembered import Key, Remembered
from imago_engine.synthesis.seeding import cured
from imago_engine.synthesis.starts.prototype_pictures import prototype_pictures
from imago_engine.techniques import BaseParameters
from imago_engine.techniques.dgn_am import DgnAm, needs_directions

TOGETHER = 100_000
"""Units of layers that are looked at in one pass, at most: 128 MB of sums, and as
much of what is added to them."""
VERSION = 2
"""Raised when directions are measured otherwise: those that were kept then count no more."""

_LOOKS: Remembered[dict[str, Tensor]] = Remembered(kept=4)
_ELSEWHERE: Remembered[Tensor] = Remembered(kept=256)
"""Of one layer each, at a place other than its usual one."""
_BEGUN: Remembered[Sums] = Remembered(kept=2)
"""Of looks that were interrupted, or rest while their thread does something else: whoever needs the same one
meanwhile, in the same thread, goes on from there. Two, since another look may be made meanwhile too."""


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
        known = self._known(set(places), run)
        return [known[place][:, item.unit].float() for item, place in zip(items, places, strict=True)]

    def keep(self) -> None:
        """Have what is remembered of the layer, and of all that are looked at with it, kept with other looks,
        unless it is there: it was measured where nothing was kept, or while that could not be done."""
        network, generator = self._network, self._generator
        layers = looked_at_with(self._layer, network, generator, self._fit.input_size)
        key = _key(network, layers, self._fit, self._parameters)
        remembered = _LOOKS.known(network.module, generator, key)
        keeping = _keeping(network, generator, layers, self._fit, self._parameters)
        if remembered is not None and keeping is not None:
            kept, facts = keeping
            if kept.get(facts) is None:
                kept.put(facts, remembered)

    def _known(self, places: set[Place], run: Run) -> dict[Place, Tensor]:
        """Of all units of the layer at each of some places, [R, C]."""
        network, generator, layer, known = self._network, self._generator, self._layer, {}
        if layer.place in places:
            layers = looked_at_with(layer, network, generator, self._fit.input_size)
            key = _key(network, layers, self._fit, self._parameters)
            look = _LOOKS.get(network.module, generator, key, lambda: self._made([layers], run)[0])
            known[layer.place] = look[layer.name]
        others = sorted(places - {layer.place})
        keys = {place: _key(network, [Read(layer, place)], self._fit, self._parameters) for place in others}
        found = {place: _ELSEWHERE.known(network.module, generator, key) for place, key in keys.items()}
        known |= {place: tensor for place, tensor in found.items() if tensor is not None}
        unknown = [place for place in others if place not in known]
        # All of them in as few passes as may be: what takes long is to draw and see the codes' pictures.
        together = max(1, TOGETHER // layer.shape[0])
        for part in (unknown[i : i + together] for i in range(0, len(unknown), together)):
            made = self._made([[Read(layer, place)] for place in part], run)
            known |= {place: look[layer.name] for place, look in zip(part, made, strict=True)}
        for place, key in keys.items():
            _ELSEWHERE.get(network.module, generator, key, partial(known.__getitem__, place))
        return known

    def _made(self, looks: Sequence[list[Read]], run: Run) -> list[dict[str, Tensor]]:
        return _kept_or_measured(self._network, self._generator, looks, self._fit, self._parameters, run)


def _key(network: Network, layers: Sequence[Read], fit: Fit, parameters: DgnAm) -> Key:
    """What determines a look at these layers, beside the network and the generator."""
    return layers[0], fit, network.dtype, parameters.direction_codes, parameters.direction_ridge


def looked_at_with(layer: TracedLayer, network: Network, generator: Generator, input_size: int) -> list[Read]:
    """The layers whose directions, each at its usual place, are measured in one pass with those of `layer`;
    always the same ones."""
    traced, behind = anatomy(network.module, input_size), behind_encoder(network, generator, input_size)
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
    looks: Sequence[list[Read]],
    fit: Fit,
    parameters: DgnAm,
    run: Run,
) -> list[dict[str, Tensor]]:
    """The directions of each look by its layers' names, from where looks are kept if they are there: another
    process may have looked before. All others are made in one pass, and each is kept by itself."""
    keeping = [_keeping(network, generator, layers, fit, parameters) for layers in looks]
    found = [None if at is None else at[0].get(at[1]) for at in keeping]
    size = generator.prior.axes.shape[0] if generator.prior is not None else 0
    for n, layers in enumerate(looks):
        shapes = {read.layer.name: (size, read.layer.shape[0]) for read in layers}
        kept = found[n]
        if kept is not None and {name: tuple(tensor.shape) for name, tensor in kept.items()} != shapes:
            found[n] = None
    missing = [n for n, kept in enumerate(found) if kept is None]
    if missing:
        told = keeping[missing[0]]
        on_codes = [] if told is None else [partial(told[0].note, told[1])]
        reads = [read for n in missing for read in looks[n]]
        measured = look(network, generator, reads, fit, parameters, run, *on_codes)
        for n in missing:
            made = {read.layer.name: measured[read] for read in looks[n]}
            found[n], at = made, keeping[n]
            if at is not None:
                at[0].put(at[1], made)
    return [directions for directions in found if directions is not None]


def _keeping(
    network: Network, generator: Generator, layers: Sequence[Read], fit: Fit, parameters: DgnAm
) -> tuple[KeptLooks, Facts] | None:
    """Where a look at these layers is kept, and under which facts. None where it is kept nowhere."""
    kept, traced = kept_looks(), anatomy(network.module, fit.input_size)
    behind = behind_encoder(network, generator, fit.input_size)
    if kept is None or layers[0].layer.name in behind:  # the latter costs hardly more than fetching it
        return None
    facts = {
        "what": "directions",
        "version": VERSION,
        "input_size": fit.input_size,
        "fit": "crop" if fit.crops else "resize",
        "dtype": str(network.dtype),
        "codes": parameters.direction_codes,
        "ridge": parameters.direction_ridge,
        "layers": [[read.layer.name, *read.place] for read in layers],
        # Earlier releases took the mean over all classes off whatever makes probabilities of them.
        **({} if traced.squash == "softmax" else {"squash": traced.squash}),
    }
    return kept, facts


def look_ahead(
    network: Network,
    generator: Generator,
    layer: str,
    parameters: BaseParameters,
    on_pause: Callable[[], None] | None = None,
    places: Collection[Place | None] = (None,),
) -> None:
    """Measure now the directions that a climb of the layer's units at these places will ask for; None is
    their usual one.

    For callers that time climbs. Nothing is done where the recipe needs none, nor for places that the layer
    has not, which the climb will say. `on_pause` is as `synthesize` has it. Raises as that does.
    """
    if not needs_directions(parameters) or generator.prior is None:
        return
    size = parameters.input_size or network.preprocessing.size
    found = find_layer(network, layer, size)
    there = [place for place in places if place is None or _has(found, place)]
    _look_at(network, generator, [found], parameters, size, on_pause, there)


def _has(layer: TracedLayer, place: Place) -> bool:
    y, x = place
    return len(layer.shape) == 3 and 0 <= y < layer.shape[1] and 0 <= x < layer.shape[2]


def look_at_all(
    network: Network,
    generator: Generator,
    parameters: BaseParameters,
    on_pause: Callable[[], None] | None = None,
) -> None:
    """As `look_ahead`, of every layer whose directions are regressed: those of the others are not kept, and
    cost hardly anything. What is remembered but not kept is kept now. The pictures of the generator's
    prototypes are drawn as well, for which the first climb with it would wait."""
    if not needs_directions(parameters) or generator.prior is None:
        return
    size = parameters.input_size or network.preprocessing.size
    traced, behind = anatomy(network.module, size), behind_encoder(network, generator, size)
    left = {name: found for name, found in traced.layers.items() if name not in behind}
    firsts = []
    while left:
        firsts.append(next(iter(left.values())))
        for read in looked_at_with(firsts[-1], network, generator, size):
            left.pop(read.layer.name)
    fit = Fit.plan(parameters.fit, generator.info.image_size, size)
    for layer in firsts:
        Directions(network, generator, layer, fit, parameters).keep()
    _look_at(network, generator, firsts, parameters, size, on_pause)
    with own_modes(), thread_groups(network.device, on_pause) as run:
        prototype_pictures(generator, run)


def _look_at(
    network: Network,
    generator: Generator,
    layers: Sequence[TracedLayer],
    parameters: DgnAm,
    size: int,
    on_pause: Callable[[], None] | None,
    places: Iterable[Place | None] = (None,),
) -> None:
    """Measure the directions of these layers at some places, and of all that are looked at with them."""
    fit, traced = Fit.plan(parameters.fit, generator.info.image_size, size), anatomy(network.module, size)
    with own_modes(), thread_groups(network.device, on_pause) as run:
        alike, items = cured(run, traced.flaw, network.device), [Item(0, 0, place) for place in places]
        for layer in layers:
            Directions(network, generator, layer, fit, parameters).of(items, alike)


def look(
    network: Network,
    generator: Generator,
    layers: Sequence[Read],
    fit: Fit,
    parameters: DgnAm,
    run: Run,
    on_codes: Callable[[int, int], None] = lambda seen, of: None,
) -> dict[Read, Tensor]:
    """The directions of all units of some layers that are looked at together, each at its place, float16
    [R, C].

    16 bits are what is kept of them: they are the same wherever they come from. `on_codes` is as
    `regressed_slopes` has it.
    """
    traced = anatomy(network.module, fit.input_size)
    watched = WatchedLayers(network, layers)
    if layers[0].layer.name in behind_encoder(network, generator, fit.input_size):
        slopes = encoded_slopes(watched, generator, fit.input_size, run)
    else:
        begun = (*_key(network, layers, fit, parameters), *layers, get_ident())
        sums = _BEGUN.get(network.module, generator, begun, Sums)
        slopes = regressed_slopes(watched, generator, fit, parameters, run, sums, on_codes)
        _BEGUN.forget(network.module, generator, begun)
    if traced.squash == "softmax":
        for read in (read for read in slopes if read.layer.name == traced.output):
            slopes[read] = slopes[read] - slopes[read].mean(1, keepdim=True)
    return {read: _unit_length(slope).half() for read, slope in slopes.items()}


def _unit_length(slopes: Tensor) -> Tensor:
    """[R, C] → each column as long as 1; one that is nothing, or no number, becomes zeros."""
    length = slopes.norm(dim=0)
    usable = length.isfinite() & (length > 0)
    return torch.where(usable, slopes / torch.where(usable, length, 1.0), 0.0)
