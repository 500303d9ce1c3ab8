"""Load a network and a generator, list layers, and make pictures of units: the functions for notebooks."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

from imago_engine.candidates import best_first, candidate_seeds
from imago_engine.notebook.arguments import candidates_of, objective_of, place_given, seeds_of, units_of
from imago_engine.notebook.layer_table import LayerTable
from imago_engine.notebook.progress import Progress, look_shown, progress_of
from imago_engine.notebook.visualizations import Visualization, Visualizations
from imago_engine.objectives import place_of
from imago_engine.techniques import BaseParameters, Need, technique_named
from imago_engine.techniques.automatic import AUTO, WITH_GENERATOR, chosen, leaves_open, named_size
from imago_engine.weights import shipped_generator

if TYPE_CHECKING:
    import torch

    from imago_engine.synthesis.generators.architectures import Generator
    from imago_engine.synthesis.inspection.anatomy import TracedLayer
    from imago_engine.synthesis.networks.load import Network

DEFAULT = "default"
"""The generator that comes with the package."""


def load_generator(source: str | Path = DEFAULT, *, device: "torch.device | str" = "cpu") -> "Generator":
    """Load a generator: `default`, the one that comes with the package, or the path of a generator's file.

    Raises `GeneratorFileError` for a file that is none.
    """
    with _torch_needed():
        from imago_engine.synthesis.generators.files import load_generator as load

    return load(shipped_generator() if source == DEFAULT else source, device)


def load_network(id: str, *, device: "torch.device | str" = "cpu") -> "Network":
    """Load a network by the id of published weights, frozen and in eval mode.

    `efficientnet_lite0.imagenet` to `efficientnet_lite2.imagenet` come with the package; those of
    torchvision (`resnet18.IMAGENET1K_V1`) and timm (`resnet18.a1_in1k`) are downloaded. For a module of your
    own there is `Network.of`. Raises `UnknownNetwork` or `NetworkError`.
    """
    with _torch_needed():
        from imago_engine.synthesis.networks.load import load_network as load

    return load(id, device)


def list_layers(network: "Network | str", input_size: int | None = None) -> LayerTable:
    """The layers whose units can be asked for, in the order in which they run; in a notebook, a table.

    They are found by running the network, at its own input size unless another is given. Raises
    `NetworkError`.
    """
    with _torch_needed():
        from imago_engine.synthesis.inspection.layers import inspect

    return LayerTable(inspect(_network(network), input_size))


def synthesize(
    network: "Network | str",
    layer: str,
    units: str | SupportsIndex | Iterable[SupportsIndex],
    *,
    seeds: SupportsIndex | Iterable[SupportsIndex] = 0,
    candidates: SupportsIndex = 1,
    position: Iterable[SupportsIndex] | None = None,
    token: SupportsIndex | None = None,
    technique: str = "dgn-am",
    generator: "Generator | str | Path" = DEFAULT,
    device: "torch.device | str | None" = None,
    progress: Progress | bool = True,
    **parameters: Any,
) -> Visualizations:
    """Make the pictures that excite units of a network most, one for each unit and seed.

    `network` is a `Network` or the id of one. `layer` is a dotted name of `list_layers`, or `output` for the
    logits. `units` is a number, numbers, text such as `"0-7,12"` or `"all"`, or, of the output, the name of a
    class. Other `seeds` show other facets of a unit. `position` is (y, x) of a map and `token` the number of
    a token; without them units are read at the centre, or at a transformer's class token.

    Of each picture the best of `candidates`, up to 8, is shown, by what the network makes of the whole of it
    (its `score`); all of them, best first, are its `candidates`. Those of seed s are the pictures of the
    seeds s, s + 10001, s + 20002, …, as for jobs.

    `technique` is one of `all_techniques()`, or `auto`: what suits the layer, as for jobs that name none
    (`imago_engine.techniques.automatic`). `parameters` are those of the technique: `steps=100`,
    `learning_rate=0.1`, … (`help(DgnAm)` lists those of `dgn-am`); what is not given is as the generator's
    file recommends. `generator` is ignored by techniques that need none, such as `fourier`. `progress` is
    called with (steps done, steps in all); True shows a bar where tqdm is installed, and another one while a
    network is looked at for the first time, where the recipe needs that.

    Raises `LayerError`, `UnitsError`, `ObjectiveError`, `RecipeError`, `FitError`, `NetworkError`, or
    `ValueError` for seeds or candidates that are none, before any work.
    """
    with _torch_needed():
        from imago_engine.synthesis.ascent import synthesize as climb
        from imago_engine.synthesis.inspection.layers import find_layer
        from imago_engine.synthesis.pictures import Item

    count, position = candidates_of(candidates), place_given(position)
    shown = _network(network)
    if technique == AUTO:
        names_place = position is not None or token is not None
        if names_place and _is_usual(shown, layer, position, token, generator, parameters):
            names_place, position, token = False, None, None
        technique, parameters = _suiting(shown, layer, names_place, generator, parameters)
    needs = technique_named(technique).needs
    source = _generator(generator) if Need.GENERATOR in needs else None
    settled = _parameters(shown, source, technique, parameters)
    found = find_layer(shown, layer, settled.model_dump().get("input_size"))
    is_output = _names_its_units(shown, found, settled.input_size)
    chosen_seeds = seeds_of(seeds, count)
    numbers = units_of(units, found.name, found.shape[0], shown.labels if is_output else ())
    wanted = [
        (objective_of(found.name, unit, position, token, found.tokens), seed)
        for unit in numbers
        for asked in chosen_seeds
        for seed in candidate_seeds(asked, count)
    ]
    items = [Item(objective.unit, seed, place_of(objective)) for objective, seed in wanted]
    with (
        look_shown(progress, f"{shown.id}: first look"),
        progress_of(progress, settled.steps, f"{shown.id}/{layer}") as on_step,
    ):
        pictures = climb(shown, source, layer, items, settled, on_step=on_step, device=device)
    made = [
        Visualization.of(picture, shown, objective, seed, technique, settled, is_output)
        for picture, (objective, seed) in zip(pictures, wanted, strict=True)
    ]
    if count == 1:
        return Visualizations(made)
    best = []
    for first in range(0, len(made), count):
        several = made[first : first + count]
        ordered = [several[n] for n in best_first([one.score for one in several])]
        best.append(replace(ordered[0], candidates=Visualizations(ordered)))
    return Visualizations(best)


def _is_usual(
    network: "Network",
    layer: str,
    position: Iterable[SupportsIndex] | None,
    token: SupportsIndex | None,
    generator: "Generator | str | Path",
    given: dict[str, Any],
) -> bool:
    """Whether a position or token is the layer's usual one for the generator's pictures."""
    from imago_engine.synthesis.inspection.layers import find_layer

    settled = _parameters(network, _generator(generator), WITH_GENERATOR, given)
    found = find_layer(network, layer, settled.input_size)
    if len(found.shape) == 1:
        return False
    return place_of(objective_of(found.name, 0, position, token, found.tokens)) == found.place


def _suiting(
    network: "Network",
    layer: str,
    names_place: bool,
    generator: "Generator | str | Path",
    given: dict[str, Any],
) -> tuple[str, dict[str, Any]]:
    """The technique that `auto` stands for, and its parameters: as given, else as they suit the layer."""
    from imago_engine.synthesis.inspection.input_sizes import input_sizes
    from imago_engine.synthesis.inspection.layers import find_layer

    field = find_layer(network, layer).field
    choice = chosen(field.size, field.stride) if field is not None else chosen(None, None)
    if choice.least_size is None or not leaves_open(given):
        return WITH_GENERATOR, given
    if names_place:
        # A place is one of those that the layer has for the generator's pictures.
        size = _parameters(network, _generator(generator), WITH_GENERATOR, {}).input_size
    else:
        size = named_size(input_sizes(network).at_least(choice.least_size))
    return choice.technique, {**choice.parameters, "input_size": size, **given}


def _names_its_units(network: "Network", layer: "TracedLayer", input_size: int | None) -> bool:
    """Whether the network's labels are the names of the layer's units. Raises `NetworkError` where they are
    not those of its logits.
    """
    from imago_engine.synthesis.inspection.anatomy import anatomy
    from imago_engine.synthesis.networks.load import NetworkError

    traced, names = anatomy(network.module, input_size or network.preprocessing.size), len(network.labels)
    if traced.output is None:
        return layer.shape == (names,)
    classes = traced.layers[traced.output].shape[0]
    if names not in (0, classes):
        raise NetworkError(f"labels: expected {classes}, one a class; got {names}", network.id)
    return layer.name == traced.output


def _parameters(
    network: "Network", generator: "Generator | None", technique: str, given: dict[str, Any]
) -> BaseParameters:
    """As given, else as the generator recommends, at the network's own size where it cannot run at the
    recommended one. Raises `RecipeError`.
    """
    from imago_engine.synthesis.inspection.anatomy import anatomy
    from imago_engine.synthesis.networks.run import CannotRun

    recommended = dict(generator.info.recommended) if generator is not None else {}
    if recommended.get("input_size") is not None and "input_size" not in given:
        try:
            anatomy(network.module, recommended["input_size"])
        except CannotRun:
            del recommended["input_size"]
    return technique_named(technique).parameters({**recommended, **given})


@contextmanager
def _torch_needed() -> Iterator[None]:
    """Say what to install where torch is not."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error}: making pictures needs the extra `torch`: pip install 'imago-engine[torch]'",
            name=error.name,
        ) from error


def _network(network: "Network | str") -> "Network":
    from imago_engine.synthesis.networks.load import Network, NetworkError

    found = _network_of_id(network) if isinstance(network, str) else network
    if not isinstance(found, Network):
        raise NetworkError(
            f"expected a Network or the id of one; got a {type(found).__name__}: a module of your own is "
            "given as Network.of(module)"
        )
    return found


def _generator(generator: "Generator | str | Path") -> "Generator":
    if isinstance(generator, str | Path):
        return _default_generator() if generator == DEFAULT else load_generator(generator)
    return generator


@lru_cache(maxsize=4)
def _network_of_id(id: str) -> "Network":
    return load_network(id)


@cache
def _default_generator() -> "Generator":
    # Kept: what is known of its prototypes is remembered with it.
    return load_generator()
