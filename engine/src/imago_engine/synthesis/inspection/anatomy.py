"""What a network consists of, found by running it.

Which layers run, in what order, their shapes and receptive fields, which of them gives the logits, whether a
gradient reaches them, and whether the network answers a picture the same way each time.
"""

import math
import threading
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from imago_engine.networks import OUTPUT_ALIASES
from imago_engine.synthesis.inspection.consistency import Flaw, find_flaw
from imago_engine.synthesis.inspection.gradient_reach import Also, reached_layers
from imago_engine.synthesis.inspection.layer_kinds import layer_kind
from imago_engine.synthesis.inspection.layout_finder import LayoutFinder
from imago_engine.synthesis.inspection.output_layer import SQUASHES, Lineage, Output, Squash, find_output
from imago_engine.synthesis.inspection.returned_scores import Scores, describe, find_scores
from imago_engine.synthesis.inspection.usual_token import usual_tokens
from imago_engine.synthesis.networks.hooks import Inputs
from imago_engine.synthesis.networks.layouts import Layout
from imago_engine.synthesis.networks.modes import own_modes
from imago_engine.synthesis.networks.run import CannotRun, Run, Watched, sampled, test_pictures
from imago_engine.synthesis.receptive_fields.receptive_field import ReceptiveField
from imago_engine.synthesis.receptive_fields.tracking import FieldTracker
from imago_engine.synthesis.sources.network_source import NetworkError


@dataclass(frozen=True)
class TracedLayer:
    """A layer as it was found in a run of the network."""

    name: str
    """Dotted; a module whose own name is an alias of the logits, and that is not theirs, has a dot before
    it."""
    kind: str
    """What people call it: `networks.LayerInfo` lists the kinds."""
    shape: tuple[int, ...]
    """[C] or [C, H, W]; T tokens are a map of T rows and one column, [C, T, 1]."""
    field: ReceptiveField | None
    """What a unit sees; None where that is the whole input, or not known."""
    layout: Layout
    """The order of the axes in the network, of which `shape` is the one with the units first."""
    token: int = 0
    """The usual token of a layer of tokens."""
    class_token: int | None = None
    """The same, as `LayerInfo` has it."""

    @property
    def tokens(self) -> int | None:
        """How many tokens it has, None for a layer without."""
        return self.shape[1] if self.layout is Layout.TOKENS else None

    @property
    def spatial(self) -> tuple[int, int] | None:
        """(H, W) of its map, None for a vector and for tokens."""
        return (self.shape[1], self.shape[2]) if len(self.shape) == 3 and self.tokens is None else None

    @property
    def place(self) -> tuple[int, int]:
        """(y, x) where a unit is read unless another place is asked for: the centre of its map; of tokens
        (token, 0)."""
        if self.layout is Layout.TOKENS:
            return self.token, 0
        height, width = self.spatial or (1, 1)
        return height // 2, width // 2


@dataclass(frozen=True)
class Anatomy:
    """What was found in a network. It holds on to no part of it."""

    layers: dict[str, TracedLayer]
    """By name, in the order in which they finish."""
    output: str | None
    """Name of the layer of the logits."""
    no_output: str
    """Why there is no such layer; empty where there is one."""
    scores: Scores | None
    """Where in its result the network returns its classes' scores, None where that is not clear."""
    cut_off: frozenset[str]
    """Layers that no gradient reaches from the input."""
    flaw: Flaw | None
    """Why its pictures might differ from time to time."""
    least_batch: int
    """2 for a network that drops the batch of one picture, else 1."""
    squash: Squash = "softmax"
    """What makes its classes' probabilities of the logits of its output layer."""

    @property
    def vectors(self) -> list[TracedLayer]:
        """The layers that give one number a unit, more than one unit."""
        return [layer for layer in self.layers.values() if math.prod(layer.shape) == layer.shape[0] > 1]


_known: WeakKeyDictionary[nn.Module, dict[int, Anatomy]] = WeakKeyDictionary()
_lock = threading.Lock()


def anatomy(module: nn.Module, input_size: int) -> Anatomy:
    """Look into `module` with pictures of `input_size` pixels; later calls are answered from memory.

    Raises `NetworkError` when the network cannot run at that size, or when no gradient leads through it.
    """
    with _lock:
        known = _known.setdefault(module, {})
    if input_size not in known:
        with own_modes():
            known[input_size] = _Look(module, input_size).anatomy()
    return known[input_size]


