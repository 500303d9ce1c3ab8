"""What one process of `imago_engine.training` is to do: a `job.json`, or the options of its command line.

`TrainJob` prepares pictures, trains and exports in a row, `ExportJob` writes the generator of a checkpoint,
`BoundsJob` measures codes, `PackJob` makes one file of many pictures. Everything that can be known before it
begins is settled in the job; what was left to a preset is not.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    Field,
    SerializeAsAny,
    StrictInt,
    TypeAdapter,
    field_validator,
    model_validator,
)
from pydantic_core.core_schema import ValidationInfo

from imago_engine.trainings import (
    CORRUPT_SHARE,
    HELD_OUT,
    MINIMUM,
    PRESETS,
    CorruptShare,
    EncoderRequest,
    HeldOut,
    ImageSize,
    Minimum,
    Pictures,
    Precision,
    Seed,
    TrainingSettings,
)
from imago_engine.validation import Strict

JOB = "job.json"
"""The usual name of a job's file; what happens goes to `imago_engine.training_events.EVENTS` beside it."""
CHECKPOINT = "checkpoint.safetensors"
"""The state of a training in its folder: where it is, the training goes on."""
GENERATOR = "generator.safetensors"
"""What a training exports into its folder."""

DeviceChoice = Literal["auto", "cpu", "cuda"]
Every = Annotated[float, Field(ge=0, le=86_400)]


class Place(Strict):
    """A file or folder of this machine; messages call it by `name`, or by its path where it has none."""

    path: Path
    name: str | None = None

    @property
    def shown(self) -> str:
        """What messages call it."""
        return self.name or str(self.path)


class Reading(Strict):
    """What may be read of the sources, and how much."""

    data_root: Annotated[
        Place | None,
        Field(
            description="Symbolic links among the sources are followed to files below it; null for below "
            "each source"
        ),
    ] = None
    largest_picture_mib: Annotated[
        StrictInt, Field(ge=1, description="An encoded picture of more is left out")
    ] = 256
    largest_archive_gib: Annotated[
        StrictInt, Field(ge=1, description="A compressed archive that unpacks to more is an error")
    ] = 64


Sources = Annotated[
    list[Place],
    Field(min_length=1, description="Image folder, WebDataset .tar (or a folder of them), packed .npz"),
]


class DataPlan(Strict):
    """The pictures to prepare, in which size, and the layer whose codes go with them."""

    sources: Sources
    reading: Reading = Reading()
    encoder: EncoderRequest
    image_size: ImageSize
    held_out: HeldOut = HELD_OUT
    minimum: Minimum = MINIMUM
    corrupt_share: CorruptShare = CORRUPT_SHARE


class NewTraining(Strict):
    """How a training begins; one that goes on has it from its checkpoint."""

    preset: str
    settings: SerializeAsAny[TrainingSettings]
    """All of the preset's."""
    warm_start: Annotated[
        Place | None, Field(description="Start from this generator file instead of from random weights")
    ] = None

    @field_validator("preset")
    @classmethod
    def _known(cls, preset: str) -> str:
        if preset not in PRESETS:
            raise ValueError(f"must be one of {', '.join(PRESETS)}; got {preset!r:.80}")
        return preset

    @field_validator("settings", mode="before")
    @classmethod
    def _of_its_preset(cls, given: Any, others: ValidationInfo) -> Any:
        if isinstance(given, dict) and "preset" in others.data:
            return PRESETS[others.data["preset"]].settings.model_validate(given)
        return given


class _Job(Strict):
    device: Annotated[DeviceChoice, Field(description="Auto takes CUDA where it is there")] = "auto"
    threads: Annotated[
        StrictInt | None, Field(ge=1, description="CPU threads, at most; null for one a core")
    ] = None


