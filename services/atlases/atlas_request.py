"""What an atlas is asked for with, and what it is extended or changed by."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints, WithJsonSchema

from imago_engine.candidates import MOST_CANDIDATES
from services.base.plain_text import VISIBLE
from services.base.states import Visibility
from services.catalog.layer_selection import LONGEST
from services.jobs.job_request import RecipeRequest

_STRICT = ConfigDict(extra="forbid", frozen=True)
MOST_FACETS = 16

Words = Annotated[str, Field(min_length=1, max_length=LONGEST)]
# Generators of code make a class of entries with bounds, and call it as that of the layers themselves.
_Entry = Annotated[Words, WithJsonSchema({"type": "string"})]
Layers = Annotated[
    Words | Annotated[list[_Entry], Field(min_length=1, max_length=2000)],
    Field(
        description="As in a job's target: `blocks` (stem, the output of every block, head, output),"
        " `convolutions`, `all`, a name, a pattern such as `blocks.2.*`, or several of these, as a list or"
        f" joined by commas; each of at most {LONGEST:,} characters",
        examples=["blocks"],
    ),
]
Units = Annotated[
    str | list[StrictInt],
    Field(
        description='Of each layer: "all", ranges such as "0-11,207", every n-th as "::4", a random sample '
        'as "sample:64@7", or a list of numbers; of a layer that has fewer, those that it has',
        examples=["all"],
    ),
]
Facets = Annotated[
    StrictInt, Field(ge=1, le=MOST_FACETS, description="Pictures of each unit: facet k is made with seed k")
]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=VISIBLE),
]


class AtlasRequest(BaseModel):
    """The chosen units of the chosen layers of a network, each in so many facets, by one recipe."""

    model_config = _STRICT

    network: Annotated[str, Field(min_length=1, max_length=200, description="Id of a network of the catalog")]
    name: Annotated[Name | None, Field(description="For people; null for the network's id")] = None
    layers: Layers = "blocks"
    units: Units = "all"
    facets: Facets = 1
    candidates: Annotated[
        StrictInt,
        Field(
            ge=1,
            le=MOST_CANDIDATES,
            description="Pictures made for each facet of a unit, of which that with the highest score is "
            "shown. Those of facet k are the pictures of the seeds k, k + 10001, k + 20002, … The others "
            "keep their addresses, and are listed among the unit's pictures",
        ),
    ] = 1
    recipe: Annotated[RecipeRequest, Field(default_factory=RecipeRequest)]
    generator: Annotated[
        str | None,
        Field(max_length=200, description="Id of a generator; null for the one that is the default now"),
    ] = None
    visibility: Annotated[
        Visibility, Field(description="private for its owner and admins, public for all who may read")
    ] = Visibility.PRIVATE


class AtlasExtension(BaseModel):
    """What an atlas is to have besides what it has. It only grows."""

    model_config = _STRICT

    layers: Annotated[
        Layers | None, Field(description="Layers to add, or to add units to; null for those that it has")
    ] = None
    units: Annotated[
        Units | None,
        Field(
            description="Units to add to each of these layers; null for those that the atlas was asked for"
        ),
    ] = None
    facets: Annotated[
        Facets | None, Field(description="Facets that each unit is to have; at least as many as now")
    ] = None


class AtlasChange(BaseModel):
    """Another name, or other readers."""

    model_config = _STRICT

    name: Name | None = None
    visibility: Visibility | None = None
