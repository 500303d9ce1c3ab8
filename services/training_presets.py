"""The ways to train a generator, each with the options that it alone takes.

They are those of the recipes of the same names in the worker; these themselves are not imported, so that what
validates a request need not load torch. What all presets take stands in `TrainingRequest` itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.errors import FieldError, field_errors
from services.training_request import TrainingRequest

DEFAULT_PRESET = "default"
_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class DefaultOptions(BaseModel):
    """A projected GAN conditioned on the code, with a compact generator: learns on two CPU cores in hours."""

    model_config = _STRICT

    layout_weight: Annotated[
        float, Field(ge=0, le=1e6, description="Of the error of 8×8 averages, in the generator's loss")
    ] = 2.0
    feature_weight: Annotated[float, Field(ge=0, le=1e6, description="Of the error of features")] = 0.5
    code_weight: Annotated[
        float, Field(ge=0, le=1e6, description="Of the error of the feature network's code")
    ] = 0.5
    texture_weight: Annotated[
        float, Field(ge=0, le=1e6, description="Of the distance of the local strength of edges")
    ] = 4.0
    average_decay: Annotated[
        float,
        Field(ge=0, lt=1, description="Of the averaged weights, which are what is exported, a step"),
    ] = 0.999
    head_start: Annotated[
        int,
        Field(
            ge=0,
            le=10**11,
            description="Pictures during which the discriminator learns alone; of use with a warm start",
        ),
    ] = 0
    width: Annotated[
        float,
        Field(
            ge=0.1,
            le=4,
            description="Factor on the channels of the generator's stages: smaller is faster, larger may"
            " learn more",
        ),
    ] = 1.0


class DeepsimOptions(BaseModel):
    """The recipe released with DeePSiM (Dosovitskiy & Brox 2016), at 256 pixels: days on a GPU."""

    model_config = _STRICT

    pixel_weight: Annotated[float, Field(ge=0, le=1e6, description="Of Σ(error)²/2N of BGR in [0, 255]")] = (
        2e-6
    )
    feature_weight: Annotated[
        float, Field(ge=0, le=1e6, description="Of Σ(error)²/2N of the comparator's features")
    ] = 0.01
    adversarial_weight: Annotated[
        float, Field(ge=0, le=1e6, description="Of both adversaries' cross entropy")
    ] = 100.0
    weight_decay: Annotated[float, Field(ge=0, le=1, description="Added to the gradients")] = 4e-4
    halve_at: Annotated[
        list[Annotated[int, Field(ge=1, le=10**11)]],
        Field(min_length=1, max_length=64, description="Steps at which the learning rate is halved"),
    ] = [300_000, 500_000, 700_000, 900_000, 1_100_000]
    comparator: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=200,
            description="Id of the network whose features are compared; null for the encoder's",
        ),
    ] = None
    comparator_layer: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=200,
            description="Its layer, by dotted name; null for the last one whose channels have places",
        ),
    ] = None


@dataclass(frozen=True)
class Preset:
    """`image_sizes` and `feature_sizes` (the least and the largest) are in pixels; `architectures` are those
    of its generators. `defaults` is what the fields of a request are that are left out; an input size of None
    is the encoder's own.
    """

    options: type[BaseModel]
    image_sizes: tuple[int, ...]
    feature_sizes: tuple[int, int]
    architectures: tuple[str, ...]
    defaults: Mapping[str, Any]

    @property
    def description(self) -> str:
        return (self.options.__doc__ or "").strip()


PRESETS: Mapping[str, Preset] = {
    DEFAULT_PRESET: Preset(
        DefaultOptions,
        image_sizes=(32, 64, 128),
        feature_sizes=(32, 1024),
        architectures=("compact",),
        defaults={
            "pictures": 2_000_000,
            "image_size": 128,
            "input_size": 128,
            "feature_size": 96,
            "batch": 32,
            "learning_rate": 3e-4,
            "seed": 0,
        },
    ),
    "deepsim": Preset(
        DeepsimOptions,
        image_sizes=(256,),
        feature_sizes=(64, 256),
        architectures=("deepsim-fc6", "deepsim-pool5"),
        defaults={
            "pictures": 64_000_000,
            "image_size": 256,
            "input_size": None,
            "feature_size": 227,
            "batch": 64,
            "learning_rate": 2e-4,
            "seed": 0,
        },
    ),
}


def preset_of(request: TrainingRequest) -> Preset | None:
    """None for a name that is none."""
    return PRESETS.get(request.preset or DEFAULT_PRESET)


def check_preset(request: TrainingRequest) -> list[FieldError]:
    """What the preset does not take, with pointers into the body of the request."""
    preset = preset_of(request)
    if preset is None:
        accepted = ", ".join(PRESETS)
        return [FieldError("/training/preset", f"must be one of {accepted}; got {request.preset!r}")]
    name, errors = request.preset or DEFAULT_PRESET, []
    if request.image_size is not None and request.image_size not in preset.image_sizes:
        sizes = " or ".join(map(str, preset.image_sizes))
        errors.append(
            FieldError(
                "/training/image_size",
                f"must be {sizes} with preset {name}; got {request.image_size}",
            )
        )
    least, most = preset.feature_sizes
    if request.feature_size is not None and not least <= request.feature_size <= most:
        errors.append(
            FieldError(
                "/training/feature_size",
                f"must be {least} to {most} with preset {name}; got {request.feature_size}",
            )
        )
    try:
        preset.options.model_validate(request.options)
    except ValidationError as error:
        errors += field_errors(error, "training", "options", known=preset.options.model_fields)
    return errors
