"""What a job is submitted with."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler, StrictInt
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError

from imago_engine.candidates import MOST_CANDIDATES
from imago_engine.techniques import all_techniques
from imago_engine.techniques.automatic import AUTO
from services.base.states import Lane
from services.catalog.layer_selection import LONGEST

_STRICT = ConfigDict(extra="forbid", frozen=True)


class _TechniqueSchema:
    """Has a JSON Schema name the techniques that there are.

    As a pattern: of an `enum`, makers of clients would call the type as they call the schema `Technique`.
    """

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "pattern": f"^({'|'.join(map(re.escape, _accepted()))})$"}


def _accepted() -> list[str]:
    return [AUTO, *all_techniques()]


def _offered(technique: str) -> str:
    if technique not in _accepted():
        raise PydanticKnownError("literal_error", {"expected": " or ".join(map(repr, _accepted()))})
    return technique


class Target(BaseModel):
    """Units of a layer, or of several, each at one position of its map, or at one of its tokens."""

    model_config = _STRICT

    layer: Annotated[
        str,
        Field(
            min_length=1,
            max_length=LONGEST,
            description="Dotted name, `output` for the network's last layer; or several layers: `blocks`"
            " (stem, the output of every block, head, output), `convolutions`, `all`, a pattern such as"
            " `blocks.2.*`, or these joined by commas. Patterns leave out twins. A layer of a word's own name"
            " goes before the word, unless it is a twin; `.blocks` is the layer",
            examples=["output"],
        ),
    ]
    units: Annotated[
        str | list[StrictInt],
        Field(
            description='Ranges such as "0-11,207", every n-th as in "::4" or "0-99:4", "sample:64@7" for 64'
            ' drawn at random with seed 7, "all", these joined by commas, or a list of numbers. Of several'
            " layers each gives those that it has. Of the output of a network that names its classes also one"
            " of them: a whole label or a name that it lists, in any case",
            examples=["0-11,207"],
        ),
    ]
    position: Annotated[
        tuple[StrictInt, StrictInt] | None,
        Field(description="Row and column [y, x] of the layer's map; null for its centre"),
    ] = None
    token: Annotated[
        StrictInt | None,
        Field(
            ge=0,
            le=2**31 - 1,
            description="Number of the token, for a layer of tokens, in the order of the layer's output: "
            "special ones such as the class token are counted too, and come first in most networks; null "
            "for the layer's `usual_token`",
        ),
    ] = None


class RecipeRequest(BaseModel):
    """Parameters left out are as the generator recommends, else the technique's defaults.

    `auto` is resolved for each target: fourier for early layers, whose units see a few pixels and ask for
    edges and colours, the generator's technique for all others, and wherever a generator is named or a
    parameter that not every technique has.
    """

    model_config = _STRICT

    technique: Annotated[
        str,
        AfterValidator(_offered),
        _TechniqueSchema(),
        Field(description="How the pictures are made; auto is what suits the layer"),
    ] = AUTO
    parameters: Annotated[
        dict[str, Any], Field(description="As in the technique's JSON Schema", default_factory=dict)
    ]


class JobRequest(BaseModel):
    """Every unit of every target, with every seed, by one recipe. A picture asked for twice is one item."""

    model_config = _STRICT

    network: Annotated[str, Field(min_length=1, max_length=200, description="Id of a network of the catalog")]
    targets: Annotated[list[Target], Field(min_length=1, max_length=64)]
    generator: Annotated[
        str | None, Field(max_length=200, description="Id of a generator; null for the default one")
    ] = None
    recipe: Annotated[RecipeRequest, Field(default_factory=RecipeRequest)]
    seeds: Annotated[
        list[Annotated[StrictInt, Field(ge=0, le=2**31 - 1)]],
        Field(min_length=1, max_length=64, description="Each gives another facet of a unit"),
    ] = [0]
    candidates: Annotated[
        StrictInt,
        Field(
            ge=1,
            le=MOST_CANDIDATES,
            description="Pictures made for each unit and seed, of which that with the highest score is the "
            "best. Those of seed s are the pictures of the seeds s, s + 10001, s + 20002, … and stay facets "
            "of the unit; all of them count",
        ),
    ] = 1
    lane: Annotated[
        Lane, Field(description="interactive for someone who waits, bulk for what may take the night")
    ] = Lane.INTERACTIVE
