"""DGN-AM: climb from a code to the picture that excites a unit most (Nguyen et al. 2016, arXiv 1605.09304).

One step of one item, independent of all others in its batch:

    lr_i = lr + (lr_end − lr) · i / steps
    g    = ∂ activation(view_i(fit(G(c)))) / ∂p
    p    ← decay · limit(p + lr_i · g / mean|g|)

where the point p is the code c itself and limit clips it to its bounds (the paper's), or p are the code's
coordinates along the principal directions of real codes (`code_spaces`). The picture kept is the last one.

A climb is chaotic: a difference in the last bit of a gradient grows to another picture within tens of steps,
and a product computed in a batch of another size differs in just that bit. Items are therefore computed in
groups of one size, the last one filled up, each in one thread: on one machine a picture is then the same, bit
for bit on a CPU, whatever it was asked with.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imago_engine.synthesis.fitting import Fit
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.generators.code_spaces import code_space
from imago_engine.synthesis.inspection.anatomy import TracedLayer, anatomy
from imago_engine.synthesis.inspection.layers import find_layer
from imago_engine.synthesis.networks.load import Network, NetworkError
from imago_engine.synthesis.networks.modes import own_modes
from imago_engine.synthesis.networks.predict import Predicting
from imago_engine.synthesis.networks.truncate import Prefix
from imago_engine.synthesis.objectives import UnitObjective
from imago_engine.synthesis.pictures import Item, Picture
from imago_engine.synthesis.receptive_fields.receptive_field import Box
from imago_engine.synthesis.seeding import seeded
from imago_engine.synthesis.starts import Ranking, starting_points
from imago_engine.synthesis.stored_pixels import as_images, from_bytes, to_bytes, top_predictions
from imago_engine.synthesis.thread_groups import Run, filled, thread_groups
from imago_engine.synthesis.transforms import Transforms
from imago_engine.techniques import BaseParameters, RecipeError
from imago_engine.techniques.dgn_am import DgnAm

__all__ = ["GROUP_SIZES", "PATIENCE", "Item", "Picture", "Stop", "synthesize"]

GROUP_SIZES = {"cpu": 4, "cuda": 32}
"""Items computed together, by device type. A larger group costs less per item, a single item costs a whole
group; batches are best sized in multiples of it, on a CPU times its threads.
"""

PATIENCE = 8
"""Steps without any gradient after which an item is given up: nothing moves its code but the decay."""

RETREAT = 0.1
"""Share of the way back that an item goes at each step at which it is lost: to the mean code when its
gradient has become zero (a picture that is saturated everywhere would stay as it is), and in the whitened
space to where it began while it excites the unit less than there.
"""


class Stop(Exception):
    """Raised by a caller's `on_step` to end the ascent; it passes through `synthesize` to whoever called."""


def synthesize(
    network: Network,
    generator: Generator | None,
    layer: str,
    items: Sequence[Item],
    parameters: BaseParameters,
    *,
    on_step: Callable[[int], None] | None = None,
    on_pause: Callable[[], None] | None = None,
    device: torch.device | str | None = None,
    group_size: int | None = None,
) -> list[Picture]:
    """Make the pictures of `items`, units of one layer, in the order of the items.

    `layer` is a dotted name, or `output` for the logits. `on_step` is called with the number of steps done by
    all items, 1 to `parameters.steps`, and may raise (`Stop`) to end the work; `on_pause` may too, and is
    called about once a second within long steps and in what comes before and after them. While either is
    called, nothing is computed here: it may take its time and use the same networks. `device` moves the
    generator and the network where they are not yet. `group_size` bounds the memory taken, whatever the
    number of items; None is the device's of `GROUP_SIZES`, and pictures made with another differ. Raises
    `LayerError`, `ObjectiveError`, `FitError`, `RecipeError` or `NetworkError` before any work.
    """
    if device is not None:
        network.module.to(device)
        if generator is not None:
            generator.to(device)
    if not isinstance(parameters, DgnAm):
        raise RecipeError(f"technique: is dgn-am here; got parameters of {type(parameters).__name__}")
    if generator is None:
        raise RecipeError("technique: dgn-am needs a generator")
    if not items:
        return []
    size = group_size or GROUP_SIZES.get(network.device.type, 4)
    with own_modes(), thread_groups(network.device, on_pause) as run:
        ascent = _Ascent(network, generator, layer, items, parameters, size, run)
        return ascent.climb(on_step or (lambda step: None))


@dataclass
class _Group:
    """Items that go through the networks together. `index` [M] is filled up to the group size by repetition;
    the first `count` are meant.
    """

    index: Tensor
    count: int
    objective: UnitObjective
    flat: Tensor | None = None
    """[M]: items that climb the input of the layer's activation function; None if there are none."""

    @property
    def kept(self) -> Tensor:
        return self.index[: self.count]


