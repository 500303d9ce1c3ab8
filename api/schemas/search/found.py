"""What a search finds: units by what is seen in their pictures, and by likeness."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field

from api.http.paths import unit_path, visualization_path
from api.schemas.base import (
    Name,
    NoQuery,
    Page,
    PageQuery,
    Representation,
    SelfLink,
    Whole,
)
from services.search import changes, dead_units, labels, neighbours, without_pictures
from services.search.neighbours import MOST, Within

_COMPLETE = Field(
    description="False while pictures that might count are not indexed yet: ask again later, and there may "
    "be more."
)
_AT_LEAST = "excite their unit more than so many of 100 real ones that were scanned."
_PERCENTILE = Field(
    description="Of 100 real pictures so many excite the unit less; null where none were scanned that it can "
    "be compared with: see `percentile` of a visualization."
)
_NETWORK = Field(None, description="Only units of this network.")
_LAYER = Field(None, description="Only units of this layer; needs `network`.")


class UnitSearchQuery(PageQuery):
    """What is looked for: a label or a state."""

    label: Name | None = Field(
        None, description="Name of a class, or one of its synonyms, that the network sees in a picture."
    )
    state: Literal["unreachable", "dead"] | None = Field(
        None,
        description="Instead of `label`: `unreachable` for units of which no picture can exist, `dead` for "
        "those that no real picture excites which was scanned.",
    )
    min_percentile: float | None = Field(
        None,
        ge=0,
        le=100,
        description=f"With `label`: only pictures that {_AT_LEAST}. A page may be short, or"
        " empty, and have a next cursor.",
    )
    network: Name | None = _NETWORK
    layer: Name | None = _LAYER


_NOTHING = dict.fromkeys(("label", "rank", "probability", "activation", "percentile"))


class UnitLinks(SelfLink):
    visualization: str | None = Field(description="The picture, or what was found instead of one.")


class FoundUnit(Representation):
    """A unit, and the picture by which it was found."""

    id: str = Field(description="`network/layer/unit`.")
    object: Literal["unit"] = "unit"
    network: str
    layer: str
    unit: int
    state: Literal["done", "unreachable", "dead"]
    digest: str | None = Field(description="Null for a dead unit that has no picture.")
    label: str | None = Field(description="The class that the network sees; null without a picture.")
    rank: int | None = Field(description="1 where no class is more probable.")
    probability: float | None
    activation: float | None
    percentile: float | None = _PERCENTILE
    links: UnitLinks

    @classmethod
    def saying(cls, found: labels.Said, percentiles: Mapping[str, float]) -> Self:
        """A unit whose picture is seen as something; `percentiles` are by digest."""
        seen = {"label": found.label, "rank": found.rank, "probability": found.probability}
        excites = {"activation": found.activation, "percentile": percentiles.get(found.digest)}
        return cls.model_validate({**_place(found), "state": "done", **seen, **excites})

    @classmethod
    def unreachable(cls, found: without_pictures.Unreachable) -> Self:
        """A unit without a picture."""
        return cls.model_validate({**_place(found), "state": "unreachable", **_NOTHING})

    @classmethod
    def dead(cls, found: dead_units.Dead, percentiles: Mapping[str, float]) -> Self:
        """A unit that no scanned picture excites, with its best synthesized picture if it has any."""
        excites = {"activation": found.activation, "percentile": percentiles.get(found.digest or "")}
        return cls.model_validate({**_place(found), "state": "dead", **_NOTHING, **excites})


class FoundUnitPage(Page[FoundUnit]):
    complete: bool = _COMPLETE


class LabelQuery(NoQuery):
    """How a label begins."""

    prefix: Name = Field(description="The beginning of a label, or of a word in it.")
    network: Name | None = Field(None, description="Only labels of this network.")


class LabelList(Representation):
    data: list[str] = Field(description="Labels, those first that begin so.")


class NeighbourQuery(NoQuery):
    """Where neighbours are looked for."""

    within: Within = Field(Within.LAYER, description="The layer, the network, or everything there is.")
    digest: Name | None = Field(None, description="A picture of the unit; else it is the best one.")
    limit: Whole = Field(20, ge=1, le=MOST, description="How many to return at most.")
    min_percentile: float | None = Field(
        None, ge=0, le=100, description=f"Of the {MOST} likest only those whose pictures {_AT_LEAST}"
    )


class Neighbour(Representation):
    """A unit, by the one of its pictures that is likest."""

    id: str = Field(description="`network/layer/unit`.")
    object: Literal["neighbour"] = "neighbour"
    network: str
    layer: str
    unit: int
    digest: str
    similarity: float = Field(description="Cosine of what the eye makes of the two pictures, at most 1.")
    activation: float
    percentile: float | None = _PERCENTILE
    current: bool = Field(description="Whether the picture is of the network as it is now.")
    links: UnitLinks

    @classmethod
    def of(cls, found: neighbours.Neighbour, percentiles: Mapping[str, float]) -> Self:
        """The neighbour as it is shown; `percentiles` are by digest."""
        measured = {
            "similarity": found.similarity,
            "activation": found.activation,
            "percentile": percentiles.get(found.digest),
        }
        return cls.model_validate({**_place(found), **measured, "current": found.current})


class Neighbours(Representation):
    """Units with like pictures, the likest first."""

    digest: str = Field(description="The picture that the others were compared with.")
    eye: str = Field(description="What compared them. Those of different eyes are never compared.")
    data: list[Neighbour]
    complete: bool = _COMPLETE


class ChangesQuery(PageQuery):
    """Which layers are compared."""

    network: Name = Field(description="Id of a network.")
    layer: Name = Field(description="One of its layers.")
    other: Name = Field(
        description="Id of the network that it is compared with, such as an earlier checkpoint."
    )
    other_layer: Name | None = Field(None, description="A layer of that, if it has another name there.")


class Change(Representation):
    """A unit of both networks, and how unlike its best pictures are."""

    id: str = Field(description="`network/layer/unit`.")
    unit: int
    distance: float = Field(description="1 minus the cosine of what the eye makes of them, 0 to 2.")
    digest: str
    other_digest: str
    activation: float
    other_activation: float

    @classmethod
    def of(cls, change: changes.Change, network: str, layer: str) -> Self:
        """The change as it is shown."""
        return cls(id=f"{network}/{layer}/{change.unit}", **vars(change))


class ChangePage(Page[Change]):
    complete: bool = _COMPLETE


def _place(
    found: labels.Said | without_pictures.Unreachable | dead_units.Dead | neighbours.Neighbour,
) -> dict[str, Any]:
    """The fields that say which unit, and which picture of it."""
    return {
        "id": f"{found.network}/{found.layer}/{found.unit}",
        "network": found.network,
        "layer": found.layer,
        "unit": found.unit,
        "digest": found.digest,
        "links": UnitLinks(
            self=unit_path(found.network, found.layer, found.unit),
            visualization=None if found.digest is None else visualization_path(found.digest),
        ),
    }
