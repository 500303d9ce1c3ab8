"""DGN-AM: climb from a code to the picture that excites a unit most (Nguyen et al. 2016, arXiv 1605.09304).

One step of one item:

    lr_i = lr + (lr_end − lr) · i / steps
    g    = ∂ activation(transform_i(fit(G(c)))) / ∂p
    p    ← decay · limit(p + lr_i · g / mean|g|)

where the point p is the code c itself and limit clips it to its bounds (the paper's), or p are the code's
coordinates along the principal directions of real codes (`code_spaces`). The picture kept is the last one, or
where that is worse than the start, a better one (`second_climbs`).
"""

from collections import deque
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from imago_engine.synthesis.climb import PATIENCE, Climb, Context
from imago_engine.synthesis.computing.precision import dtype_for
from imago_engine.synthesis.directions.unit_directions import Directions
from imago_engine.synthesis.fitting import Fit
from imago_engine.synthesis.generators.code_spaces import code_space
from imago_engine.synthesis.generators.fast_copies import fast_generator
from imago_engine.synthesis.gradients import climbable, is_nonzero
from imago_engine.synthesis.groups import Ascent, Group, column
from imago_engine.synthesis.networks.truncate import Activations
from imago_engine.synthesis.pictures import Item, Picture
from imago_engine.synthesis.receptive_fields.receptive_field import Box
from imago_engine.synthesis.second_climbs.beginnings import SecondStart, SecondStarts
from imago_engine.synthesis.second_climbs.better import RECENT, raised_to_floors
from imago_engine.synthesis.starts.ranking import Ranking
from imago_engine.synthesis.starts.starting_points import starting_points
from imago_engine.synthesis.transforms import Transforms
from imago_engine.techniques.dgn_am import DgnAm

RETREAT = 0.1
"""Share of the way back that an item goes at each step at which it is lost: to the mean code when its
gradient has become zero (a picture that is saturated everywhere would stay as it is), and in the whitened
space to where it began while it excites the unit less than there.
"""


def prepare(context: Context[DgnAm], items: Sequence[Item]) -> "CodeClimb":
    """A climb of codes from their starts."""
    return CodeClimb(context, items)