class _Look:
    """A few runs on two test pictures: b and a together, a alone with its gradient, and b alone; if they make
    another thing of one of the two, or draw random numbers, more of them."""

    def __init__(self, module: nn.Module, input_size: int) -> None:
        self._pictures = test_pictures(module, input_size)
        self._watched = Watched(module)
        self._layers: dict[str, TracedLayer] = {}
        self._lineage = Lineage()
        self._layouts = LayoutFinder()

    def anatomy(self) -> Anatomy:
        b, a = self._pictures[:1], self._pictures[1:]
        with self._watched.watching():
            with torch.no_grad():
                both = self._trace()
            if not self._layers:
                raise NetworkError(
                    "none of the network's modules gives units: its own code or TorchScript does the work; "
                    "expected modules (torch.nn) that it runs by name, with results [N, C] or [N, C, H, W]"
                )
            alone, reached = self._alone(a)
            other = self._look_only(b) if alone is not None else None
            flaw = find_flaw(both, (other, alone), self._twice)
            scores = find_scores(both.result)
            least_batch = 2 if alone is None or alone.dropped_batch else 1
            self._choose_tokens(a, scores, least_batch)
        cut_off = frozenset(self._layers) - reached
        output, no_output = self._output(both, alone, scores, cut_off)
        name = None if output is None else output.name
        layers = [
            _named(layer, name) for layer_name, layer in self._layers.items() if layer_name not in cut_off
        ]
        return Anatomy(
            layers={layer.name: layer for layer in layers},
            output=name,
            no_output=no_output,
            scores=scores,
            cut_off=cut_off,
            flaw=flaw,
            least_batch=least_batch,
            squash="softmax" if output is None else output.squash,
        )

    def _trace(self) -> Run:
        """The run that finds the layers, with all operations watched."""
        run, layers, lineage = Run(), self._layers, self._lineage
        tracker = FieldTracker(self._pictures)

        def note(name: str, part: nn.Module, inputs: Inputs, output: Tensor, first: bool) -> None:
            if inputs:
                tracker.carry(part, inputs[0], output)
            if not first:
                return
            placed = tracker.placed(output)
            with tracker.resting():
                layout = self._layouts.layout(part, output, placed)
                if layout is None:
                    return
                shape = tuple(layout.units_first(output).shape[1:])
                run.samples[name] = sampled(output)
            told = placed is not None and placed.least_window == 1
            field = placed.field if placed and told else None
            layers[name] = TracedLayer(name, layer_kind(part), shape, field, layout)
            if math.prod(shape) == shape[0]:
                lineage.given[name] = output
                if isinstance(part, SQUASHES) and inputs and isinstance(inputs[0], Tensor):
                    lineage.squashes.add(name)
                    lineage.taken[name] = inputs[0]

        with tracker:
            self._watched.run(self._pictures, note, run)
        return run

    def _look(self, pictures: Tensor, also: Also = lambda name, output: None) -> Run:
        """A run that looks at the values of the known layers. `also` is told all their outputs, those too
        that lack the batch of one picture."""
        run, count = Run(), len(pictures)

        def note(name: str, part: nn.Module, inputs: Inputs, output: Tensor, first: bool) -> None:
            known = self._layers.get(name)
            if known is None or not first:
                return
            shape = known.layout.as_given(known.shape)
            lacks_batch = count == 1 and output.shape == shape
            if lacks_batch or output.shape == (count, *shape):
                also(name, output)
                run.samples[name] = sampled(output[None] if lacks_batch else output)
                run.dropped_batch |= lacks_batch

        self._watched.run(pictures, note, run)
        return run

    @torch.no_grad()
    def _look_only(self, pictures: Tensor) -> Run:
        return self._look(pictures)

    def _twice(self, place: int) -> Run:
        picture = self._pictures[place : place + 1]
        return self._look_only(torch.cat([picture, picture]))

    def _alone(self, a: Tensor) -> tuple[Run | None, frozenset[str]]:
        """The run on one picture, or None if the network runs on no less than two, and the layers that a
        gradient reaches. Raises `NetworkError` where there are none."""
        try:
            return reached_layers(a, self._look)
        except CannotRun:
            return None, reached_layers(torch.cat([a, a]), self._look)[1]

    def _choose_tokens(self, a: Tensor, scores: Scores | None, least_batch: int) -> None:
        """Tell each layer of tokens the usual one."""
        counts = {name: layer.tokens for name, layer in self._layers.items() if layer.tokens is not None}
        if not counts:
            return
        usual = usual_tokens(self._layouts.special, counts, a, scores, self._look, least_batch)
        for name, token in usual.items():
            special = self._layouts.special.get(counts[name], ())
            # Behind patches its number would change with the size of the picture.
            comes_first = set(range(token + 1)) <= set(special)
            self._layers[name] = replace(
                self._layers[name], token=token, class_token=token if comes_first else None
            )

    def _output(
        self, both: Run, alone: Run | None, scores: Scores | None, cut_off: frozenset[str]
    ) -> tuple[Output | None, str]:
        """The layer of the logits, or None and why there is none."""
        if scores is None:
            return None, f"the network returns {describe(both.result)}"
        runs = [run for run in (both, alone) if run is not None and scores.has(run.result)]
        names = [
            layer.name
            for layer in self._layers.values()
            if math.prod(layer.shape) == layer.shape[0] > 1 and all(layer.name in run.samples for run in runs)
        ]
        output = find_output(
            {name: [run.samples[name] for run in runs] for name in names},
            [scores.of(run.result).detach() for run in runs],
            self._lineage.logits_behind(scores.tensor(both.result)),
            self._lineage,
        )
        if output is None:
            return None, "none of its layers gives what the network returns"
        if output.name in cut_off:
            return None, f"no gradient leads from the layer of its logits, {output.name!r}, to its input"
        return output, ""


def _named(layer: TracedLayer, output: str | None) -> TracedLayer:
    return (
        replace(layer, name=f".{layer.name}")
        if layer.name in OUTPUT_ALIASES and layer.name != output
        else layer
    )
