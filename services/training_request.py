"""What a generator's training is asked for with. What is left out is as the preset's own defaults say."""

import json
import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, model_validator

from services.times import Moment

_STRICT = ConfigDict(extra="forbid", frozen=True)
LONGEST_NAME = 255
"""Bytes of the name of a file or folder: what file systems take."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\\]")


def _below_the_root(source: str) -> str:
    """No path from a user leads out of the folder that the workers offer."""
    path = PurePosixPath(source)
    if path.is_absolute() or ".." in path.parts or not path.parts or _UNPRINTABLE.search(source):
        raise ValueError(
            "must be a name below the data root of the workers, such as birds or sets/birds.tar: "
            f"neither absolute nor with '..'; got {source!r:.80}"
        )
    longest = max(len(part.encode(errors="replace")) for part in path.parts)
    if longest > LONGEST_NAME:
        raise ValueError(f"must have names of at most {LONGEST_NAME} bytes each, got one of {longest}")
    return str(path)


def _finite(options: dict[str, Any]) -> dict[str, Any]:
    """JSON's 1e999 is read as infinity, which could not be written again."""
    try:
        json.dumps(options, allow_nan=False)
    except ValueError:
        raise ValueError("must hold no number that is too large to be one") from None
    return options


DEFAULT_ENCODER = "efficientnet_lite0.imagenet"
DEFAULT_CODE = {"layer": "bn2", "grid": 2}
"""What measured best of the default encoder: its last map, averaged to 2×2 places."""


class EncoderRequest(BaseModel):
    """The layer whose codes the generator learns to turn back into pictures."""

    model_config = _STRICT

    network: Annotated[
        str, Field(min_length=1, max_length=200, description="Id of a network of the catalog")
    ] = DEFAULT_ENCODER
    layer: Annotated[
        str,
        Field(
            min_length=1,
            max_length=200,
            description="Its layer, by dotted name; where none is named, EfficientNet-lite0's is bn2 with a "
            "grid of 2",
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


class TrainingRequest(BaseModel):
    """Pictures to learn from, the encoder to invert, and for how long."""

    model_config = _STRICT

    sources: Annotated[
        list[
            Annotated[
                str,
                Field(min_length=1, max_length=500),
                AfterValidator(_below_the_root),
            ]
        ],
        Field(
            min_length=1,
            max_length=64,
            description="Image folders, WebDataset tars (or folders of them) or packed .npz files, by their "
            "names below the data root of the workers",
        ),
    ]
    encoder: Annotated[EncoderRequest, Field(default_factory=EncoderRequest)]
    pictures: Annotated[
        StrictInt | None, Field(ge=1, le=10**11, description="Pictures to see in all, repeats included")
    ] = None
    until: Annotated[
        Moment | None, Field(description="End by then at the latest: the learning rate adapts")
    ] = None
    preset: Annotated[
        str | None,
        Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="How it is trained: id of a preset"),
    ] = None
    options: Annotated[
        dict[str, Any],
        AfterValidator(_finite),
        Field(
            default_factory=dict,
            description="What the preset alone takes, such as the weights of its losses, as its JSON "
            "Schema has it",
        ),
    ]
    warm_start: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=200,
            description="Id of a generator whose weights it starts from, as far as they fit; it must invert "
            "the same network",
        ),
    ] = None
    image_size: Annotated[
        Literal[32, 64, 128, 256] | None, Field(description="Side of the generator's pictures in pixels")
    ] = None
    batch: Annotated[StrictInt | None, Field(ge=2, le=65_536, description="Pictures a step")] = None
    learning_rate: Annotated[float | None, Field(gt=0, le=1, description="At its highest")] = None
    precision: Annotated[
        Literal["float32", "bfloat16"] | None,
        Field(description="Of the networks' arithmetic; losses and weights are float32 all the same"),
    ] = None
    feature_size: Annotated[
        StrictInt | None,
        Field(ge=32, le=1024, description="Side in pixels at which pictures are compared and judged"),
    ] = None
    seed: Annotated[
        StrictInt | None, Field(ge=0, le=2**31 - 1, description="Of weights, order and augmentation")
    ] = None
    held_out: Annotated[
        StrictInt | None, Field(ge=8, le=100_000, description="Pictures kept from training, to measure with")
    ] = None
    minimum: Annotated[
        StrictInt | None, Field(ge=8, description="Fewer pictures to train on than this are an error")
    ] = None
    corrupt_share: Annotated[
        float | None, Field(ge=0, le=1, description="More corrupt pictures than this are an error")
    ] = None
    sample_seconds: Annotated[
        StrictInt, Field(ge=1, le=86_400, description="Time between sample grids with held-out metrics")
    ] = 300
    checkpoint_seconds: Annotated[
        StrictInt,
        Field(ge=1, le=86_400, description="Time between checkpoints: what may be lost with a worker"),
    ] = 300
