"""What a search finds: units by what is seen in their pictures, and by likeness."""

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
from services.search import changes, labels, neighbours, without_pictures
from services.search.neighbours import MOST, Within

_COMPLETE = Field(
    description="False while pictures that might count are not indexed yet: ask again later, and there may "
    "be more."
)
_NETWORK = Field(None, description="Only units of this network.")
_LAYER = Field(None, description="Only units of this layer; needs `network`.")


class UnitSearchQuery(PageQuery):
    """What is looked for: a label or a state."""

    label: Name | None = Field(
        None, description="Name of a class, or one of its synonyms, that the network sees in a picture."
    )
    state: Literal["unreachable"] | None = Field(
        None, description="Instead of `label`: units of which no picture can exist."
    )
    network: Name | None = _NETWORK
    layer: Name | None = _LAYER


class UnitLinks(SelfLink):
    visualization: str = Field(description="The picture, or what was found instead of one.")


class FoundUnit(Representation):
    """A unit, and the picture by which it was found."""

    id: str = Field(description="`network/layer/unit`.")
    object: Literal["unit"] = "unit"
    network: str
    layer: str
    unit: int
    state: Literal["done", "unreachable"]
    digest: str
    label: str | None = Field(description="The class that the network sees; null without a picture.")
    rank: int | None = Field(description="1 where no class is more probable.")
    probability: float | None
    activation: float | None
    links: UnitLinks

    @classmethod
    def saying(cls, found: labels.Said) -> Self:
        """A unit whose picture is seen as something."""
        seen = {"label": found.label, "rank": found.rank, "probability": found.probability}
        return cls.model_validate({**_place(found), "state": "done", **seen, "activation": found.activation})

    @classmethod
    def unreachable(cls, found: without_pictures.Unreachable) -> Self:
        """A unit without a picture."""
        nothing = dict.fromkeys(("label", "rank", "probability", "activation"))
        return cls.model_validate({**_place(found), "state": "unreachable", **nothing})


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
    current: bool = Field(description="Whether the picture is of the network as it is now.")
    links: UnitLinks

    @classmethod
    def of(cls, found: neighbours.Neighbour) -> Self:
        """The neighbour as it is shown."""
        measured = {"similarity": found.similarity, "activation": found.activation}
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


def _place(found: labels.Said | without_pictures.Unreachable | neighbours.Neighbour) -> dict[str, Any]:
    """The fields that say which unit, and which picture of it."""
    return {
        "id": f"{found.network}/{found.layer}/{found.unit}",
        "network": found.network,
        "layer": found.layer,
        "unit": found.unit,
        "digest": found.digest,
        "links": UnitLinks(
            self=unit_path(found.network, found.layer, found.unit),
            visualization=visualization_path(found.digest),
        ),
    }
