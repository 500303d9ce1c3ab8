"""What a generator's training is asked for with. What is left out is as the preset's own defaults say."""

import json
import re
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from imago_engine.trainings import EncoderRequest, TrainingChoices
from services.base.times import Moment

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


class TrainingRequest(TrainingChoices):
    """Pictures to learn from, the encoder to invert, and for how long."""

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
