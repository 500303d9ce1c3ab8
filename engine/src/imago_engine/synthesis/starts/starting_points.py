"""Where an ascent begins."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from imago_engine.synthesis.computing.thread_groups import Run
from imago_engine.synthesis.directions.unit_directions import Directions
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.generators.code_spaces import CodeSpace
from imago_engine.synthesis.pictures import Item
from imago_engine.synthesis.starts.ranking import Ranking
from imago_engine.techniques import RecipeError
from imago_engine.techniques.dgn_am import DgnAm


def starting_points(
    space: CodeSpace,
    generator: Generator,
    items: Sequence[Item],
    parameters: DgnAm,
    draws: Sequence[torch.Generator],
    ranking: Ranking,
    directions: Directions,
    run: Run,
) -> Tensor:
    """Each item's first point [N, *space.shape], from its own draw.

    `normal` is N(0, 1) in the space's coordinates, `half-normal` a code of |N(0, 1)|·σ (a ReLU's codes are
    not negative), `prototype` the centre of those real codes whose picture excites the unit most,
    `prototypes` the weighted mean of the best of them, `direction` the same, moved by
    `direction_weight` · √R in the direction in which the unit's activation grows. Raises `RecipeError` for a
    generator without prototypes.
    """
    device = generator.code_mean.device
    if parameters.start == "normal":
        return torch.stack([_normal(space.shape, draw) for draw in draws]).to(device)
    if parameters.start == "half-normal":
        shape = generator.info.code_shape
        normal = torch.stack([_normal(shape, draw) for draw in draws]).to(device)
        return space.point(normal.abs() * generator.code_std.float())
    if generator.prior is None:
        raise RecipeError(
            f"start: {parameters.start!r} needs a generator whose file has prototypes of its codes "
            "(code_prototypes); expected 'normal' or 'half-normal' for this one"
        )
    prior, prototypes = generator.prior, generator.prior.prototypes.float()
    spread = torch.stack([_normal(prototypes.shape[1:], draw) for draw in draws]).to(device)
    ranked = ranking.best(items, parameters.start != "prototype", run)
    # Item by item: a product over all would round each one's differently in other company.
    means = [(weights.to(device)[:, None] * prototypes[best.to(device)]).sum(0) for best, weights in ranked]
    if parameters.start == "direction":
        far = parameters.direction_weight * math.sqrt(prototypes.shape[1])
        ways = directions.of(items, run)
        means = [mean + far * way.to(device) for mean, way in zip(means, ways, strict=True)]
    return space.of_coordinates(torch.stack(means) + parameters.start_spread * spread, prior)


def _normal(shape: Sequence[int], draw: torch.Generator) -> Tensor:
    return torch.randn(tuple(shape), generator=draw, dtype=torch.float32, device="cpu")