class TrainJob(_Job):
    """Prepare pictures, train, export: each unless it is done already."""

    do: Literal["train"] = "train"
    folder: Annotated[Place, Field(description="Folder of this training, new or prepared")]
    data: DataPlan | None = None
    """Null where the folder holds them prepared."""
    begin: NewTraining | None = None
    """Null to go on from the folder's checkpoint, exactly as if the training had not stopped."""
    second_weights: Annotated[
        Place | None,
        Field(
            description="Weights file of the second network, which is then named by its architecture, "
            "such as torchvision:squeezenet1_1"
        ),
    ] = None
    """Null for those of the catalog or, going on, as before."""
    pictures: Pictures | None = None
    """To see in all, repeats included; null for the preset's or, going on, as planned."""
    until: Annotated[
        AwareDatetime | None,
        Field(description="End by then at the latest: the learning rate adapts"),
    ] = None
    precision: Precision | None = None
    """Null for float32 or, going on, as before."""
    resident: Annotated[
        bool,
        Field(
            description="Keep all pictures and codes in the device's memory; a GPU with room for them "
            "does so anyway"
        ),
    ] = False
    checkpoint_seconds: Every = 300
    sample_seconds: Every = 300
    log_seconds: Annotated[Every, Field(description="Time between reports of progress")] = 20

    @model_validator(mode="after")
    def _size_of_its_preset(self) -> Self:
        if self.begin is not None and self.data is not None:
            preset = PRESETS[self.begin.preset]
            if self.data.image_size not in preset.image_sizes:
                sizes = " or ".join(map(str, preset.image_sizes))
                raise ValueError(
                    f"an image size of {self.data.image_size} does not fit: preset {preset.id} makes "
                    f"pictures of {sizes} pixels"
                )
        return self


class ExportJob(_Job):
    """Write the generator of a folder's latest checkpoint and, beside it, its model card."""

    do: Literal["export"] = "export"
    folder: Annotated[Place, Field(description="Folder of the training (it may be running)")]
    out: Annotated[Path, Field(description="The .safetensors file to write")]
    recommended: Annotated[
        dict[str, Any] | None,
        Field(
            description="Recipe parameters of the ascent to recommend, a JSON object; null for the preset's"
        ),
    ] = None
    float32: Annotated[bool, Field(description="Store weights as float32 instead of float16")] = False


class BoundsJob(_Job):
    """Measure mean and standard deviation of an encoder's codes over pictures."""

    do: Literal["bounds"] = "bounds"
    sources: Sources
    reading: Reading = Reading()
    encoder: EncoderRequest
    out: Annotated[Path, Field(description="The .safetensors file to write: code_mean, code_std, code_lower")]


class PackJob(_Job):
    """Pack a sample of many pictures, shrunk, into one .npz of a given size, to be trained on elsewhere."""

    do: Literal["pack"] = "pack"
    sources: Sources
    reading: Reading = Reading()
    out: Annotated[Path, Field(description="The .npz file to write")]
    mib: Annotated[StrictInt, Field(ge=1, le=65_536, description="Size of the file in MiB, at most")] = 60
    size: Annotated[
        StrictInt,
        Field(ge=8, le=1024, description="Side in pixels of its pictures, at most: that of the generator's"),
    ] = 128
    weights: dict[str, Annotated[float, Field(gt=0, le=1000)]] = Field(default_factory=dict)
    """How much likelier a source's pictures are than those of others, by its file's or folder's name."""
    quality: Annotated[StrictInt, Field(ge=10, le=95, description="Of its JPEGs")] = 90
    held_out: Annotated[
        HeldOut, Field(description="Pictures kept of those that their sources hold out, at most")
    ] = 256
    seed: Annotated[Seed, Field(description="Of the sample")] = 0


Job = TrainJob | ExportJob | BoundsJob | PackJob
_JOBS: TypeAdapter[Job] = TypeAdapter(Annotated[Job, Field(discriminator="do")])


def read_job(path: Path) -> Job:
    """Raises OSError or pydantic's `ValidationError`."""
    return _JOBS.validate_json(path.read_bytes())


def write_job(job: Job, path: Path) -> None:
    """Write what `read_job` reads."""
    path.write_text(job.model_dump_json(indent=1))


def places_of(job: Job) -> list[Place]:
    """All places that the job names, in whichever of its fields."""
    return [*_places_in(job)]


def _places_in(value: object) -> Iterator[Place]:
    if isinstance(value, Place):
        yield value
    elif isinstance(value, BaseModel):
        for _, inner in value:
            yield from _places_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _places_in(inner)


def containers_of(job: Job) -> list[Place]:
    """The folders in which the job finds its other files."""
    if isinstance(job, BoundsJob | PackJob):
        found = [job.reading.data_root]
    elif isinstance(job, ExportJob):
        found = [job.folder]
    else:
        found = [job.folder, None if job.data is None else job.data.reading.data_root]
    return [place for place in found if place is not None]
