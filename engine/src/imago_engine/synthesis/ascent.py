"""Make the pictures of units: one loop for all techniques.

A technique prepares a climb (`climb`), which is stepped here until its end. A climb is chaotic: a difference
in the last bit of a gradient grows to another picture within tens of steps, and a product computed in a batch
of another size differs in just that bit. Items are therefore computed in groups of one size, the last one
filled up, each in one thread: on one machine a picture is then the same, bit for bit on a CPU, whatever it
was asked with.
"""

from collections.abc import Callable, Sequence

import torch

from imago_engine.synthesis.climb import PATIENCE, Context
from imago_engine.synthesis.computing.group_sizes import group_size_for
from imago_engine.synthesis.computing.precision import dtype_for
from imago_engine.synthesis.computing.thread_groups import Run, thread_groups
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.generators.device_copies import on_device
from imago_engine.synthesis.inspection.anatomy import anatomy
from imago_engine.synthesis.inspection.layers import find_layer
from imago_engine.synthesis.networks.fast_copies import FastPrefix, fast_prefix
from imago_engine.synthesis.networks.load import Network, NetworkError
from imago_engine.synthesis.networks.modes import own_modes
from imago_engine.synthesis.networks.predict import Predicting
from imago_engine.synthesis.networks.truncate import Prefix
from imago_engine.synthesis.pictures import Item, Picture
from imago_engine.synthesis.scoring import scored
from imago_engine.synthesis.seeding import cured
from imago_engine.synthesis.techniques import prepare_of
from imago_engine.techniques import BaseParameters, Need, RecipeError, technique_of

__all__ = ["PATIENCE", "Item", "Picture", "Stop", "synthesize"]


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

    The type of `parameters` says by which technique; `generator` may be None for one that needs none. `layer`
    is a dotted name, or `output` for the logits. `on_step` is called with the number of steps done by
    all items, 1 to `parameters.steps`, and may raise (`Stop`) to end the work; `on_pause` may too, and is
    called about once a second within long steps and in what comes before and after them. While either is
    called, nothing is computed here: it may take its time and use the same networks. `device` moves the
    network where it is not yet. All is computed where the network is, with a copy there of a generator that
    is elsewhere. `group_size` bounds the memory taken, whatever the number of items; None is `group_size_for`
    the device, and pictures made with another differ. Raises `LayerError`, `ObjectiveError`, `FitError`,
    `RecipeError` or `NetworkError` before any work.
    """
    technique = technique_of(parameters)
    if generator is None and Need.GENERATOR in technique.needs:
        raise RecipeError(f"technique: {technique.id} needs a generator; got none")
    with own_modes():  # weights moved in inference mode could take part in no ascent
        if device is not None:
            network.module.to(device)
        if not items:
            return []
        if generator is not None:
            generator = on_device(generator, network.device)
    size = group_size or group_size_for(network.device)
    with own_modes(), thread_groups(network.device, on_pause) as run:
        context = _context(network, generator, layer, parameters, size, run)
        climb = prepare_of(technique)(context, items)
        for step in range(parameters.steps):
            climb.step(step)
            if on_step is not None:
                on_step(step + 1)
            if climb.ended:
                break
        pictures = climb.finish()
    return scored(network, layer, items, pictures, parameters.input_size, group_size=size, on_pause=on_pause)


def _context(
    network: Network,
    generator: Generator | None,
    layer: str,
    parameters: BaseParameters,
    group_size: int,
    run: Run,
) -> Context[BaseParameters]:
    """Look at the network: what it needs to be run with, and where the layer lies in it."""
    input_size = parameters.input_size or network.preprocessing.size
    traced = anatomy(network.module, input_size)
    group_size = max(group_size, traced.least_batch)
    if traced.flaw is not None:
        # One item alone cures nothing where the network needs company to run.
        if traced.flaw.cure is None or traced.least_batch > 1:
            raise NetworkError(traced.flaw.reason)
        group_size = 1
    found = find_layer(network, layer, input_size)
    dtype = dtype_for(getattr(parameters, "precision", "float32"), network.device)
    prefix = Prefix(network.module, found.name, found.layout)
    fast = FastPrefix(prefix, network.dtype)
    if traced.flaw is None:  # else copies cannot be compared with it: it answers otherwise from time to time
        (fast,) = run(lambda layer: fast_prefix(network, layer, input_size, dtype), [found])
    return Context(
        network=network,
        generator=generator,
        layer=found,
        prefix=prefix,
        fast_prefix=fast,
        predicting=Predicting(network.module, traced),
        input_size=input_size,
        parameters=parameters,
        group_size=group_size,
        run=cured(run, traced.flaw, network.device),
    )
