"""What a generator's training is asked for with. What is left out is as the preset's own defaults say."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from imago_engine.trainings import EncoderRequest, TrainingChoices
from services.access.data_root import SourceNames
from services.base.times import Moment


def _finite(options: dict[str, Any]) -> dict[str, Any]:
    """JSON's 1e999 is read as infinity, which could not be written again."""
    try:
        json.dumps(options, allow_nan=False)
    except ValueError:
        raise ValueError("must hold no number that is too large to be one") from None
    return options


class TrainingRequest(TrainingChoices):
    """Pictures to learn from, the encoder to invert, and for how long."""

    sources: SourceNames
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
