"""Maps of atlases: what a map is made of, its labels, and what is known of units on it."""

from typing import Literal, Self

from pydantic import Field

from api.http.paths import map_path, unit_path, visualization_path
from api.schemas.base import Representation, RequestModel, SelfLink, Time
from services.maps import details, maps

_PLACES = r"^[0-9]{1,5}:[0-9]{1,9}(,[0-9]{1,5}:[0-9]{1,9})*$"


class MapPointsQuery(RequestModel):
    """Which points."""

    name: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="`name` of the map that is meant: its points never change, and may be kept for ever. 404 "
        "where the version shows another one by now.",
    )


class MapUnitsQuery(RequestModel):
    """Which units."""

    places: str = Field(
        max_length=details.MOST * 16,
        pattern=_PLACES,
        description="Up to 200 of them, as they stand in the points: number of the layer and number of the "
        "unit, as in `0:207,3:12`.",
    )

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Numbers of layers and units."""
        pairs = (place.partition(":") for place in self.places.split(","))
        return [(int(layer), int(unit)) for layer, _, unit in pairs]


class MapLabel(Representation):
    """What the network says of the pictures of a region."""

    label: str
    x: float = Field(description="The middle of the units that are seen so, 0 to 1.")
    y: float
    units: int = Field(description="Of the region, that are seen so.")
    of: int = Field(description="Of the region.")


class MapShape(Representation):
    """A map that is made."""

    name: str = Field(description="Hash of what determines it.")
    eye: str = Field(description="What compared the pictures.")
    units: int
    fitted: int = Field(
        description="Units that it was fitted to: all, or a random sample of a large atlas. The others lie "
        "in the middle of those of the sample that they are most like."
    )
    pictures: int = Field(description="That the version had when the map was made.")
    unseen: int = Field(description="Units that are not on it: their pictures are not embedded yet.")
    layers: list[str] = Field(description="What the numbers of layers in the points stand for.")
    labels: list[list[MapLabel]] = Field(
        description="Coarse to fine, a list a level: show the first where all of the map is seen."
    )
    bytes: int = Field(description="Of its points.")
    made_at: Time


class MapLinks(SelfLink):
    points: str | None = Field(description="The points, in binary columns; null until there are any.")
    units: str | None = Field(description="What is known of some units.")


class AtlasMap(Representation):
    """The map of a version of an atlas: a place for each unit, so that those that want to see alike lie
    together."""

    object: Literal["map"] = "map"
    atlas: str
    version: int
    published: bool
    pictures: int = Field(description="That the version has now.")
    current: bool = Field(description="It shows all that there is.")
    coming: bool = Field(description="Workers are to make it, or to look whether something changed.")
    map: MapShape | None = Field(description="Null until there is one.")
    problem: str | None = Field(description="Why the last worker could not make it, or why none tries.")
    links: MapLinks

    @classmethod
    def of(cls, found: maps.ShownMap, eye: str) -> Self:
        """The map as it is shown."""
        path, map = map_path(found.atlas, found.number), found.map
        shape = None
        if map is not None:
            shape = MapShape(
                name=map.name,
                eye=eye,
                units=map.units,
                fitted=map.fitted,
                pictures=map.pictures,
                unseen=map.unseen,
                layers=list(map.layers),
                labels=[[MapLabel(**label) for label in level] for level in map.labels],
                bytes=map.points_bytes,
                made_at=map.made_at,
            )
        return cls(
            atlas=found.atlas,
            version=found.number,
            published=found.published,
            pictures=found.pictures,
            current=found.current,
            coming=found.coming,
            map=shape,
            problem=found.problem,
            links=MapLinks(
                self=path,
                points=None if map is None else f"{path}/points?name={map.name}",
                units=None if map is None else f"{path}/units",
            ),
        )


class MappedUnitLinks(Representation):
    unit: str = Field(description="Of the network.")
    visualization: str
    image: str


class MappedUnit(Representation):
    """A unit on a map, with the first of its facets that is done."""

    object: Literal["mapped_unit"] = "mapped_unit"
    layer: str
    unit: int
    facet: int
    digest: str
    activation: float | None
    label: str | None = Field(description="The class that the network sees in the picture.")
    probability: float | None
    links: MappedUnitLinks

    @classmethod
    def of(cls, unit: details.MappedUnit, network: str) -> Self:
        """The unit as it is shown."""
        picture = visualization_path(unit.digest)
        return cls(
            **vars(unit),
            links=MappedUnitLinks(
                unit=unit_path(network, unit.layer, unit.unit),
                visualization=picture,
                image=f"{picture}/image",
            ),
        )


class MappedUnits(Representation):
    """In the order that they were asked for in, without those that are not there."""

    data: list[MappedUnit]
