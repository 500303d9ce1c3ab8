"""Techniques: how pictures can be made."""

from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from api.paths import path_to
from api.schemas.base import Name, Page, Representation, RequestModel, SelfLink


class TechniquePath(RequestModel):
    technique: Name = Field(description="Id of a technique.")


class Technique(Representation):
    id: str
    object: Literal["technique"] = "technique"
    description: str
    # Not `schema`, which is a method of pydantic's models.
    parameters: dict[str, Any] = Field(
        alias="schema", description="JSON Schema of `recipe.parameters`, with defaults and ranges."
    )
    links: SelfLink

    @classmethod
    def of(cls, id: str, model: type[BaseModel]) -> Self:
        return cls(
            id=id,
            description=(model.__doc__ or "").strip(),
            schema=model.model_json_schema(),
            links=SelfLink(self=path_to("techniques", id)),
        )


class TechniquePage(Page[Technique]):
    pass
