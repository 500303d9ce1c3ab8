"""Scores: how good the network itself finds a picture of its unit, seen as a whole.

A climb is chaotic: of several seeds some end in a picture that shows the unit's thing, and some in a part of
it. The climb has seen its own picture through random views at a small size; asked once more with the whole of
it, the network tells them apart (docs/pictures.md).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from imago_engine.synthesis.computing.thread_groups import filled, thread_groups
from imago_engine.synthesis.fitting import Fit
from imago_engine.synthesis.inspection.anatomy import TracedLayer, anatomy
from imago_engine.synthesis.inspection.layers import find_layer
from imago_engine.synthesis.networks.load import Network, NetworkError
from imago_engine.synthesis.networks.modes import own_modes
from imago_engine.synthesis.networks.truncate import LayerError, Prefix
from imago_engine.synthesis.objectives import UnitObjective
from imago_engine.synthesis.pictures import Item, Picture
from imago_engine.synthesis.seeding import cured
from imago_engine.synthesis.stored_pixels import from_bytes, log_probabilities
from imago_engine.synthesis.transforms import Transforms
from imago_engine.techniques.dgn_am import DgnAm

GROUP = 8
"""Pictures that are looked at together, at most."""
VIEWS = 8
VIEWS_ZOOM, VIEWS_JITTER, VIEWS_SEED = 1.5, 4, 2**63 + 1
"""Of the views through which hidden units are asked again; drawn once, so that all candidates have the same
ones, and of a seed that hardly any climb has."""


def scored(
    network: Network,
    layer: str,
    items: Sequence[Item],
    pictures: Sequence[Picture],
    input_size: int | None,
    *,
    group_size: int = GROUP,
    on_pause: Callable[[], None] | None = None,
) -> list[Picture]:
    """The pictures with their scores; those that show nothing, or whose activation or score is no number,
    have none.
    """
    shown = [n for n, one in enumerate(pictures) if one.status == "done" and math.isfinite(one.activation)]
    values = scores(
        network,
        layer,
        [items[n] for n in shown],
        [pictures[n] for n in shown],
        input_size,
        group_size=group_size,
        on_pause=on_pause,
    )
    known = {n: value for n, value in zip(shown, values, strict=True) if math.isfinite(value)}
    return [replace(picture, score=known.get(n)) for n, picture in enumerate(pictures)]


def scores(
    network: Network,
    layer: str,
    items: Sequence[Item],
    pictures: Sequence[Picture],
    input_size: int | None,
    *,
    group_size: int = GROUP,
    on_pause: Callable[[], None] | None = None,
) -> list[float]:
    """How good the network finds each picture of its unit.

    Of the logits: the unit's log-probability for the whole picture, at the network's own size, whatever it
    was made at, unless it does not run there. Of another layer: the unit's mean activation over `VIEWS` views
    that no climb has seen, at the size `input_size` that it was made at, None for the network's own. Scores
    of one unit can be compared; those of two units say nothing of each other. `group_size` bounds the memory
    taken; `on_pause` is as `ascent.synthesize` has it.
    """
    if not items:
        return []
    size = input_size or network.preprocessing.size
    traced, found = anatomy(network.module, size), find_layer(network, layer, size)
    is_output = found.name == traced.output
    if is_output:
        found, size = _at_own_size(network, layer) or (found, size)
    prefix = Prefix(network.module, found.name, found.layout)
    positions = [None if is_output else item.position for item in items]
    objective = UnitObjective(found, [i.unit for i in items], positions, network.device)
    # As in the climb: alone, where company would tell.
    group = 1 if traced.flaw is not None else max(min(GROUP, group_size), traced.least_batch)
    images = [torch.from_numpy(p.image).permute(2, 0, 1) for p in pictures]  # [3, S, S] each, of one size

    @torch.no_grad()
    def looked(part: Tensor) -> list[float]:
        index = filled(part, group)
        x = from_bytes(torch.stack([images[n] for n in index.tolist()]))
        x = Fit(x.shape[-1], size, crops=False)(x.to(network.device)).to(network.dtype)
        own = objective.only(index.to(network.device))
        if is_output:
            values = own(log_probabilities(prefix(network.preprocessing(x)), traced.squash))
        else:
            transforms, every = _views(group, x.device), torch.arange(group, device=x.device)
            seen = [prefix(network.preprocessing(transforms(x, every, view))) for view in range(VIEWS)]
            values = torch.stack([own(output).float() for output in seen]).mean(0)
        return values[: len(part)].tolist()

    with own_modes(), thread_groups(network.device, on_pause) as run:
        alike = cured(run, traced.flaw, network.device)
        parts = alike(looked, torch.split(torch.arange(len(items)), group))
    return [value for part in parts for value in part]


def _at_own_size(network: Network, layer: str) -> tuple[TracedLayer, int] | None:
    """The layer at the network's own size, and that size; None for a network that does not run there: what
    was made at another one is not lost for that.
    """
    try:
        return find_layer(network, layer), network.preprocessing.size
    except (NetworkError, LayerError):
        return None


def _views(count: int, device: torch.device) -> Transforms:
    parameters = DgnAm(steps=VIEWS, zoom=VIEWS_ZOOM, jitter=VIEWS_JITTER)
    return Transforms(parameters, [torch.Generator().manual_seed(VIEWS_SEED) for _ in range(count)], device)
