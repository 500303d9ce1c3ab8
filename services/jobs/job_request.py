"""What a job is submitted with."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler, StrictInt
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError

from services.base.states import Lane
from services.pictures.recipes import offered_techniques

_STRICT = ConfigDict(extra="forbid", frozen=True)


class _TechniqueSchema:
    """Has a JSON Schema name the techniques that there are."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        found = list(offered_techniques())
        return {"type": "string", **({"const": found[0]} if len(found) == 1 else {"enum": found})}


def _offered(technique: str) -> str:
    found = offered_techniques()
    if technique not in found:
        raise PydanticKnownError("literal_error", {"expected": " or ".join(map(repr, found))})
    return technique


class Target(BaseModel):
    """Units of one layer, each at one position of its map."""

    model_config = _STRICT

    layer: Annotated[
        str,
        Field(min_length=1, max_length=200, description="Dotted name; `output` for the network's last layer"),
    ]
    units: Annotated[
        str | list[StrictInt],
        Field(description='Ranges such as "0-11,207", a list of numbers, or "all"', examples=["0-11,207"]),
    ]
    position: Annotated[
        tuple[StrictInt, StrictInt] | None,
        Field(description="Row and column [y, x] of the layer's map; null for its centre"),
    ] = None


class RecipeRequest(BaseModel):
    """Parameters left out are as the generator recommends, else the technique's defaults."""

    model_config = _STRICT

    technique: Annotated[
        str, AfterValidator(_offered), _TechniqueSchema(), Field(description="How the pictures are made")
    ] = "dgn-am"
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
    lane: Annotated[
        Lane, Field(description="interactive for someone who waits, bulk for what may take the night")
    ] = Lane.INTERACTIVE
