"""Turn a job's request into the specs that it asks for. Reads the catalog, writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from imago_engine.objectives import UnitObjective, canonical_position
from imago_engine.specs import Recipe, Spec
from imago_engine.techniques import technique_named
from imago_engine.units import UnitsError, parse_units
from services.base.errors import Conflict, FieldError, Invalid, NotFound, pointer
from services.catalog import catalog
from services.catalog.catalog import Generator, Layer, MapBounds, Network
from services.catalog.tables import GeneratorRow, NetworkRow
from services.estimates.cost_model import Kind
from services.jobs.job_request import JobRequest, Target
from services.pictures.recipes import check_prior, cost_of, needs_generator, resolve


@dataclass(frozen=True)
class Limits:
    """What one job may ask for."""

    max_units_per_job: int = 20_000


@dataclass(frozen=True, slots=True)
class Planned:
    """One item. Items of one `batch_key` can be computed together."""

    digest: str
    batch_key: str
    layer: str
    unit: int
    position: tuple[int, int] | None
    seed: int


@dataclass(frozen=True)
class Plan:
    """`items` has each digest once, in the order of the request: by target, unit, seed. `kinds` are theirs,
    by batch key. `generator` is None for a technique that needs none.
    """

    network: Network
    generator: Generator | None
    recipe: Recipe
    items: Sequence[Planned]
    kinds: Mapping[str, Kind]

    @property
    def generator_id(self) -> str | None:
        return self.generator.id if self.generator else None

    @property
    def version(self) -> str:
        """The technique's: the pictures are named by it."""
        return technique_named(self.recipe.technique).version


def plan(session: Session, request: JobRequest, limits: Limits) -> Plan:
    """Check the request against the catalog and expand it.

    Raises `Invalid` with a pointer for each wrong field, `Conflict` while the network is being inspected or
    no generator is there.
    """
    errors: list[FieldError] = []
    network = _network(session, request.network)
    generator = None
    if needs_generator(request.recipe.technique):
        generator = _generator(session, request.generator)
    elif request.generator is not None:
        unused = f"is not used by {request.recipe.technique!r}, which needs no generator; leave it out"
        errors.append(FieldError("/generator", unused))
    recipe = None
    try:
        _check_input_size(network, request.recipe.parameters)
        recommended = generator.recommended if generator else {}
        recipe = resolve(request.recipe.model_dump(), _suiting(network, recommended))
        if generator is not None:
            check_prior(recipe, generator.id, has_prior=bool(generator.info.get("prior")))
            _check_fit(network, generator, recipe)
    except Invalid as error:
        errors.extend(error.errors)
    targets: list[tuple[Layer, tuple[int, int] | None, Sequence[int]]] = []
    input_size = recipe.parameters.get("input_size") if recipe else None
    for index, target in enumerate(request.targets):
        try:
            targets.append(_target(session, network, target, index, input_size))
        except Invalid as error:
            errors.extend(error.errors)
    seeds = list(dict.fromkeys(request.seeds))
    asked = sum(len(units) for _, _, units in targets) * len(seeds)
    if asked > limits.max_units_per_job:
        errors.append(
            FieldError("/targets", f"asks for {asked} pictures; one job may have {limits.max_units_per_job}")
        )
    if errors or recipe is None:
        raise Invalid(errors)
    found: dict[str, Planned] = {}
    kinds: dict[str, Kind] = {}
    for layer, position, units in targets:
        for item in _expand(network, generator, recipe, layer, position, units, seeds):
            found.setdefault(item.digest, item)
            if item.batch_key not in kinds:
                generator_id = generator.id if generator else None
                kinds[item.batch_key] = Kind(
                    item.batch_key, network.id, layer.ordinal, generator_id, *cost_of(recipe)
                )
    return Plan(network, generator, recipe, tuple(found.values()), kinds)


def _keep(session: Session, row: type[NetworkRow] | type[GeneratorRow], id: str) -> None:
    """Nobody can remove it before the caller's transaction ends: what is planned may be inserted."""
    session.execute(sa.select(row.id).where(row.id == id).with_for_update(read=True, key_share=True))


def _network(session: Session, id: str) -> Network:
    _keep(session, NetworkRow, id)
    try:
        network = catalog.get_network(session, id)
    except NotFound as error:
        raise Invalid.field("/network", f"{_lowered(error)} POST /v1/networks registers one.") from None
    if network.state == "failed":
        raise Invalid.field("/network", f"{id!r} could not be loaded: {network.error}")
    if network.state == "pending":
        raise Conflict(f"The network {id!r} is waiting to be inspected by a worker; try again in a moment.")
    if network.inspection_due:
        # What was found of it before may be wrong, and would be in the names of the pictures.
        raise Conflict(
            f"The network {id!r} is waiting to be inspected again, by a worker of this release; its pictures "
            "can be read meanwhile. Try again in a moment."
        )
    return network


