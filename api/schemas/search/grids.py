"""Grids of layers: in which order units are shown, and what each cell shows."""

from typing import Literal, Self

from pydantic import Field, model_validator

from api.http.paths import unit_path, visualization_path
from api.schemas.base import Name, Representation, RequestModel, Whole
from api.schemas.visualizations import ItemError
from services.base.states import State
from services.grids import cells
from services.grids.orders import By, Kind, Wanted


class GridQuery(RequestModel):
    """What a grid shows of a layer."""

    atlas: Name | None = Field(
        None, description="Id of an atlas; without one each unit is shown by the best picture there is."
    )
    version: Name | None = Field(
        None, description="Version of the atlas: a number, `open`, or `latest`, the default. Needs `atlas`."
    )
    facet: Whole = Field(
        0, ge=0, le=15, description="Which of the atlas's pictures of each unit. Needs `atlas`."
    )

    @model_validator(mode="after")
    def _of_an_atlas(self) -> Self:
        if self.atlas is None and (self.version is not None or self.facet):
            raise ValueError("version and facet are an atlas's: name it as `atlas`")
        return self


class OrderQuery(GridQuery):
    """Which units, and in which order."""

    by: By = Field(
        By.INDEX,
        description="`activation`: the strongest first; `percentile`: the same among photographs, where a"
        " scan has watched the layer; `label`: the class that the network sees in the picture, for the output"
        " the unit's own. Units without a picture come last.",
    )
    like: Whole | None = Field(
        None,
        ge=0,
        le=2**31 - 1,
        description="A unit: those whose pictures look like its own come first, whatever `by` says.",
    )
    state: Kind | None = Field(
        None,
        description="Only units whose pictures are so. `waiting`: not there yet; `unreachable`: no picture"
        " can exist; `dead`: no photograph of the newest scan excites the unit.",
    )
    label: Name | None = Field(
        None,
        description="Only units whose pictures the network sees as this class, among others, and those of"
        " the output that stand for it. A name, or the beginning of a word of it.",
    )

    @property
    def wanted(self) -> Wanted:
        """The same as the service takes it."""
        return Wanted(by=self.by, facet=self.facet, kind=self.state, label=self.label, like=self.like)


class CellsQuery(GridQuery):
    """Which cells."""

    units: str = Field(
        min_length=1,
        max_length=4000,
        description=f"In words, as in a job's target: `0-99`, `3,17,40-60`; at most {cells.MOST}.",
    )


class Seen(Representation):
    """A class that a network sees in a picture."""

    label: str = Field(description="Its name, or its number where none is known.")
    probability: float


class CellLinks(Representation):
    unit: str
    visualization: str | None
    image: str | None = Field(description="Null while there is no picture.")


class Cell(Representation):
    """A unit in a grid."""

    unit: int
    object: Literal["cell"] = "cell"
    label: str | None = Field(description="Name of its class, for a unit of the output.")
    state: State | None = Field(description="Of its picture; null where none was asked for.")
    digest: str | None
    activation: float | None = Field(description="Its response to the stored picture.")
    percentile: float | None = Field(
        description="Of 100 photographs so many excite it less; null where no scan tells: see `percentile` "
        "of a visualization."
    )
    seen: Seen | None = Field(description="What the network sees in the picture before all.")
    side: int | None = Field(description="Pixels of the picture's longer side.")
    error: ItemError | None
    dead: bool | None = Field(
        description="Whether no photograph of the newest scan excites it; null where no scan tells."
    )
    links: CellLinks

    @classmethod
    def of(cls, network: str, layer: str, cell: cells.Cell) -> Self:
        """The cell as it is shown."""
        path = None if cell.digest is None else visualization_path(cell.digest)
        seen = None
        if cell.seen is not None and cell.probability is not None:
            seen = Seen(label=cell.seen, probability=cell.probability)
        return cls(
            unit=cell.unit,
            label=cell.name,
            state=cell.state,
            digest=cell.digest,
            activation=cell.activation,
            percentile=cell.percentile,
            seen=seen,
            side=cell.side,
            error=ItemError.of(cell.error),
            dead=cell.dead,
            links=CellLinks(
                unit=unit_path(network, layer, cell.unit),
                visualization=path,
                image=f"{path}/image" if cell.state == State.DONE else None,
            ),
        )


class CellList(Representation):
    data: list[Cell] = Field(description="Ascending.")