class CodeClimb(Climb[DgnAm]):
    """Points are codes of the generator, or their coordinates."""

    def __init__(
        self, context: Context[DgnAm], items: Sequence[Item], second_start: SecondStart | None = None
    ) -> None:
        """A climb with a `second_start` is the second one of its items."""
        assert context.generator is not None
        self.generator, parameters = context.generator, context.parameters
        self.fit = Fit.plan(parameters.fit, self.generator.info.image_size, context.input_size)
        super().__init__(context, items, self.generator.code_mean.device)
        self.items, self.second_start = tuple(items), second_start
        self.dtype = self.generator.dtype
        dtype = dtype_for(parameters.precision, self.device)
        self.space = space = code_space(self.generator, parameters)
        (self.fast_generator,) = context.run(lambda g: fast_generator(g, space, dtype), [self.generator])
        self.ranking = Ranking(context.network, self.generator, context.layer, context.prefix, self.fit)
        if second_start is None:
            directions = Directions(context.network, self.generator, context.layer, self.fit, parameters)
            self.points = starting_points(
                self.space,
                self.generator,
                items,
                parameters,
                self.draws,
                self.ranking,
                directions,
                context.run,
            )
        else:
            self.points = second_start.points.clone()
        self.start, self.recent = self.points.clone(), deque[Tensor](maxlen=RECENT)
        self.home = self.space.limited(self.points) if parameters.space == "whitened" else None
        self.transforms = Transforms(parameters, self.draws, self.device)
        self.velocity = torch.zeros_like(self.points) if parameters.momentum else None

    def step(self, step: int) -> None:
        """As all climbs; the last points are remembered."""
        super().step(step)
        self.recent.append(self.points.clone())

    def finish(self) -> list[Picture]:
        """The pictures of all items, none of them worse than where its climb began.

        So few steps that nothing is given up within them show the beginning itself.
        """
        pictures, points = super().finish(), [self.start, *self.recent]
        if self.parameters.steps <= PATIENCE:
            return pictures
        if (again := self.second_start) is not None:
            return again.judged(raised_to_floors(self, pictures, again.floors, [again.best, *points]))
        items = self.items
        by_prototypes = self.parameters.start not in ("normal", "half-normal")
        known = self.ranking.of(items, self.context.run) if by_prototypes else None
        starts = SecondStarts(items, self.start, self.activations_at, known)

        def second(low: Sequence[int]) -> CodeClimb:
            second_start = starts.of(low, self._prototypes, self._can_climb)
            return CodeClimb(self.context, [items[n] for n in low], second_start)

        return raised_to_floors(self, pictures, starts.floors, points, second)

    def picture(self, points: Tensor) -> Tensor:
        """Codes' pictures, as the generator makes them."""
        image: Tensor = self.generator(self.space.code(points).to(self.dtype))
        return image

    def fast_picture(self, points: Tensor) -> Tensor:
        return self.fast_generator(points)

    def network_input(self, picture: Tensor) -> Tensor:
        """Cropped or resized to the network's input."""
        return self.fit(super().network_input(picture))

    def transformed(self, x: Tensor, group: Group, step: int) -> Tensor:
        """Shifted and magnified at random, for each item."""
        return self.transforms(x, group.index, step)

    def code(self, points: Tensor) -> Tensor:
        """Points as codes."""
        return self.space.code(points)

    def in_picture(self, box: Box) -> Box:
        return self.fit.in_picture(box)

    def moved_points(self, step: int, group: Group, here: Ascent) -> Tensor:
        parameters, points, gradient = self.parameters, here.points, here.gradient
        if parameters.l2:
            norm = points.flatten(1).norm(dim=1).clamp_min(1e-12)
            penalised = gradient - parameters.l2 * points / column(norm, points)
        else:
            penalised = gradient
        scale = penalised.abs().flatten(1).mean(1)
        # A zero gradient moves nothing; dividing by its size would.
        update = penalised / column(torch.where(scale > 0, scale, 1.0), points)
        if self.velocity is not None:
            before = self.velocity[group.index]
            update = parameters.momentum * before + update
            keep = column(here.finite, points)
            self.velocity[group.kept] = torch.where(keep, update, before)[: group.count]
        first, last = parameters.learning_rate, parameters.learning_rate_end
        rate = first + (last - first) * step / parameters.steps
        climbed = self.space.limited(points + rate * update) * parameters.decay
        stuck = (here.size == 0) & self.moved[group.index]
        climbed = torch.where(column(stuck, points), climbed.lerp(self.space.centre, RETREAT), climbed)
        if self.home is not None:
            lost = column(here.activation < self.traces[0, group.index], points)
            climbed = torch.where(lost, climbed.lerp(self.home[group.index], RETREAT), climbed)
        return climbed

    def _gradient(self, step: int, group: Group) -> tuple[Tensor, Tensor]:
        if self.second_start is None:
            return super()._gradient(step, group)
        found = climbable(partial(self._look, group, step), self.points[group.index], group.objective)
        return found.activation, found.gradient

    def _look(self, group: Group | None, step: int, points: Tensor) -> Activations:
        """What the layer gives for the pictures of points, as a group sees them at a step, or of None as they
        are.
        """
        if group is None:
            x = self.context.network.preprocessing(self.network_input(self.picture(points)))
            return self.context.prefix.with_preactivation(x)
        return self.context.fast_prefix.with_preactivation(self._looked_at(step, group, points))

    def _prototypes(self, numbers: Sequence[int]) -> Tensor:
        """The points of prototypes, by their numbers."""
        assert self.generator.prior is not None
        prior = self.generator.prior
        return self.space.of_coordinates(prior.prototypes[list(numbers)].float(), prior)

    def _can_climb(self, items: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Whether the units of items [M] have a gradient at points, and whether anything has, [M] each."""

        def look(index: Tensor, at: Tensor, count: int) -> tuple[Tensor, Tensor]:
            found = climbable(partial(self._look, None, 0), at, self.objective.only(index))
            return found.is_own[:count], is_nonzero(found.gradient)[:count]

        own, anything = zip(*self.side_by_side(look, items, points), strict=True)
        return torch.cat(own), torch.cat(anything)
