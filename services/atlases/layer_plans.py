"""What an atlas is to have of each layer: units, facets and the settled recipe. Reads the catalog only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from imago_engine.specs import Recipe
from imago_engine.units import UnitsError, written
from services.base.errors import FieldError, Invalid
from services.catalog.generators import get_generator
from services.catalog.layer_selection import LayerWords, NoSuchLayers
from services.catalog.layers import Layer
from services.catalog.networks import Network
from services.catalog.unit_selection import read_for
from services.estimates.cost_model import Kind
from services.jobs.job_request import RecipeRequest
from services.jobs.making import Making, Makings
from services.jobs.planning import plan_layer

MOST_PICTURES = 20_000_000
"""Of one atlas."""


@dataclass(frozen=True)
class LayerPlan:
    """`units` in words, `unit_count` of them; `kind` is what a picture costs by. Of each facet `candidates`
    pictures are made."""

    layer: Layer
    making: Making
    units: str
    unit_count: int
    facets: int
    kind: Kind
    candidates: int = 1

    @property
    def pictures(self) -> int:
        """All candidates of all units in all facets."""
        return self.unit_count * self.facets * self.candidates


def plan_layers(
    session: Session,
    network: Network,
    *,
    layers: str | Sequence[str],
    units: str | Sequence[int],
    facets: int,
    candidates: int,
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
        words = read_for(units, chosen)
    except UnitsError as error:
        errors.append(FieldError("/units", str(error)))
    else:
        for layer in chosen:
            making = makings.of(layer, names_place=False)
            found = words.of(layer.units)
            if making is not None and found:
                kind = kind_of(network, layer, making, found[0])
                words_kept = in_words(units)
                plans.append(LayerPlan(layer, making, words_kept, len(found), facets, kind, candidates))
    if errors or makings.errors:
        raise Invalid([*makings.errors, *errors])
    check_size(plans)
    return plans


def check_size(plans: Iterable[LayerPlan]) -> None:
    """Raises `Invalid` for more pictures than an atlas can have."""
    pictures = sum(plan.pictures for plan in plans)
    if pictures > MOST_PICTURES:
        raise Invalid.field("/layers", f"asks for {pictures} pictures; an atlas may have {MOST_PICTURES}")


def select_layers(session: Session, network: Network, words: str | Sequence[str]) -> Sequence[Layer]:
    """The layers that are meant, in the order of the network. Raises `Invalid` at `/layers`."""
    try:
        return LayerWords(session, network.id).find(words).layers
    except NoSuchLayers as error:
        raise Invalid.field("/layers", str(error)) from None


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
