"""Generators."""

from typing import Any, Literal, Self

from pydantic import Field

from api.http.paths import path_to
from api.schemas.base import Name, Page, Representation, RequestModel, SelfLink, Time
from services.catalog import generators


class GeneratorPath(RequestModel):
    """The address of a generator."""

    generator: Name = Field(description="Id of a generator.")


class Generator(Representation):
    """What turns a code into an image. Its id stands for one file of weights for ever."""

    id: str
    object: Literal["generator"] = "generator"
    is_default: bool = Field(description="Whether it is used where a job names none.")
    is_here: bool = Field(
        description="Whether its file is: false where it is known by imported pictures alone, and nothing "
        "can be made with it."
    )
    architecture: str
    code_shape: list[int]
    image_size: int = Field(description="Side of its images in pixels.")
    encoder: str = Field(description="Id of the network whose codes it inverts.")
    weights_sha256: str
    recommended: dict[str, Any] = Field(description="Recipe parameters that suit it.")
    training: dict[str, Any] = Field(description="What it was trained on, and how.")
    created_at: Time
    links: SelfLink

    @classmethod
    def of(cls, generator: generators.Generator) -> Self:
        """The generator as it is shown."""
        return cls(
            id=generator.id,
            is_default=generator.is_default,
            is_here=generator.is_here,
            architecture=generator.architecture,
            code_shape=list(generator.code_shape),
            image_size=generator.image_size,
            encoder=generator.encoder,
            weights_sha256=generator.weights_sha256,
            recommended=dict(generator.recommended),
            training=dict(generator.info.get("training") or {}),
            created_at=generator.created_at,
            links=SelfLink(self=path_to("generators", generator.id)),
        )


class GeneratorPage(Page[Generator]):
    pass
