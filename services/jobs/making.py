"""How the pictures of a job's targets are made: by which technique and parameters, with which generator."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from imago_engine.canonical import canonical_json
from imago_engine.specs import Recipe
from imago_engine.techniques import technique_named
from imago_engine.techniques.automatic import AUTO, WITH_GENERATOR, chosen, leaves_open, named_size
from services.base.errors import Conflict, FieldError, Invalid, NotFound, pointer
from services.catalog.generators import Generator, get_generator
from services.catalog.layers import Layer
from services.catalog.networks import Network
from services.catalog.tables import GeneratorRow, NetworkRow
from services.jobs.job_request import RecipeRequest
from services.pictures.recipes import check_prior, needs_generator, recommended_for, resolve


@dataclass(frozen=True)
class Making:
    """A recipe, and the generator that it is carried out with; None for a technique that needs none."""

    recipe: Recipe
    generator: Generator | None

    @property
    def generator_id(self) -> str | None:
        """None for a technique that needs none."""
        return self.generator.id if self.generator else None

    @property
    def version(self) -> str:
        """The technique's: the pictures are named by it."""
        return technique_named(self.recipe.technique).version

    @property
    def input_size(self) -> int | None:
        """Side of the network's input in pixels, None for its own."""
        size: int | None = self.recipe.parameters["input_size"]
        return size


def keep(session: Session, row: type[NetworkRow] | type[GeneratorRow], id: str) -> None:
    """Nobody can remove it before the caller's transaction ends: what is planned may be inserted."""
    session.execute(sa.select(row.id).where(row.id == id).with_for_update(read=True, key_share=True))


def lowered(error: NotFound) -> str:
    """Its message, to go on with within a sentence."""
    message = str(error)
    return message[0].lower() + message[1:]


class Makings:
    """Settles the recipe of each layer of a request. What is wrong with a recipe is in `errors`, once."""

    def __init__(
        self,
        session: Session,
        network: Network,
        recipe: RecipeRequest,
        generator: str | None,
        *,
        pinned: str | None = None,
    ) -> None:
        """`pinned`: the generator to use where one is needed and none is named, instead of the default one.
        Raises `Conflict` as `of` does, where the technique is the same for all targets.
        """
        self.errors: list[FieldError] = []
        self._session, self._network, self._recipe = session, network, recipe
        self._generator = generator or pinned
        self._settled: dict[str, Making | None] = {}
        self._technique, named = recipe.technique, generator is not None
        if self._technique == AUTO and (named or not leaves_open(recipe.parameters)):
            self._technique = WITH_GENERATOR
        elif self._technique != AUTO and named and not needs_generator(self._technique):
            unused = f"is not used by {self._technique!r}, which needs no generator; leave it out"
            self.errors.append(FieldError("/generator", unused))
        if self._technique != AUTO:
            self._settle(self._technique)

    def counted_at(self) -> int | None:
        """Side of the input at which positions and tokens are counted, None for the network's own: with
        `auto` that of the generator's pictures. Raises `Conflict` as `of` does.
        """
        making = self._settle(WITH_GENERATOR if self._technique == AUTO else self._technique)
        return making.input_size if making else None

    def of(self, layer: Layer, *, names_place: bool) -> Making | None:
        """How pictures of the layer's units are made, at the usual place or at one that is named; None where
        that is not known, for what is in `errors`.

        Raises `Conflict` where a generator is needed and none is there.
        """
        if self._technique != AUTO:
            return self._settle(self._technique)
        choice = chosen(layer.receptive_field, layer.stride)
        size = choice.least_size and self._network.size_from(choice.least_size)
        if size is None:
            return self._settle(WITH_GENERATOR)
        named = self.counted_at() if names_place else named_size(size)
        return self._settle(choice.technique, {**choice.parameters, "input_size": named})

    def _settle(self, technique: str, suiting: Mapping[str, Any] | None = None) -> Making | None:
        """`suiting` are parameters that go before the technique's defaults, and after what was asked for."""
        key = canonical_json([technique, suiting])
        if key not in self._settled:
            try:
                self._settled[key] = self._making(technique, suiting or {})
            except Invalid as error:
                self.errors.extend(wrong for wrong in error.errors if wrong not in self.errors)
                self._settled[key] = None
        return self._settled[key]

    def _making(self, technique: str, suiting: Mapping[str, Any]) -> Making:
        network, asked = self._network, self._recipe.parameters
        generator = None
        if needs_generator(technique):
            generator = _generator(self._session, self._generator)
            suiting = network.suited(recommended_for(technique, generator.recommended))
        _check_input_size(network, asked)
        recipe = resolve(technique, asked, suiting)
        if generator is not None:
            check_prior(recipe, generator.id, has_prior=bool(generator.info.get("prior")))
            _check_fit(network, generator, recipe)
        return Making(recipe, generator)


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
    if recipe.parameters.get("fit") == "crop" and size is not None and size > generator.image_size:
        raise Invalid.field(
            pointer("recipe", "parameters", "fit"),
            f"'crop' needs a picture at least as large as the network's input: {generator.id} gives "
            f"{generator.image_size} pixels, the input has {size}; expected 'resize' or 'auto'",
        )


def _generator(session: Session, name: str | None) -> Generator:
    try:
        generator = get_generator(session, name)
        keep(session, GeneratorRow, generator.id)
        generator = get_generator(session, generator.id)
    except NotFound as error:
        if name is None:
            raise Conflict(
                "There is no generator yet: a worker registers the shipped one as it starts."
            ) from None
        raise Invalid.field("/generator", lowered(error)) from None
    if not generator.is_here:
        raise Invalid.field(
            "/generator",
            f"is known by imported pictures alone: the file of {generator.id}, with the sha256 "
            f"{generator.weights_sha256}, is not here",
        )
    return generator
