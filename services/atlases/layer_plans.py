"""What an atlas is to have of each layer: units, facets and the settled recipe. Reads the catalog only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy.orm import Session

from imago_engine.specs import Recipe
from imago_engine.units import UnitsError, UnitWords, read_units, written
from services.base.errors import FieldError, Invalid, NotFound
from services.catalog.generators import get_generator
from services.catalog.layers import Layer, get_layer
from services.catalog.networks import Network
from services.catalog.tables import LayerRow
from services.estimates.cost_model import Kind
from services.jobs.job_request import RecipeRequest
from services.jobs.making import Making, Makings
from services.jobs.planning import plan_layer

MOST_PICTURES = 20_000_000
"""Of one atlas."""


@dataclass(frozen=True)
class LayerPlan:
    """`units` in words, `unit_count` of them; `kind` is what a picture costs by."""

    layer: Layer
    making: Making
    units: str
    unit_count: int
    facets: int
    kind: Kind

    @property
    def pictures(self) -> int:
        """All units in all facets."""
        return self.unit_count * self.facets


def plan_layers(
    session: Session,
    network: Network,
    *,
    layers: str | Sequence[str],
    units: str | Sequence[int],
    facets: int,
    recipe: RecipeRequest,
    generator: str | None,
    pinned: str | None = None,
) -> list[LayerPlan]:
    """Settle what is asked for, in the order of the network. `pinned`: see `Makings`.

    Raises `Invalid` with a pointer for each wrong field, `Conflict` where a generator is needed and none is
    there.
    """
    makings = Makings(session, network, recipe, generator, pinned=pinned)
    errors: list[FieldError] = []
    plans: list[LayerPlan] = []
    try:
        chosen = select_layers(session, network, layers)
    except Invalid as error:
        chosen = []
        errors.extend(error.errors)
    try:
        words = _words(units, chosen)
    except UnitsError as error:
        errors.append(FieldError("/units", str(error)))
    else:
        for layer in chosen:
            making = makings.of(layer, names_place=False)
            found = words.of(layer.units)
            if making is not None and found:
                kind = kind_of(network, layer, making, found[0])
                plans.append(LayerPlan(layer, making, in_words(units), len(found), facets, kind))
    if errors or makings.errors:
        raise Invalid([*makings.errors, *errors])
    check_size(plans)
    return plans


def _words(units: str | Sequence[int], layers: Sequence[Layer]) -> UnitWords:
    """What the words mean: of each layer those units that it has. Raises `UnitsError` where they name a unit
    that no layer has, or none at all.
    """
    words = read_units(units)
    if layers:
        largest = max(layers, key=lambda layer: layer.units)
        wrong = words.beyond(largest.units)
        if wrong is not None:
            raise UnitsError(
                f"names unit {wrong}; the largest of these layers, {largest.name!r}, has {largest.units} "
                f"(0–{largest.units - 1})"
            )
        if not words.of(largest.units):
            raise UnitsError("names no unit of these layers")
    return words


def check_size(plans: Iterable[LayerPlan]) -> None:
    """Raises `Invalid` for more pictures than an atlas can have."""
    pictures = sum(plan.pictures for plan in plans)
    if pictures > MOST_PICTURES:
        raise Invalid.field("/layers", f"asks for {pictures} pictures; an atlas may have {MOST_PICTURES}")


def select_layers(session: Session, network: Network, words: str | Sequence[str]) -> list[Layer]:
    """The layers that are meant, in the order of the network. Raises `Invalid` at `/layers`."""
    rows = (
        session.query(LayerRow.name, LayerRow.kind)
        .where(LayerRow.network_id == network.id, LayerRow.is_current)
        .order_by(LayerRow.ordinal)
        .all()
    )
    chosen: set[str] = set()
    for word in [words] if isinstance(words, str) else words:
        if word == "all":
            chosen.update(row.name for row in rows)
        elif word == "blocks":
            blocks = [row.name for row in rows if row.kind in ("block", "stage", "output")]
            chosen.update(blocks or [row.name for row in rows])
        elif any(mark in word for mark in "*?["):
            matching = [row.name for row in rows if fnmatchcase(row.name, word)]
            if not matching:
                raise Invalid.field("/layers", f"no layer of {network.id} matches {word!r}")
            chosen.update(matching)
        else:
            try:
                chosen.add(get_layer(session, network.id, word).name)
            except NotFound as error:
                raise Invalid.field("/layers", str(error)) from None
    return [get_layer(session, network.id, row.name) for row in rows if row.name in chosen]


def kind_of(network: Network, layer: Layer, making: Making, unit: int) -> Kind:
    """What the pictures of a layer cost by."""
    (kind,) = plan_layer(network, layer, making, [unit], [0]).kinds.values()
    return kind


def in_words(units: str | Sequence[int]) -> str:
    """What stands for units in a row: as they were asked for, a list as ranges."""
    return units.strip() if isinstance(units, str) else written(sorted({*units}))


def making_json(plan: LayerPlan) -> dict[str, Any]:
    """What a row keeps of how a layer's pictures are made."""
    return {
        "technique": plan.making.recipe.technique,
        "parameters": dict(plan.making.recipe.parameters),
        "generator": plan.making.generator_id,
        "batch_key": plan.kind.batch_key,
    }


def making_of(session: Session, kept: Mapping[str, Any]) -> Making:
    """The same, read back."""
    generator = kept["generator"]
    return Making(
        Recipe(kept["technique"], kept["parameters"]),
        None if generator is None else get_generator(session, generator),
    )
