"""Techniques: how pictures can be made."""

from typing import Any, Literal, Self

from pydantic import Field

from api.http.paths import path_to
from api.schemas.base import Name, Page, PageQuery, Representation, RequestModel, SelfLink
from imago_engine import techniques
from services.catalog.generators import Generator
from services.pictures.recipes import recommended_for, resolve


class TechniquePath(RequestModel):
    """The address of a technique."""

    technique: Name = Field(description="Id of a technique.")


class TechniqueQuery(RequestModel):
    """Whose values are shown."""

    generator: Name | None = Field(
        None, description="Id of the generator whose values are shown; by default the default one."
    )


class TechniqueListQuery(PageQuery, TechniqueQuery):
    """Whose values are shown, and which page."""


class Technique(Representation):
    id: str
    object: Literal["technique"] = "technique"
    description: str
    # Not `schema`, which is a method of pydantic's models.
    parameters: dict[str, Any] = Field(
        alias="schema", description="JSON Schema of `recipe.parameters`, with defaults and ranges."
    )
    values: dict[str, Any] = Field(
        description="What each parameter is where a job does not name it: as the generator recommends, else"
        " the technique's default. Where a network cannot take that `input_size`, jobs use its own."
    )
    generator: str | None = Field(
        description="The generator of `values`; null while there is none, and where the technique needs none:"
        " then they are the technique's own."
    )
    links: SelfLink

    @classmethod
    def of(cls, technique: techniques.Technique, generator: Generator | None) -> Self:
        """The technique as it is shown."""
        if techniques.Need.GENERATOR not in technique.needs:
            generator = None
        suiting = recommended_for(technique.id, generator.recommended) if generator else {}
        return cls(
            id=technique.id,
            description=technique.description,
            schema=technique.Parameters.model_json_schema(),
            values=dict(resolve(technique.id, {}, suiting).parameters),
            generator=generator.id if generator else None,
            links=SelfLink(self=path_to("techniques", technique.id)),
        )


class TechniquePage(Page[Technique]):
    pass
