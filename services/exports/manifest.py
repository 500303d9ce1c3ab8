"""What an exported atlas says, as far as an import needs it. Other members are passed over."""

import math
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, Base64Bytes, BaseModel, ConfigDict, Field, StrictInt

from imago_engine.networks import Role
from services.atlases.atlas_request import MOST_FACETS, Name
from services.base.plain_text import label

_PASSING_OVER = ConfigDict(extra="ignore", frozen=True)
FORMAT, FORMAT_VERSION = "imago-atlas", 1
AT_ONCE = 100

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[StrictInt, Field(ge=0, le=2**31 - 1)]
Some = Annotated[StrictInt, Field(ge=1, le=2**31 - 1)]
Short = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Real = Annotated[float, Field(allow_inf_nan=False, ge=-1e38, le=1e38)]
Share = Annotated[float, Field(ge=0, le=1)]
_DEEPEST = 20
_MOST_UNITS = 1_000_000
"""Of a layer that nobody has inspected here: a request spells its units out."""
_YEARS = range(1970, 9000)


def _storable(value: Any, depth: int = 0) -> Any:
    """Raises `ValueError` for what JSON in a database cannot hold."""
    if depth > _DEEPEST:
        raise ValueError("is nested too deeply")
    if isinstance(value, dict):
        for name, inner in value.items():
            _storable(name, depth)
            _storable(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _storable(inner, depth + 1)
    elif isinstance(value, str):
        if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise ValueError("has a text with NUL or half a character")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("has a number that JSON does not have")
    return value


def _sensible(moment: datetime) -> datetime:
    """Raises `ValueError` for a time that no reader could show in its own zone."""
    if moment.year not in _YEARS:
        raise ValueError(f"is no time at which a picture was made; expected a year from {_YEARS.start} on")
    return moment


def _box(edges: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = edges
    if left > right or top > bottom:
        raise ValueError("is no box: expected left, top, right, bottom")
    return edges


Anything = Annotated[dict[str, Any], AfterValidator(_storable)]
Label = Annotated[str, AfterValidator(label)]


class ExportedRecipe(BaseModel):
    """A technique with all of its parameters."""

    model_config = _PASSING_OVER

    technique: Short
    parameters: Anything


class ExportedGenerator(BaseModel):
    """A generator that pictures were made with."""

    model_config = _PASSING_OVER

    id: Short
    weights_sha256: Sha256
    architecture: Short
    code_shape: Annotated[list[Some], Field(max_length=8)]
    image_size: Some
    encoder: Short
    recommended: Anything = {}
    training: Anything = {}


class InspectedLayer(BaseModel):
    """A layer as the exporting service had inspected it."""

    model_config = _PASSING_OVER

    ordinal: Count
    kind: Short
    units: Annotated[StrictInt, Field(ge=1, le=_MOST_UNITS)]
    height: Some | None = None
    width: Some | None = None
    receptive_field: Some | None = None
    stride: Some | None = None
    tokens: Some | None = None
    usual_token: Count | None = None
    class_token: Count | None = None
    role: Role | None = None
    twin_of: Short | None = None


class ExportedLayer(BaseModel):
    """A layer of the version; `lines` of units.jsonl are about it."""

    model_config = _PASSING_OVER

    layer: Short
    ordinal: Count
    units: Annotated[str, Field(min_length=1, max_length=10_000_000, pattern=r"^[^\x00-\x1f\x7f]+$")]
    unit_count: Some
    shown_units: Some
    facets: Annotated[StrictInt, Field(ge=1, le=MOST_FACETS)]
    technique: Short
    parameters: Anything
    generator: Short | None
    pictures: Count
    unreachable: Count
    lines: Some
    in_network: InspectedLayer | None = None


class ExportedNetwork(BaseModel):
    """The network as the exporting service knew it.

    `stated` is what was stated of it when it was registered. Earlier releases did not tell: whether anything
    was is then seen by the two hashes.
    """

    model_config = _PASSING_OVER

    source: Short
    architecture: Short
    weights: Short | None = None
    weights_sha256: Sha256 | None = None
    network_sha256: Sha256 | None = None
    classes: Some | None = None
    labels: Annotated[list[Label], Field(max_length=100_000)] = []
    stated: Anything | None = None


class AtlasManifest(BaseModel):
    """The manifest of an exported atlas, `atlas.json`."""

    model_config = _PASSING_OVER

    format: Literal["imago-atlas"]
    format_version: Literal[1]
    atlas: Short
    version: Some
    name: Name
    network: Short
    network_sha256: Sha256
    network_now: ExportedNetwork | None = None
    layers: Annotated[list[ExportedLayer], Field(min_length=1, max_length=10_000)]
    recipes: Annotated[dict[Sha256, ExportedRecipe], Field(max_length=10_000)]
    generators: Annotated[list[ExportedGenerator], Field(max_length=1_000)]
    entries: Some
    pictures: Count


class ExportedPrediction(BaseModel):
    """What the network says of a picture."""

    model_config = _PASSING_OVER

    index: Count
    probability: Share


class ExportedError(BaseModel):
    """Why there is no picture."""

    model_config = _PASSING_OVER

    code: Short
    message: Annotated[str, AfterValidator(_storable), Field(max_length=10_000)]
    retryable: bool = False


class ExportedEntry(BaseModel):
    """A line of units.jsonl, and the bytes of its file as base64."""

    model_config = _PASSING_OVER

    layer: Short
    unit: Count
    facet: Annotated[StrictInt, Field(ge=0, lt=MOST_FACETS)]
    digest: Sha256
    state: Literal["done", "unreachable"]
    position: tuple[Count, Count] | None = None
    token: Count | None = None
    seed: Annotated[StrictInt, Field(ge=0, le=2**31 - 1)]
    recipe: Sha256
    generator_sha256: Sha256 | None = None
    engine: Short
    activation: Real | None = None
    score: Real | None = None
    predictions: Annotated[list[ExportedPrediction], Field(max_length=100)] | None = None
    crop_box: Annotated[tuple[Count, Count, Count, Count], AfterValidator(_box)] | None = None
    provenance: Anything | None = None
    error: ExportedError | None = None
    finished_at: Annotated[AwareDatetime, AfterValidator(_sensible)] | None = None
    sha256: Sha256 | None = None
    source_sha256: Sha256 | None = None
    content: Base64Bytes | None = None


class EntrySlice(BaseModel):
    """Entries that follow one another; `first` is the number of the first among all lines, from 0."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first: Count
    entries: Annotated[list[ExportedEntry], Field(min_length=1, max_length=AT_ONCE)]