def _check_input_size(network: Network, parameters: Mapping[str, Any]) -> None:
    """Raises `Invalid` for a size that is asked for and that the network does not take."""
    size = parameters.get("input_size")
    if isinstance(size, int) and not isinstance(size, bool) and not network.runs_at(size):
        raise Invalid.field(
            pointer("recipe", "parameters", "input_size"),
            f"is a size that {network.id} does not run at: it takes {network.sizes_accepted()}, or null for "
            f"its own; got {size}",
        )


def _check_fit(network: Network, generator: Generator, recipe: Recipe) -> None:
    """Raises `Invalid` for a crop that is larger than the generator's picture."""
    size = recipe.parameters["input_size"] or network.own_size
    if recipe.parameters["fit"] == "crop" and size is not None and size > generator.image_size:
        raise Invalid.field(
            pointer("recipe", "parameters", "fit"),
            f"'crop' needs a picture at least as large as the network's input: {generator.id} gives "
            f"{generator.image_size} pixels, the input has {size}; expected 'resize' or 'auto'",
        )


def _suiting(network: Network, recommended: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the generator recommends, at the network's own size where it cannot run at the recommended one."""
    size = recommended.get("input_size")
    return recommended if size is None or network.runs_at(size) else {**recommended, "input_size": None}


def _generator(session: Session, name: str | None) -> Generator:
    try:
        generator = catalog.get_generator(session, name)
        _keep(session, GeneratorRow, generator.id)
        return catalog.get_generator(session, generator.id)
    except NotFound as error:
        if name is None:
            raise Conflict(
                "There is no generator yet: a worker registers the shipped one as it starts."
            ) from None
        raise Invalid.field("/generator", _lowered(error)) from None


def _target(
    session: Session, network: Network, target: Target, index: int, input_size: int | None
) -> tuple[Layer, tuple[int, int] | None, Sequence[int]]:
    here = ("targets", index)
    try:
        layer = catalog.get_layer(session, network.id, target.layer)
    except NotFound as error:
        raise Invalid.field(pointer(*here, "layer"), _lowered(error)) from None
    position = None
    if target.position is not None:
        assert network.preprocessing is not None  # a ready network has been inspected
        own_size = network.preprocessing["size"]
        bounds = catalog.map_at(layer, own_size, input_size or own_size)
        wrong = _wrong_position(layer, target.layer, target.position, bounds, input_size or own_size)
        if wrong:
            raise Invalid.field(pointer(*here, "position"), wrong)
        exact = bounds.most if bounds.least == bounds.most else None
        position = canonical_position(target.position, *(exact or (None, None)))
    try:
        units = parse_units(target.units, layer=target.layer, count=layer.units)
    except UnitsError as error:
        raise Invalid.field(pointer(*here, "units"), str(error)) from None
    return layer, position, units


def _wrong_position(
    layer: Layer, called: str, position: tuple[int, int], bounds: MapBounds, input_size: int
) -> str | None:
    """Why no map of the layer has this place, or None if one may: the engine has the last word."""
    if layer.spatial is None:
        return f"layer {called!r} has no map to choose a place of; leave the position out"
    y, x = position
    if bounds.most is None:
        return None if min(y, x) >= 0 else f"[y, x] are counted from 0; got [{y}, {x}]"
    height, width = bounds.most
    if 0 <= y < height and 0 <= x < width:
        return None
    at_most = "" if bounds.least == bounds.most else "at most "
    return (
        f"layer {called!r} has a map of {at_most}{height}×{width} at {input_size} pixels: [y, x] with y "
        f"in 0–{height - 1} and x in 0–{width - 1}; got [{y}, {x}]"
    )


def _expand(
    network: Network,
    generator: Generator | None,
    recipe: Recipe,
    layer: Layer,
    position: tuple[int, int] | None,
    units: Sequence[int],
    seeds: Sequence[int],
) -> Sequence[Planned]:
    assert network.spec_sha256 is not None  # a CHECK of the table: a ready network has it
    spec = Spec(
        network.id,
        network.spec_sha256,
        UnitObjective(layer=layer.name, unit=units[0], position=position),
        recipe.technique,
        recipe.parameters,
        seeds[0],
        technique_named(recipe.technique).version,
        generator.weights_sha256 if generator else None,
    )
    return [
        Planned(digest, spec.batch_key, layer.name, unit, position, seed)
        for unit, seed, digest in spec.digests(units, seeds)
    ]


def _lowered(error: NotFound) -> str:
    message = str(error)
    return message[0].lower() + message[1:]
