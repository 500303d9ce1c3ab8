"""How generators are trained: the presets, each with its options, and what every training can be asked for.

`TrainingChoices` and `EncoderRequest` are what a training may be asked for, by the API and the command line
alike: None leaves a choice to the preset. A `Preset` has the options that it alone takes (`options`) and,
with them, all that a training settles before it begins (`settings`). The ranges are what the engine can run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, model_validator

from imago_engine.validation import Strict

ImageSize = Literal[32, 64, 128, 256]
Precision = Literal["float32", "bfloat16"]
Batch = Annotated[StrictInt, Field(ge=2, le=65_536)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
FeatureSize = Annotated[StrictInt, Field(ge=32, le=1024)]
Seed = Annotated[StrictInt, Field(ge=0, le=2**31 - 1)]
Pictures = Annotated[StrictInt, Field(ge=1, le=10**11)]
Seconds = Annotated[StrictInt, Field(ge=1, le=86_400)]
HeldOut = Annotated[StrictInt, Field(ge=8, le=100_000)]
Minimum = Annotated[StrictInt, Field(ge=8)]
CorruptShare = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
Name = Annotated[str, Field(min_length=1, max_length=200)]

DEFAULT_PRESET = "default"
DEFAULT_ENCODER = "efficientnet_lite0.imagenet"
DEFAULT_CODE = {"layer": "bn2", "grid": 2}
"""What measured best of the default encoder: its last map, averaged to 2×2 places."""
HELD_OUT, MINIMUM, CORRUPT_SHARE = 512, 256, 0.05
"""What `TrainingChoices` has of the data where nothing was chosen."""


class EncoderRequest(BaseModel):
    """The layer whose codes the generator learns to turn back into pictures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: Annotated[Name, Field(description="Id of a network of the catalog")] = DEFAULT_ENCODER
    layer: Annotated[
        Name,
        Field(
            description="Its layer, by dotted name; where none is named, EfficientNet-lite0's is bn2 with a "
            "grid of 2"
        ),
    ] = "global_pool"
    input_size: Annotated[
        StrictInt | None, Field(ge=32, le=1024, description="Side in pixels of the pictures that it encodes")
    ] = None
    grid: Annotated[
        StrictInt | None,
        Field(
            ge=1,
            le=64,
            description="Average its map to so many places each way, so that a code also says where; null "
            "for the map as it is",
        ),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _best_code(cls, given: Any) -> Any:
        names_none = isinstance(given, dict) and "layer" not in given
        if names_none and given.get("network", DEFAULT_ENCODER) == DEFAULT_ENCODER:
            return {**DEFAULT_CODE, **given}
        return given


class TrainingChoices(BaseModel):
    """What any training can be asked for, whatever its preset. None is as the preset has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pictures: Annotated[Pictures | None, Field(description="Pictures to see in all, repeats included")] = None
    image_size: Annotated[
        ImageSize | None, Field(description="Side of the generator's pictures in pixels")
    ] = None
    batch: Annotated[Batch | None, Field(description="Pictures a step")] = None
    learning_rate: Annotated[LearningRate | None, Field(description="At its highest")] = None
    precision: Annotated[
        Precision | None,
        Field(description="Of the networks' arithmetic; losses and weights are float32 all the same"),
    ] = None
    feature_size: Annotated[
        FeatureSize | None,
        Field(description="Side in pixels at which pictures are compared and judged"),
    ] = None
    seed: Annotated[Seed | None, Field(description="Of weights, order and augmentation")] = None
    held_out: Annotated[HeldOut | None, Field(description="Pictures kept from training, to measure with")] = (
        None
    )
    minimum: Annotated[
        Minimum | None, Field(description="Fewer pictures to train on than this are an error")
    ] = None
    corrupt_share: Annotated[
        CorruptShare | None, Field(description="More corrupt pictures than this are an error")
    ] = None
    sample_seconds: Annotated[
        Seconds, Field(description="Time between sample grids with held-out metrics")
    ] = 300
    checkpoint_seconds: Annotated[
        Seconds, Field(description="Time between checkpoints: what may be lost with a worker")
    ] = 300


class TrainingSettings(Strict):
    """What every preset settles; `batch` counts the pictures of a step over all processes."""

    batch: Batch
    seed: Seed = 0
    learning_rate: LearningRate
    feature_size: FeatureSize


class DefaultOptions(Strict):
    """A projected GAN conditioned on the code, with a compact generator: learns on two CPU cores in hours."""

    layout_weight: Annotated[
        Weight, Field(description="Of the error of 8×8 averages, in the generator's loss")
    ] = 2.0
    feature_weight: Annotated[Weight, Field(description="Of the error of features")] = 0.5
    code_weight: Annotated[Weight, Field(description="Of the error of the feature network's code")] = 0.5
    texture_weight: Annotated[Weight, Field(description="Of the distance of the local strength of edges")] = (
        4.0
    )
    pattern_weight: Annotated[
        Weight,
        Field(description="Of what all pictures have in common at each pixel, and real ones have not"),
    ] = 4.0
    average_decay: Annotated[
        float,
        Field(ge=0, lt=1, description="Of the averaged weights, which are what is exported, a step"),
    ] = 0.999
    ascent_share: Annotated[
        float,
        Field(
            ge=0,
            le=0.5,
            description="Of a batch: codes such as an ascent finds, which no picture has and which are only "
            "judged",
        ),
    ] = 0.0
    reachable_share: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Of a batch's pictures: their codes are reduced to the nearest ones that an ascent"
            " can reach; of use with long codes",
        ),
    ] = 0.0
    second_network: Annotated[
        Name | None,
        Field(
            description="Id of a network of the catalog that compares and judges pictures as well, best of "
            "another family; null for none"
        ),
    ] = None
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


class DefaultSettings(DefaultOptions, TrainingSettings):
    """All that preset `default` settles. `feature_size` is the discriminator's input."""

    batch: Batch = 32
    learning_rate: LearningRate = 3e-4
    feature_size: FeatureSize = 96


class DeepsimOptions(Strict):
    """The recipe released with DeePSiM (Dosovitskiy & Brox 2016), at 256 pixels: days on a GPU."""

    pixel_weight: Annotated[Weight, Field(description="Of Σ(error)²/2N of BGR in [0, 255]")] = 2e-6
    feature_weight: Annotated[Weight, Field(description="Of Σ(error)²/2N of the comparator's features")] = (
        0.01
    )
    adversarial_weight: Annotated[Weight, Field(description="Of both adversaries' cross entropy")] = 100.0
    weight_decay: Annotated[float, Field(ge=0, le=1, description="Added to the gradients")] = 4e-4
    halve_at: Annotated[
        list[Annotated[int, Field(ge=1, le=10**11)]],
        Field(min_length=1, max_length=64, description="Steps at which the learning rate is halved"),
    ] = [300_000, 500_000, 700_000, 900_000, 1_100_000]  # noqa: RUF012 pydantic copies it
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


class DeepsimSettings(DeepsimOptions, TrainingSettings):
    """All that preset `deepsim` settles. `feature_size` is the central square that comparator and
    discriminator see.
    """

    batch: Batch = 64
    learning_rate: LearningRate = 2e-4
    # The discriminator needs 64 pixels, and the pictures have 256.
    feature_size: Annotated[StrictInt, Field(ge=64, le=256)] = 227


@dataclass(frozen=True)
class Preset:
    """One way to train a generator. Sizes are in pixels.

    `pictures` is how many a training sees, repeats included; `image_size` of its pictures, one of
    `image_sizes`; an `encoder_size` of None is the encoder's own. `architectures` are those of its
    generators.
    """

    id: str
    options: type[Strict]
    settings: type[TrainingSettings]
    pictures: int
    image_size: ImageSize
    image_sizes: tuple[ImageSize, ...]
    encoder_size: int | None
    architectures: tuple[str, ...]

    @property
    def description(self) -> str:
        return (self.options.__doc__ or "").strip()

    @property
    def feature_sizes(self) -> tuple[int, int]:
        """The least and the largest `feature_size`."""
        stated = self.settings.model_json_schema()["properties"]["feature_size"]
        return stated["minimum"], stated["maximum"]

    @property
    def defaults(self) -> Mapping[str, Any]:
        """What a training has where nothing was chosen, by the names of `TrainingChoices`; `input_size` is
        the encoder's."""
        fields = self.settings.model_fields
        return {
            "pictures": self.pictures,
            "image_size": self.image_size,
            "input_size": self.encoder_size,
            **{name: fields[name].default for name in ("feature_size", "batch", "learning_rate", "seed")},
        }

    def settled(self, choices: TrainingChoices, options: Mapping[str, Any]) -> TrainingSettings:
        """All that a training of this preset settles: what was chosen, `options` that the preset alone takes,
        and its defaults. Raises pydantic's `ValidationError`.
        """
        chosen = {name: getattr(choices, name) for name in TrainingSettings.model_fields}
        return self.settings.model_validate(
            {**{name: value for name, value in chosen.items() if value is not None}, **options}
        )


PRESETS: Mapping[str, Preset] = {
    preset.id: preset
    for preset in (
        Preset(
            DEFAULT_PRESET,
            DefaultOptions,
            DefaultSettings,
            pictures=2_000_000,
            image_size=128,
            image_sizes=(32, 64, 128),
            encoder_size=128,
            architectures=("compact",),
        ),
        Preset(
            "deepsim",
            DeepsimOptions,
            DeepsimSettings,
            pictures=64_000_000,  # 1M steps of 64
            image_size=256,
            image_sizes=(256,),
            encoder_size=None,
            architectures=("deepsim-fc6", "deepsim-pool5"),
        ),
    )
}
