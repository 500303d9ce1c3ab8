"""A climb: N items, each with a point that goes up the gradient of its unit's activation.

What all techniques share is here: groups, the gradient, units that are off, items that nothing moves, and
what is measured on the finished pictures. A technique says what a point is, how it becomes a picture, and how
it moves. No item knows of the others in its batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imago_engine.synthesis.computing.thread_groups import Run, filled
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.gradients import gradient_of, is_nonzero
from imago_engine.synthesis.groups import Ascent, Group, column
from imago_engine.synthesis.inspection.anatomy import TracedLayer
from imago_engine.synthesis.networks.fast_copies import FastPrefix
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.predict import Predicting
from imago_engine.synthesis.networks.redirected_clips import RedirectedClips
from imago_engine.synthesis.networks.truncate import Prefix
from imago_engine.synthesis.objectives import UnitObjective
from imago_engine.synthesis.pictures import Item, Picture
from imago_engine.synthesis.receptive_fields.receptive_field import Box
from imago_engine.synthesis.stored_pixels import (
    as_images,
    from_bytes,
    is_picture,
    to_bytes,
    top_predictions,
)
from imago_engine.techniques import BaseParameters

ROUNDING = 1e-4
"""Share by which an activation may differ that was computed in another way, or in other company."""
PATIENCE = 8
"""Steps without any gradient after which an item is given up: nothing that it prefers moves its point."""

Parameters = TypeVar("Parameters", bound=BaseParameters)
Found = TypeVar("Found")


@dataclass(frozen=True)
class Context(Generic[Parameters]):
    """What the items of one climb have in common.

    `prefix` is the network up to `layer`; `fast_prefix` is the same, faster and rounded otherwise, for steps.
    `run` computes groups of `group_size` items side by side.
    `generator` is None only for techniques that do not need one.
    """

    network: Network
    generator: Generator | None
    layer: TracedLayer
    prefix: Prefix
    fast_prefix: FastPrefix
    predicting: Predicting
    input_size: int
    parameters: Parameters
    group_size: int
    run: Run


class _Ends(NamedTuple):
    """How the climbs of all N items went, in memory of the host; `traces` is [N, steps]."""

    moved: list[bool]
    skipped: list[int]
    off_bound: list[float]
    traces: NDArray[np.float32]


class Climb(ABC, Generic[Parameters]):
    """The state of N items on one device. A technique is a subclass of this; it sets `points`."""

    points: Tensor
    """[N, *shape of a point] in float32."""

    def __init__(self, context: Context[Parameters], items: Sequence[Item], device: torch.device) -> None:
        """Raises `ObjectiveError`."""
        self.context, self.parameters, self.device = context, context.parameters, device
        self.objective = UnitObjective(
            context.layer, [i.unit for i in items], [i.position for i in items], context.network.device
        )
        self.draws = [torch.Generator().manual_seed(item.seed) for item in items]
        """Each item's own source of random numbers."""
        self.count = len(items)
        self.moved = torch.zeros(self.count, dtype=torch.bool, device=device)  # has had a gradient
        self.skipped = torch.zeros(self.count, dtype=torch.long, device=device)
        self.traces = torch.zeros(context.parameters.steps, self.count, dtype=torch.float32, device=device)
        self.off_activation = torch.full((self.count,), -torch.inf, dtype=torch.float32, device=device)
        """[N]: the lowest activation seen while the unit was off; an item counts as reached above it. −∞ for
        units that were on, or whose climb has nowhere else to begin."""
        self._everything = self._climbing = self._groups(torch.arange(self.count, device=device))

    # What a technique says:

    @abstractmethod
    def picture(self, points: Tensor) -> Tensor:
        """Points [M, …] → RGB [M, 3, S, S] in [0, 1], or a little beyond."""

    def fast_picture(self, points: Tensor) -> Tensor:
        """The same for a step, where it may be rounded otherwise than what is kept."""
        return self.picture(points)

    def network_input(self, picture: Tensor) -> Tensor:
        """Pictures [M, 3, S, S] → what the network looks at, [M, 3, input_size, input_size]; here the
        same.
        """
        return picture.to(self.context.network.dtype)

    def transformed(self, x: Tensor, group: Group, step: int) -> Tensor:
        """What the network sees of its inputs at one step, drawn for each item; here all of it, unmoved."""
        return x

    @abstractmethod
    def moved_points(self, step: int, group: Group, here: Ascent) -> Tensor:
        """Where the group's points go, [M, *shape of a point]."""

    def other_starts(self, group: Group) -> Sequence[Tensor]:
        """Where the group's items may begin if they have no gradient where they are, [M, *shape of a point]
        each, the first that gives one is taken; here none.
        """
        return ()

    def code(self, points: Tensor) -> Tensor | None:
        """The generator's inputs that give the pictures, [M, *code_shape]; here none."""
        return None

    def in_picture(self, box: Box) -> Box:
        """A box of the network's input in pixels of the picture; here the same."""
        return box

    # What all share:

    @property
    def ended(self) -> bool:
        """Whether no item is worth another step."""
        return not self._climbing

    def step(self, step: int) -> None:
        """Move every item once; give up those that nothing has moved for `PATIENCE` steps."""
        self.context.run(partial(self._step, step), self._climbing)
        # After the first step this waits for the device, once. A group with units whose gradient may be
        # redirected waits at every step, to see whether one is lost: most steps spare a second pass by it.
        if step + 1 == PATIENCE and not bool(self.moved.all()):
            self._climbing = self._groups(self.moved.nonzero()[:, 0], climbing=self._climbing)

    def finish(self) -> list[Picture]:
        """The pictures of all items at their present points, and what is measured on them."""
        return self._pictures(self._everything)

    def pictures_of(self, items: Tensor) -> list[Picture]:
        """The same of some items, by their numbers [M]."""
        return self._pictures(self._groups(items))

    def activations_at(self, items: Tensor, points: Tensor) -> Tensor:
        """The activations [M] of the pictures that items, by their numbers [M], would have at `points`
        [M, *shape of a point], in memory of the host; no number where there would be no picture.
        """

        @torch.no_grad()
        def look(index: Tensor, at: Tensor, count: int) -> Tensor:
            drawn = self.picture(at)
            output = self.context.prefix(self._stored_input(to_bytes(drawn)))
            return _of_pictures(drawn, self.objective.only(index)(output))[:count].cpu()

        return torch.cat(self.side_by_side(look, items, points))

    def side_by_side(
        self, work: Callable[[Tensor, Tensor, int], Found], items: Tensor, points: Tensor
    ) -> list[Found]:
        """What `work` finds of items, by their numbers [M], at `points` [M, *shape of a point]: it is given
        both in filled groups, and how many of a group are meant.
        """
        size = self.context.group_size
        groups = list(zip(torch.split(items, size), torch.split(points, size), strict=True))

        def work_on(group: tuple[Tensor, Tensor]) -> Found:
            index, at = (filled(part, size) for part in group)
            return work(index, at, len(group[0]))

        return self.context.run(work_on, groups)

    def _pictures(self, groups: Sequence[Group]) -> list[Picture]:
        # Read once for all: on a GPU every reading waits for the device.
        ends = _Ends(
            self.moved.tolist(),
            self.skipped.tolist(),
            self._off_bound.tolist(),
            self.traces.T.cpu().numpy(),
        )
        parts = self.context.run(partial(self._finish, ends), groups)
        return [picture for part in parts for picture in part]

    def _groups(self, items: Tensor, climbing: Sequence[Group] = ()) -> list[Group]:
        """Groups of the items [M]; which of them climb something else than their unit is kept."""
        marks = {
            name: self._marked([getattr(g, name) for g in climbing], climbing)
            for name in ("flat", "redirected", "off")
        }
        groups = []
        size = self.context.group_size
        for part in torch.split(items, size) if len(items) else ():
            index = filled(part, size)
            groups.append(Group(index, len(part), self.objective.only(index)))
            if climbing:
                for name, marked in marks.items():
                    setattr(groups[-1], name, marked[index] if bool(marked[index].any()) else None)
        return groups

    def _marked(self, marks: Sequence[Tensor | None], groups: Sequence[Group]) -> Tensor:
        """Marks [M] of the items of each group → [N]."""
        found = torch.zeros(self.count, dtype=torch.bool, device=self.device)
        for group, marked in zip(groups, marks, strict=True):
            if marked is not None:
                found[group.index] = marked
        return found

    def _step(self, step: int, group: Group) -> None:
        activation, gradient = self._gradient(step, group)
        if step == 0 and not bool(is_nonzero(gradient).all()):
            activation, gradient = self._begun_elsewhere(group, activation, gradient)
        self.traces[step, group.kept] = activation[: group.count]
        points, size = self.points[group.index], gradient.abs().flatten(1).mean(1)
        here = Ascent(points, activation, gradient, size, torch.isfinite(size))
        climbed = self.moved_points(step, group, here)
        self.points[group.kept] = torch.where(column(here.finite, points), climbed, points)[: group.count]
        self.moved[group.kept] |= (here.finite & (size > 0))[: group.count]
        self.skipped[group.kept] += (~here.finite)[: group.count]

    def _gradient(self, step: int, group: Group) -> tuple[Tensor, Tensor]:
        """Activations [M] and their gradients [M, *shape of a point] by each item's own point."""
        points = self.points[group.index].requires_grad_()
        x = self._looked_at(step, group, points)
        before: Tensor | None = None
        if group.flat is None:
            output = self.context.fast_prefix(x)
        else:
            output, before = self.context.fast_prefix.with_preactivation(x)
        goal = activation = group.objective(output)
        if group.flat is not None and before is not None:
            goal = torch.where(group.flat, group.objective(before), activation)
        gradient = gradient_of(goal, points, again=group.off is not None)
        if group.off is not None:
            lost = group.off & self._is_lost(group, activation, gradient)
            everywhere = group.objective.over_places(output if before is None else before)
            gradient = torch.where(column(lost, points), gradient_of(everywhere, points), gradient)
        if group.redirected is not None:
            lost = group.redirected & self._is_lost(group, activation, gradient)
            if bool(lost.any()):
                gradient = torch.where(column(lost, points), self._redirected(step, group), gradient)
        return activation.detach(), gradient

    def _is_lost(self, group: Group, activation: Tensor, gradient: Tensor) -> Tensor:
        """[M]: whether a unit has no gradient, and not because it is as active as can be."""
        return ~is_nonzero(gradient) & (activation <= self._off_bound[group.index])

    def _looked_at(self, step: int, group: Group, points: Tensor) -> Tensor:
        """What the network is fed at a step, for points [M, …] of a group."""
        x = self.transformed(self.network_input(self.fast_picture(points)), group, step)
        return self.context.network.preprocessing(x)

    def _redirected(self, step: int, group: Group) -> Tensor:
        """The gradient of each item's unit through activation functions that switch it off."""
        points = self.points[group.index].requires_grad_()
        x = self._looked_at(step, group, points)
        with RedirectedClips():
            output = self.context.fast_prefix(x)
        return gradient_of(group.objective(output), points)

    def _begun_elsewhere(self, group: Group, activation: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Find something to climb for items without a gradient at the first step, such as those whose unit a
        ReLU has switched off: what goes into the layer's activation function, else the unit through what
        switches it off, there or in another start, else its channel at other places.
        """
        if self._has_preactivation(group):
            group.flat = ~is_nonzero(gradient)
            activation, gradient = self._gradient(0, group)
        off = ~is_nonzero(gradient)
        starts = self.other_starts(group) if bool(off.any()) else ()
        if not starts:
            return activation, gradient
        first = self.points[group.index]
        self._note_off(group, off, activation)
        group.redirected = off
        activation, gradient = self._begun_at([first, *starts], group, off, activation, gradient)
        missing = ~is_nonzero(gradient)
        if bool(missing.any()):
            group.redirected, group.off = off & ~missing, missing
            # For the channel's other places the start with the most contrast has most to see.
            activation, gradient = self._begun_at(starts[::-1], group, off, activation, gradient)
        lost = column(~is_nonzero(gradient), first)
        here = torch.where(lost, first, self.points[group.index])
        self.points[group.kept] = here[: group.count]
        return activation, gradient

    def _begun_at(
        self, starts: Sequence[Tensor], group: Group, off: Tensor, activation: Tensor, gradient: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Put items without a gradient where they have one, at the first of some starts; noted is what the
        units that are `off` [M] do there.
        """
        for start in starts:
            missing = column(~is_nonzero(gradient), start)
            if not bool(missing.any()):
                break
            here = torch.where(missing, start, self.points[group.index])
            self.points[group.kept] = here[: group.count]
            activation, gradient = self._gradient(0, group)
            self._note_off(group, off, activation)
        return activation, gradient

    @property
    def _off_bound(self) -> Tensor:
        """[N]: `off_activation`, up to rounding."""
        return self.off_activation + ROUNDING * self.off_activation.abs().nan_to_num(posinf=0)

    def _note_off(self, group: Group, off: Tensor, activation: Tensor) -> None:
        before = self.off_activation[group.index]
        lowest = torch.where(before.isinf(), activation, torch.minimum(before, activation))
        self.off_activation[group.kept] = torch.where(off, lowest, before)[: group.count]

    def _has_preactivation(self, group: Group) -> bool:
        """Whether the layer ends with an activation function whose input can be climbed."""
        with torch.no_grad():
            picture = self.fast_picture(self.points[group.index])
            x = self.context.network.preprocessing(self.network_input(picture))
            return self.context.fast_prefix.with_preactivation(x).before is not None

    def _stored_input(self, pixels: Tensor) -> Tensor:
        """What the network is fed for stored pictures, uint8 [M, 3, S, S]."""
        return self.context.network.preprocessing(self.network_input(from_bytes(pixels)))

    @torch.no_grad()
    def _finish(self, ends: _Ends, group: Group) -> list[Picture]:
        points, predicting = self.points[group.index], self.context.predicting
        codes = self.code(points)
        drawn = self.picture(points)
        pixels = to_bytes(drawn)
        # Made anew for each run: the network may work on its input in place.
        x = partial(self._stored_input, pixels)
        output = self.context.prefix(x())
        activations = _of_pictures(drawn, group.objective(output)).tolist()
        logits = output if self.context.layer.name == predicting.output else predicting(x)
        predictions = (
            None if logits is None else top_predictions(logits, predicting.squash, of=is_picture(drawn))
        )
        images, kept = as_images(pixels), None if codes is None else codes.cpu().numpy()
        pictures = []
        for m, n in enumerate(group.kept.tolist()):
            trace = ends.traces[n]
            reached = ends.moved[n] and not activations[m] <= ends.off_bound[n]
            pictures.append(
                Picture(
                    image=images[m],
                    code=None if kept is None else kept[m],
                    activation=activations[m],
                    trace=trace if reached else trace[:PATIENCE],
                    status="done" if reached else "unreachable",
                    predictions=predictions[m] if predictions else None,
                    crop_box=self._crop_box(self.objective.positions[n]),
                    skipped_steps=ends.skipped[n],
                )
            )
        return pictures

    def _crop_box(self, position: tuple[int, int]) -> Box | None:
        if self.context.layer.field is None:
            return None
        box = self.context.layer.field.box(position, self.context.input_size)
        if box is None or box.left >= box.right or box.top >= box.bottom:
            return None  # sees everything, or nothing but padding
        return self.in_picture(box)


def _of_pictures(drawn: Tensor, activations: Tensor) -> Tensor:
    """The activations [N] that were measured on pictures as stored; no number of what was drawn [N, 3, S, S]
    without being a picture: its bytes show something that nobody drew.
    """
    return torch.where(is_picture(drawn), activations, torch.nan)
