"""Turn a job's request into the specs that it asks for. Reads the catalog, writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy.orm import Session

from imago_engine.candidates import SEED_STEP, candidate_seeds
from imago_engine.objectives import canonical_position, canonical_token, objective_at
from imago_engine.specs import Spec
from imago_engine.units import UnitsError
from services.base.errors import Conflict, FieldError, Invalid, NotFound, pointer
from services.catalog.layer_selection import LayerWords, NoSuchLayers, Selection
from services.catalog.layers import Layer, MapBounds, map_at, most_tokens, unit_labels
from services.catalog.networks import Network, get_network
from services.catalog.tables import NetworkRow
from services.catalog.unit_selection import ChosenUnits, choose_units
from services.estimates.cost_model import Kind
from services.jobs.job_request import JobRequest, Target
from services.jobs.making import Making, Makings, keep, lowered
from services.pictures.recipes import cost_of

_Place: TypeAlias = tuple[tuple[int, int] | None, int | None]
"""A position and a token."""
_LARGEST = 2**31 - 1
"""What a column of the database holds at most."""


@dataclass(frozen=True)
class Limits:
    """What one job may ask for."""

    max_units_per_job: int = 20_000


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """One item. Items of one `batch_key` can be computed together."""

    digest: str
    batch_key: str
    layer: str
    unit: int
    position: tuple[int, int] | None
    token: int | None
    seed: int
    making: Making


@dataclass(frozen=True)
class Plan:
    """`items` has each digest once, in the order of the request: by target, unit, seed, candidate. All
    candidates of a unit and seed follow each other. `kinds` are theirs, by batch key. `targets` are the
    request's, one for each layer that they mean; `asked` is what asks for each of these by its layer's name.
    """

    network: Network
    targets: Sequence["PlannedTarget"]
    asked: Sequence[Target]
    items: Sequence[PlannedItem]
    kinds: Mapping[str, Kind]


@dataclass(frozen=True)
class PlannedTarget:
    """Units of one layer, checked."""

    layer: Layer
    position: tuple[int, int] | None
    token: int | None
    units: Sequence[int]
    making: Making


def plan(session: Session, request: JobRequest, limits: Limits) -> Plan:
    """Check the request against the catalog and expand it.

    Raises `Invalid` with a pointer for each wrong field, `Conflict` while the network is being inspected or
    where a generator is needed and none is there.
    """
    network = ready_network(session, request.network)
    makings = Makings(session, network, request.recipe, request.generator)
    errors: list[FieldError] = []
    wanted: list[PlannedTarget] = []
    asked_targets: list[Target] = []
    words = LayerWords(session, network.id)
    pictures = 0
    seeds, wrong_seeds = _seeds(request)
    for index, target in enumerate(request.targets):
        try:
            selection = _layers(words, target, index)
            named = target.position is not None or target.token is not None
            size = makings.counted_at() if named else None
            parts: list[tuple[Target, Layer, _Place, Making | None]] = []
            for layer in selection.layers:
                of_layer = _of_layer(target, layer, selection)
                place = _place(network, layer, of_layer, index, size)
                making = makings.of(layer, names_place=place != (None, None))
                parts.append((of_layer, layer, place, making))
            # Last: what is wrong with the recipe is said together with what is wrong with the units.
            units = _units(session, selection, target, index)
        except Invalid as error:
            errors.extend(error.errors)
            continue
        for of_layer, layer, place, making in parts:
            if (chosen := units.get(layer.name)) is None:
                continue
            pictures += len(chosen.numbers) * len(seeds)
            if making is not None:
                wanted.append(PlannedTarget(layer, *place, chosen.numbers, making))
                asked_targets.append(of_layer.model_copy(update={"units": chosen.words}))
    if pictures > limits.max_units_per_job:
        detail = f"asks for {pictures} pictures; one job may have {limits.max_units_per_job}"
        errors.append(FieldError("/targets", detail))
    errors += wrong_seeds
    if errors or makings.errors:
        raise Invalid([*makings.errors, *errors])
    return _planned(network, wanted, seeds, asked_targets)


def plan_layer(
    network: Network, layer: Layer, making: Making, units: Sequence[int], seeds: Sequence[int]
) -> Plan:
    """The pictures of a layer's units, each at its usual place. All has been checked."""
    return _planned(network, [PlannedTarget(layer, None, None, units, making)], seeds)


def _planned(
    network: Network, wanted: Sequence[PlannedTarget], seeds: Sequence[int], asked: Sequence[Target] = ()
) -> Plan:
    found: dict[str, PlannedItem] = {}
    kinds: dict[str, Kind] = {}
    for target_wanted in wanted:
        for item in _expand(network, target_wanted, seeds):
            found.setdefault(item.digest, item)
            if item.batch_key not in kinds:
                kinds[item.batch_key] = Kind(
                    item.batch_key,
                    network.id,
                    target_wanted.layer.ordinal,
                    item.making.generator_id,
                    *cost_of(item.making.recipe),
                )
    return Plan(network, wanted, asked, tuple(found.values()), kinds)


