"""Scans of real pictures, how far they are, and what they find of units: exemplars and statistics."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self
from urllib.parse import urlencode

from pydantic import Field

from api.http.paths import network_path, path_to, unit_path
from api.schemas.base import (
    HeaderModel,
    Name,
    NoQuery,
    Page,
    PageQuery,
    Representation,
    RequestModel,
    SelfLink,
    Time,
    Whole,
    idempotency_key,
)
from api.schemas.networks import Unit, UnitLinks, UnitPath
from api.schemas.visualizations import PERCENTILE, Item
from imago_engine.exemplars.quantiles import LEVELS, MOST_KEPT
from services.base.states import ScanState
from services.catalog import layers
from services.exemplars import found
from services.exemplars.request import ScanRequest
from services.exemplars.scans import ScanView
from services.pictures.visualizations import Visualization as VisualizationView


class SubmitScan(RequestModel, ScanRequest):
    """Pictures to look at with a network."""

    network: Name = Field(description="Id of a network.")

    @property
    def request(self) -> ScanRequest:
        """What is asked of that network."""
        sent = {name: getattr(self, name) for name in self.model_fields_set - {"network"}}
        return ScanRequest.model_validate(sent)


class ScanHeaders(HeaderModel):
    """The headers of a submission."""

    idempotency_key: str | None = idempotency_key("scan")


class ScanPath(RequestModel):
    """The address of a scan."""

    scan: Name = Field(description="Id of a scan.")


class ScanListQuery(PageQuery):
    """Which scans, and which page."""

    network: Name | None = Field(None, description="Only scans with this network.")
    state: ScanState | None = Field(None, description="Only scans in this state.")


class ScanProgress(Representation):
    phase: Literal["looking", "cropping"] | None = Field(
        description="Whether the network looks at the pictures, or the exemplars are cut out of them, for "
        "which they are read once more; null while nobody does either."
    )
    pictures: int = Field(description="Pictures that the network has seen.")
    left_out: int = Field(description="Pictures that could not be read or decoded.")
    left_out_first: list[str] = Field(description="The first of these, with the reason.")
    total: int | None = Field(description="Pictures to pass; null until all were seen once.")
    crops: int = Field(description="Exemplars that were cut out.")
    rate: float | None = Field(description="Pictures a second, of the time that the scan itself had.")
    eta_seconds: float | None


class ScanError(Representation):
    code: str
    message: str


class ScanLinks(SelfLink):
    network: str


class Scan(Representation):
    """A look at real pictures with all layers of a network, or some."""

    id: str
    object: Literal["scan"] = "scan"
    network: str
    state: ScanState
    request: dict[str, Any]
    layers: list[str] = Field(description="Names of the layers that are watched.")
    input_size: int | None = Field(description="Side in pixels of what the network sees of each picture.")
    progress: ScanProgress
    error: ScanError | None = Field(
        description="Why it failed; of one that waits, why the last worker to try could not go on with it."
    )
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    links: ScanLinks

    @classmethod
    def of(cls, view: ScanView) -> Self:
        """The scan as it is shown."""
        return cls(
            id=view.id,
            network=view.network,
            state=view.state,
            request=dict(view.request),
            layers=list(view.layers),
            input_size=view.input_size,
            progress=ScanProgress(
                phase=view.phase,
                pictures=view.pictures,
                left_out=view.left_out,
                left_out_first=list(view.left_out_first),
                total=view.total,
                crops=view.crops,
                rate=view.rate,
                eta_seconds=view.eta_seconds,
            ),
            error=ScanError(**view.error) if view.error else None,
            created_at=view.created_at,
            started_at=view.started_at,
            finished_at=view.finished_at,
            links=ScanLinks(self=path_to("scans", view.id), network=network_path(view.network)),
        )


class ScanPage(Page[Scan]):
    pass


class ExemplarPath(UnitPath):
    """The address of an exemplar."""

    rank: Whole = Field(ge=0, lt=MOST_KEPT, description="Which: 0 is the strongest.")


class ExemplarQuery(NoQuery):
    """Of which scan."""

    scan: Name | None = Field(
        None, description="Id of a scan; by default the newest that succeeded and watched the layer."
    )


class Quantile(Representation):
    share: float = Field(description="Of all pictures, from 0 to 1.")
    activation: float = Field(description="So many of them do not excite the unit more than this.")


class UnitStatistics(Representation):
    """How strongly the pictures of a scan excite a unit."""

    scan: str = Field(description="Id of the scan.")
    input_size: int | None = Field(description="Side in pixels of what the network saw of each picture.")
    scanned_at: Time | None
    pictures: int = Field(description="How many there were.")
    non_zero: float = Field(
        description="The share of pictures for which the unit is not exactly zero at its strongest place: 0 "
        "of a dead unit."
    )
    strongest_place: list[Quantile] = Field(
        description="Of the activation at the place of each picture where it is highest."
    )
    usual_place: list[Quantile] = Field(
        description="Of the activation at the layer's usual place, where synthesized pictures are read too. "
        "`percentile` of a picture is told by those of the newest scan that it can be compared with, which "
        "may be another one: that of its own size."
    )

    @classmethod
    def of(cls, known: found.UnitStatistics) -> Self:
        """The statistics as they are shown."""
        return cls(
            scan=known.scan,
            input_size=known.input_size,
            scanned_at=known.scanned_at,
            pictures=known.pictures,
            non_zero=known.non_zero,
            strongest_place=_quantiles(known.quantiles),
            usual_place=_quantiles(known.usual_quantiles),
        )


class ExemplarLinks(Representation):
    image: str = Field(description="What the unit sees of the picture, in WebP.")


class Exemplar(Representation):
    rank: int = Field(description="0 is the strongest.")
    activation: float = Field(description="At the place where it is highest.")
    picture: str = Field(
        description="Name of the picture: its source below the data root, and its name there."
    )
    place: tuple[int, int] | None = Field(
        description="[y, x] in the layer's map where it excites the unit most; null where it has no places."
    )
    box: tuple[int, int, int, int] | None = Field(
        description="[left, top, right, bottom] of what the unit sees there, in pixels of the network's "
        "input, which is the picture's central square; null for all of it."
    )
    links: ExemplarLinks


class UnitExemplars(Representation):
    """The real pictures that excite a unit most."""

    id: str = Field(description="`network/layer/unit`.")
    object: Literal["exemplars"] = "exemplars"
    network: str
    layer: str
    unit: int
    statistics: UnitStatistics
    exemplars: list[Exemplar] = Field(description="The strongest first.")
    links: SelfLink

    @classmethod
    def of(cls, unit: found.UnitExemplars, scan: str | None) -> Self:
        """The exemplars as they are shown; `scan` is the one that was asked for."""
        path = exemplars_path(unit.network, unit.layer, unit.unit)
        asked = f"?{urlencode({'scan': scan})}" if scan else ""
        return cls(
            id=f"{unit.network}/{unit.layer}/{unit.unit}",
            network=unit.network,
            layer=unit.layer,
            unit=unit.unit,
            statistics=UnitStatistics.of(unit.statistics),
            exemplars=[
                Exemplar.model_validate(
                    {
                        "rank": each.rank,
                        "activation": each.activation,
                        "picture": each.picture,
                        "place": each.place,
                        "box": each.box,
                        "links": {"image": f"{path}/{each.rank}/image{asked}"},
                    }
                )
                for each in unit.exemplars
            ],
            links=SelfLink(self=f"{path}{asked}"),
        )


def exemplars_path(network: str, layer: str, unit: int) -> str:
    """The path of a unit's exemplars."""
    return f"{unit_path(network, layer, unit)}/exemplars"