class _Ends(NamedTuple):
    """How the climbs of all N items went, in memory of the host; `traces` is [N, steps]."""

    moved: list[bool]
    skipped: list[int]
    traces: NDArray[np.float32]


class _Ascent:
    """The state of N items, on the generator's device."""

    def __init__(
        self,
        network: Network,
        generator: Generator,
        layer: str,
        items: Sequence[Item],
        parameters: DgnAm,
        group_size: int,
        run: Run,
    ) -> None:
        self.network, self.generator, self.parameters = network, generator, parameters
        input_size = parameters.input_size or network.preprocessing.size
        traced = anatomy(network.module, input_size)
        self.group_size, self.run = max(group_size, traced.least_batch), run
        if traced.flaw is not None:
            # One item alone cures nothing where the network needs company to run.
            if traced.flaw.cure is None or traced.least_batch > 1:
                raise NetworkError(traced.flaw.reason)
            self.group_size = 1
            if traced.flaw.cure == "seeded":
                self.run = run = seeded(run, network.device)
        self.layer: TracedLayer = find_layer(network, layer, input_size)
        self.prefix = Prefix(network.module, self.layer.name)
        self.predicting = Predicting(network.module, traced)
        self.fit = Fit.plan(parameters.fit, generator.info.image_size, input_size)
        self.device = generator.code_mean.device
        self.dtype = generator.dtype
        self.objective = UnitObjective(
            self.layer, [i.unit for i in items], [i.position for i in items], network.device
        )
        self.space = code_space(generator, parameters)

        draws = [torch.Generator().manual_seed(item.seed) for item in items]
        ranking = Ranking(network, generator, self.layer, self.prefix, self.fit)
        self.points = starting_points(self.space, generator, items, parameters, draws, ranking, run)
        self.home = self.space.limited(self.points) if parameters.space == "whitened" else None
        self.transforms = Transforms(parameters, draws, self.device)

        self.count = len(items)
        self.velocity = torch.zeros_like(self.points) if parameters.momentum else None
        self.moved = torch.zeros(self.count, dtype=torch.bool, device=self.device)  # has had a gradient
        self.skipped = torch.zeros(self.count, dtype=torch.long, device=self.device)
        self.traces = torch.zeros(parameters.steps, self.count, dtype=torch.float32, device=self.device)

    def climb(self, on_step: Callable[[int], None]) -> list[Picture]:
        everything = groups = self._groups(torch.arange(self.count, device=self.device))
        for step in range(self.parameters.steps):
            self.run(partial(self._step, step), groups)
            # The one place after the first step that waits for the device.
            if step + 1 == PATIENCE and not bool(self.moved.all()):
                groups = self._groups(self.moved.nonzero()[:, 0], climbing=groups)
            on_step(step + 1)
            if not groups:
                break
        return self._pictures(everything)

    def _groups(self, items: Tensor, climbing: Sequence[_Group] = ()) -> list[_Group]:
        """Groups of the items [M]; which of them climb the input of the activation function is kept."""
        flat = torch.zeros(self.count, dtype=torch.bool, device=self.device)
        for group in climbing:
            if group.flat is not None:
                flat[group.index] = group.flat
        groups = []
        for part in torch.split(items, self.group_size) if len(items) else ():
            index = filled(part, self.group_size)
            groups.append(_Group(index, len(part), self.objective.only(index)))
            if climbing and bool(flat[index].any()):
                groups[-1].flat = flat[index]
        return groups

    def _step(self, step: int, group: _Group) -> None:
        activation, gradient = self._gradient(step, group)
        if step == 0 and self._climbs_before_activation(group, gradient):
            activation, gradient = self._gradient(step, group)
        self.traces[step, group.kept] = activation[: group.count]
        self._move(step, group, activation, gradient)

    def _gradient(self, step: int, group: _Group) -> tuple[Tensor, Tensor]:
        """Activations [M] and their gradients [M, *shape of a point] by each item's own point."""
        points = self.points[group.index].requires_grad_()
        x = self._input(self._image(points))
        x = self.network.preprocessing(self.transforms(x, group.index, step))
        if group.flat is None:
            goal = activation = group.objective(self.prefix(x))
        else:
            output, before = self.prefix.with_preactivation(x)
            goal = activation = group.objective(output)
            if before is not None:
                goal = torch.where(group.flat, group.objective(before), activation)
        gradient: Tensor | None = None
        if goal.requires_grad:  # else the network has cut it off from its input
            # The sum keeps items apart: each point reaches its own activation only.
            (gradient,) = torch.autograd.grad(goal.sum(), points, allow_unused=True)
        return activation.detach(), torch.zeros_like(points) if gradient is None else gradient

    def _image(self, points: Tensor) -> Tensor:
        image: Tensor = self.generator(self.space.code(points).to(self.dtype))
        return image

    def _input(self, image: Tensor) -> Tensor:
        return self.fit(image.to(self.network.dtype))

    def _stored_input(self, pixels: Tensor) -> Tensor:
        """What the network is fed for stored pictures, uint8 [M, 3, S, S]."""
        return self.network.preprocessing(self._input(from_bytes(pixels)))

    def _climbs_before_activation(self, group: _Group, gradient: Tensor) -> bool:
        """Let items on a flat stretch of the layer's activation function climb its input, if both exist.

        Decided once, at the first step: a ReLU's unit that is off gives no gradient, what goes into it does.
        """
        flat = (gradient == 0).flatten(1).all(1)
        if not bool(flat.any()):
            return False
        with torch.no_grad():
            x = self.network.preprocessing(self._input(self._image(self.points[group.index])))
            if self.prefix.with_preactivation(x).before is None:
                return False
        group.flat = flat
        return True

    def _move(self, step: int, group: _Group, activation: Tensor, gradient: Tensor) -> None:
        parameters, points = self.parameters, self.points[group.index]
        size = gradient.abs().flatten(1).mean(1)
        finite = torch.isfinite(size)
        if parameters.l2:
            norm = points.flatten(1).norm(dim=1).clamp_min(1e-12)
            penalised = gradient - parameters.l2 * points / _column(norm, points)
        else:
            penalised = gradient
        scale = penalised.abs().flatten(1).mean(1)
        # A zero gradient moves nothing; dividing by its size would.
        update = penalised / _column(torch.where(scale > 0, scale, 1.0), points)
        keep = _column(finite, points)
        if self.velocity is not None:
            before = self.velocity[group.index]
            update = parameters.momentum * before + update
            self.velocity[group.kept] = torch.where(keep, update, before)[: group.count]
        first, last = parameters.learning_rate, parameters.learning_rate_end
        rate = first + (last - first) * step / parameters.steps
        climbed = self.space.limited(points + rate * update) * parameters.decay
        stuck = (size == 0) & self.moved[group.index]
        climbed = torch.where(_column(stuck, points), climbed.lerp(self.space.centre, RETREAT), climbed)
        if self.home is not None:
            lost = _column(activation < self.traces[0, group.index], points)
            climbed = torch.where(lost, climbed.lerp(self.home[group.index], RETREAT), climbed)
        self.points[group.kept] = torch.where(keep, climbed, points)[: group.count]
        self.moved[group.kept] |= (finite & (size > 0))[: group.count]
        self.skipped[group.kept] += (~finite)[: group.count]

    def _pictures(self, groups: Sequence[_Group]) -> list[Picture]:
        # Read once for all: on a GPU every reading waits for the device.
        ends = _Ends(self.moved.tolist(), self.skipped.tolist(), self.traces.T.cpu().numpy())
        return [picture for part in self.run(partial(self._pictures_of, ends), groups) for picture in part]

    @torch.no_grad()
    def _pictures_of(self, ends: _Ends, group: _Group) -> list[Picture]:
        points = self.points[group.index]
        codes = self.space.code(points)
        pixels = to_bytes(self.generator(codes.to(self.dtype)))
        # Made anew for each run: the network may work on its input in place.
        x = partial(self._stored_input, pixels)
        output = self.prefix(x())
        activations = group.objective(output).tolist()
        logits = output if self.layer.name == self.predicting.output else self.predicting(x)
        predictions = None if logits is None else top_predictions(logits)
        images, kept = as_images(pixels), codes.cpu().numpy()
        pictures = []
        for m, n in enumerate(group.kept.tolist()):
            moved, trace = ends.moved[n], ends.traces[n]
            pictures.append(
                Picture(
                    image=images[m],
                    code=kept[m],
                    activation=activations[m],
                    trace=trace if moved else trace[:PATIENCE],
                    status="done" if moved else "unreachable",
                    predictions=predictions[m] if predictions else None,
                    crop_box=self._crop_box(self.objective.positions[n]),
                    skipped_steps=ends.skipped[n],
                )
            )
        return pictures

    def _crop_box(self, position: tuple[int, int]) -> Box | None:
        if self.layer.field is None:
            return None
        box = self.layer.field.box(position, self.fit.input_size)
        if box is None or box.left >= box.right or box.top >= box.bottom:
            return None  # sees everything, or nothing but padding
        return self.fit.in_picture(box)


def _column(per_item: Tensor, like: Tensor) -> Tensor:
    """[N] → [N, 1, …] so that it goes with a code."""
    return per_item.view(-1, *[1] * (like.ndim - 1))