def ready_network(session: Session, id: str) -> Network:
    """The network, kept until the transaction ends. Raises `Invalid` at `/network`, or `Conflict` while a
    worker has yet to inspect it.
    """
    keep(session, NetworkRow, id)
    try:
        network = get_network(session, id)
    except NotFound as error:
        raise Invalid.field("/network", f"{lowered(error)} POST /v1/networks registers one.") from None
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


def _layers(words: LayerWords, target: Target, index: int) -> Selection:
    try:
        return words.find(target.layer)
    except NoSuchLayers as error:
        raise Invalid.field(pointer("targets", index, "layer"), str(error)) from None


def _of_layer(target: Target, layer: Layer, selection: Selection) -> Target:
    """The target of one of the layers that it means; a name stays as it was written."""
    return target if selection.is_name else target.model_copy(update={"layer": layer.name})


def _units(session: Session, selection: Selection, target: Target, index: int) -> Mapping[str, ChosenUnits]:
    labels: Sequence[str] = ()
    if selection.is_name and isinstance(target.units, str):
        labels = unit_labels(session, selection.layers[0])
    try:
        return choose_units(selection, target.units, named=target.layer, labels=labels)
    except UnitsError as error:
        raise Invalid.field(pointer("targets", index, "units"), str(error)) from None


def _seeds(request: JobRequest) -> tuple[list[int], list[FieldError]]:
    """The seeds of all candidates, those of each seed that was asked for together, and what is wrong with
    them: no picture may be the candidate of two seeds, or the best of one could be that of the other.
    """
    count = request.candidates
    seeds = [seed for asked in dict.fromkeys(request.seeds) for seed in candidate_seeds(asked, count)]
    errors = []
    if len(set(seeds)) < len(seeds):
        detail = f"has seeds that share candidates: with {count} of them, seeds must not differ by " + (
            " or ".join(str(step * SEED_STEP) for step in range(1, count))
        )
        errors.append(FieldError("/seeds", detail))
    if max(seeds) > _LARGEST:
        most = _LARGEST - (count - 1) * SEED_STEP
        errors.append(FieldError("/seeds", f"must be at most {most} with {count} candidates"))
    return seeds, errors


def _place(network: Network, layer: Layer, target: Target, index: int, input_size: int | None) -> _Place:
    """The target's position and token at an input size, None for the usual ones."""
    assert network.preprocessing is not None  # a ready network has been inspected
    own_size = network.preprocessing["size"]
    size = input_size or own_size
    bounds = map_at(layer, own_size, size)
    wrong = {
        "position": _wrong_position(layer, target, bounds, size),
        "token": _wrong_token(layer, target, own_size, size),
    }
    errors = [FieldError(pointer("targets", index, name), why) for name, why in wrong.items() if why]
    if errors:
        raise Invalid(errors)
    exact = bounds.most if bounds.least == bounds.most else None
    # At another size another patch is at the centre.
    usual = layer.usual_token if size == own_size else layer.class_token
    return canonical_position(target.position, *(exact or (None, None))), canonical_token(target.token, usual)


def _wrong_position(layer: Layer, target: Target, bounds: MapBounds, input_size: int) -> str | None:
    """Why no map of the layer has this place, or None if one may: the engine has the last word."""
    if target.position is None:
        return None
    if layer.tokens is not None:
        return f"layer {target.layer!r} has no map but tokens; leave the position out, or name a token"
    if layer.spatial is None:
        return f"layer {target.layer!r} has no map to choose a place of; leave the position out"
    y, x = target.position
    if bounds.most is None:
        there = min(y, x) >= 0 and max(y, x) <= _LARGEST
        return None if there else f"[y, x] are counted from 0; got [{y}, {x}]"
    height, width = bounds.most
    if 0 <= y < height and 0 <= x < width:
        return None
    at_most = "" if bounds.least == bounds.most else "at most "
    return (
        f"layer {target.layer!r} has a map of {at_most}{height}×{width} at {input_size} pixels: [y, x] with "
        f"y in 0–{height - 1} and x in 0–{width - 1}; got [{y}, {x}]"
    )


def _wrong_token(layer: Layer, target: Target, own_size: int, input_size: int) -> str | None:
    """The same for a token."""
    if target.token is None:
        return None
    most = most_tokens(layer, own_size, input_size)
    if most is None:
        return f"layer {target.layer!r} has no tokens; leave the token out"
    if target.token < most:
        return None
    count = f"{most} tokens" if input_size == own_size else f"at most {most} tokens at {input_size} pixels"
    return f"layer {target.layer!r} has {count} (0–{most - 1}); got {target.token}"


def _expand(network: Network, wanted: PlannedTarget, seeds: Sequence[int]) -> Sequence[PlannedItem]:
    assert network.spec_sha256 is not None  # a CHECK of the table: a ready network has it
    layer, making = wanted.layer.name, wanted.making
    position, token = wanted.position, wanted.token
    spec = Spec(
        network.id,
        network.spec_sha256,
        objective_at(layer, wanted.units[0], position=position, token=token),
        making.recipe.technique,
        making.recipe.parameters,
        seeds[0],
        making.version,
        making.generator.weights_sha256 if making.generator else None,
    )
    return [
        PlannedItem(digest, spec.batch_key, layer, unit, position, token, seed, making)
        for unit, seed, digest in spec.digests(wanted.units, seeds)
    ]
