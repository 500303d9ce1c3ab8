"""Presets: how generators can be trained."""

from typing import Any, Literal, Self

from pydantic import Field

from api.http.paths import path_to
from api.schemas.base import Name, Page, Representation, RequestModel, SelfLink
from imago_engine import trainings


class PresetPath(RequestModel):
    """The address of a preset."""

    preset: Name = Field(description="Id of a preset.")


class PresetDefaults(Representation):
    """What the fields of a training are that are left out."""

    pictures: int
    image_size: int
    input_size: int | None = Field(description="Of the encoder; null for the network's own.")
    feature_size: int
    batch: int
    learning_rate: float
    seed: int


class Preset(Representation):
    id: str
    object: Literal["preset"] = "preset"
    description: str
    is_default: bool
    image_sizes: list[int] = Field(
        description="Sides in pixels of the pictures that its generators can make."
    )
    feature_sizes: tuple[int, int] = Field(description="The least and the largest `feature_size`.")
    architectures: list[str] = Field(description="Of its generators, and so of those it can start from.")
    defaults: PresetDefaults
    options: dict[str, Any] = Field(
        alias="schema", description="JSON Schema of `training.options`, with defaults and ranges."
    )
    links: SelfLink

    @classmethod
    def of(cls, preset: trainings.Preset) -> Self:
        """The preset as it is shown."""
        return cls(
            id=preset.id,
            description=preset.description,
            is_default=preset.id == trainings.DEFAULT_PRESET,
            image_sizes=list(preset.image_sizes),
            feature_sizes=preset.feature_sizes,
            architectures=list(preset.architectures),
            defaults=PresetDefaults(**preset.defaults),
            schema=preset.options.model_json_schema(),
            links=SelfLink(self=path_to("presets", preset.id)),
        )


class PresetPage(Page[Preset]):
    pass