def _quantiles(values: tuple[float, ...]) -> list[Quantile]:
    return [Quantile(share=share, activation=value) for share, value in zip(LEVELS, values, strict=False)]


class UnitItem(Item):
    """A visualization of a unit, beside what real pictures do."""

    percentile: float | None = Field(description=PERCENTILE)

    @classmethod
    def beside(cls, picture: VisualizationView, percentile: float | None) -> Self:
        """The visualization, and where it stands among real pictures."""
        return cls.model_validate({**Item.in_short(picture).model_dump(), "percentile": percentile})


class UnitDetailLinks(UnitLinks):
    exemplars: str | None = Field(
        description="Real pictures that excite it most; null where none were scanned, and of a layer that "
        "the network has no more."
    )


class UnitDetail(Unit):
    """A unit with its visualizations of any recipe, generator, place and seed."""

    visualizations: list[UnitItem] = Field(description="The first 50; /v1/visualizations pages through all.")
    statistics: UnitStatistics | None = Field(
        description="How strongly real pictures excite it; null where none were scanned."
    )
    links: UnitDetailLinks

    @classmethod
    def of_unit(
        cls,
        unit: layers.Unit,
        pictures: Sequence[VisualizationView],
        statistics: found.UnitStatistics | None,
        percentiles: Mapping[str, float],
    ) -> Self:
        """A unit, the first of its visualizations, and what a scan tells of it; `percentiles` are by
        digest."""
        members = Unit.members(unit)
        path = None
        if statistics and unit.is_current:
            path = exemplars_path(unit.network, unit.layer, unit.unit)
        return cls.model_validate(
            {
                **members,
                "visualizations": [
                    UnitItem.beside(entry, percentiles.get(entry.digest)) for entry in pictures
                ],
                "statistics": UnitStatistics.of(statistics) if statistics else None,
                "links": {**members["links"], "exemplars": path},
            }
        )
