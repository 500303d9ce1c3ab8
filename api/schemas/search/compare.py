"""Comparisons of two versions of atlases: what is asked for, a figure a layer, pairs of units."""

from typing import Any, Literal, Self

from pydantic import Field

from api.http.paths import atlas_version_path, comparison_path, visualization_path
from api.schemas.base import Name, NoQuery, Page, PageQuery, Representation, SelfLink, Time
from imago_engine.weights import EYE
from services.comparison import comparisons
from services.comparison.compared_units import ComparedUnit as FoundUnit
from services.comparison.compared_units import SideOfUnit as FoundSide
from services.comparison.figures import LEVELS

_SIDE = "An atlas as `ATLAS@VERSION`: a number, `open` or `latest`, which it is without `@`."
_LAYER = "A layer of both, by its name in a or in b."


class CompareQuery(NoQuery):
    """Which two versions are compared."""

    a: Name = Field(description=_SIDE)
    b: Name = Field(description=_SIDE)


class ComparedLayerQuery(CompareQuery):
    """A layer of both."""

    layer: Name = Field(description=_LAYER)


class ComparedUnitsQuery(PageQuery):
    """Which units of a comparison, and which page of them."""

    a: Name = Field(description=_SIDE)
    b: Name = Field(description=_SIDE)
    layer: Name = Field(description=_LAYER)


class ComparedSide(Representation):
    """A version of an atlas that is compared."""

    atlas: str
    name: str
    network: str
    version: int
    published: bool
    links: SelfLink

    @classmethod
    def of(cls, side: comparisons.ComparedSide) -> Self:
        """The side as it is shown."""
        return cls(
            atlas=side.atlas,
            name=side.name,
            network=side.network,
            version=side.number,
            published=side.published,
            links=SelfLink(self=atlas_version_path(side.atlas, side.number)),
        )


class Quantile(Representation):
    level: float
    distance: float


class LayerDistance(Representation):
    """1 minus the cosine of what the eye makes of two pictures: 0 for the same, about 1 for unlike ones."""

    mean: float
    quantiles: list[Quantile]


class MeansOfBoth(Representation):
    """Means over the units that have the value in both."""

    units: int = Field(description="That have it in both.")
    a: float | None
    b: float | None
    difference: float | None = Field(description="b minus a.")


class SameLabels(Representation):
    units: int = Field(description="Of which both networks say what they see.")
    same: int = Field(description="Of which they see the same first.")
    share: float | None


class LayerFigures(Representation):
    """How much a layer changed."""

    matched: int = Field(description="Units that were compared.")
    equal: int = Field(description="Of these, those with the same picture in both.")
    distance: LayerDistance | None = Field(description="Null where no unit was compared.")
    activation: MeansOfBoth
    percentile: MeansOfBoth = Field(description="Among real pictures, where some were scanned.")
    labels: SameLabels

    @classmethod
    def of(cls, figures: Any) -> Self:
        """The figures as they are shown."""
        quantiles = figures["quantiles"]
        distance = quantiles and LayerDistance(
            mean=figures["mean"],
            quantiles=[
                Quantile(level=level, distance=at) for level, at in zip(LEVELS, quantiles, strict=True)
            ],
        )
        labelled, same = figures["labelled"], figures["same"]
        return cls(
            matched=figures["matched"],
            equal=figures["equal"],
            distance=distance,
            activation=_means(figures["activated"], figures["a_activation"], figures["b_activation"]),
            percentile=_means(figures["ranked"], figures["a_percentile"], figures["b_percentile"]),
            labels=SameLabels(units=labelled, same=same, share=same / labelled if labelled else None),
        )


class ComparedLayerLinks(Representation):
    units: str = Field(description="Its units, the most changed first.")
    sheet: str | None = Field(description="JPEG of the most changed pairs; null until it is drawn.")


class ComparedLayer(Representation):
    """A layer of both."""

    layer: str = Field(description="Its name in a.")
    other_layer: str = Field(description="Its name in b.")
    unit_count: int = Field(description="Numbers of units that are looked at.")
    seen: int = Field(description="Of these, those that were looked at so far, as the counts below.")
    only_a: int = Field(description="Units of which b has no picture.")
    only_b: int
    not_indexed: int = Field(description="Units with pictures that this release's eye has not seen yet.")
    figures: LayerFigures | None = Field(description="Null until all its units were looked at.")
    links: ComparedLayerLinks

    @classmethod
    def of(cls, found: comparisons.ComparedLayer, a: str, b: str) -> Self:
        """The layer as it is shown."""
        units, sheet = (comparison_path(a, b, part, layer=found.layer) for part in ("units", "sheet.jpg"))
        return cls(
            layer=found.layer,
            other_layer=found.other_layer,
            unit_count=found.unit_count,
            seen=found.seen,
            only_a=found.only_a,
            only_b=found.only_b,
            not_indexed=found.not_indexed,
            figures=None if found.figures is None else LayerFigures.of(found.figures),
            links=ComparedLayerLinks(units=units, sheet=sheet if found.sheet_object else None),
        )


class UnmatchedLayer(Representation):
    """A layer that is not compared."""

    layer: str
    reason: str
    a_units: int | None = Field(description="How many units it has in a's network; null where it has none.")
    b_units: int | None


class ComparisonProgress(Representation):
    units: int
    seen: int = Field(description="By the one that is being made.")


class Comparison(Representation):
    """Two versions of atlases side by side, layer by layer in the order of a's network."""

    object: Literal["comparison"] = "comparison"
    a: ComparedSide
    b: ComparedSide
    eye: str = Field(description="What compares pictures. Those of different eyes are never compared.")
    current: bool = Field(
        description="It tells of all that there is. An older one is shown until the next is made."
    )
    coming: bool = Field(description="Workers are to make it, or to make it again.")
    made_at: Time | None = Field(description="Null while the first one is being made.")
    progress: ComparisonProgress
    problem: str | None = Field(description="Why a worker could not go on, the last time.")
    layers: list[ComparedLayer]
    unmatched: list[UnmatchedLayer] = Field(description="Layers that only one has, or that are not alike.")
    links: SelfLink

    @classmethod
    def of(cls, found: comparisons.Comparison) -> Self:
        """The comparison as it is shown."""
        a, b = (f"{side.atlas}@{side.number}" for side in (found.a, found.b))
        return cls(
            a=ComparedSide.of(found.a),
            b=ComparedSide.of(found.b),
            eye=EYE,
            current=found.current,
            coming=found.coming,
            made_at=found.made_at,
            progress=ComparisonProgress(units=found.units, seen=found.seen),
            problem=found.problem,
            layers=[ComparedLayer.of(layer, a, b) for layer in found.layers],
            unmatched=[UnmatchedLayer.model_validate(layer) for layer in found.unmatched],
            links=SelfLink(self=comparison_path(a, b)),
        )


class SideLinks(Representation):
    visualization: str
    image: str


class SideOfUnit(Representation):
    """A unit's best picture in one of the two."""

    digest: str
    activation: float | None
    percentile: float | None = Field(description="Among real pictures, where some were scanned.")
    label: str | None = Field(description="The class that its network sees first in the picture.")
    probability: float | None
    links: SideLinks

    @classmethod
    def of(cls, side: FoundSide) -> Self:
        """The side as it is shown."""
        path = visualization_path(side.digest)
        return cls(**vars(side), links=SideLinks(visualization=path, image=f"{path}/image"))


class ComparedUnit(Representation):
    """A unit of both, its pictures side by side."""

    unit: int
    label: str | None = Field(description="The name of its class, for a unit of the output.")
    distance: float
    same_label: bool | None = Field(description="Whether both networks see the same first; null if unknown.")
    a: SideOfUnit
    b: SideOfUnit

    @classmethod
    def of(cls, unit: FoundUnit) -> Self:
        """The unit as it is shown."""
        sides = {"a": SideOfUnit.of(unit.a), "b": SideOfUnit.of(unit.b)}
        return cls(
            unit=unit.unit, label=unit.label, distance=unit.distance, same_label=unit.same_label, **sides
        )


class ComparedUnitPage(Page[ComparedUnit]):
    complete: bool = Field(description="False while some units of the layer were not compared yet.")


def _means(units: int, a: float | None, b: float | None) -> MeansOfBoth:
    return MeansOfBoth(units=units, a=a, b=b, difference=None if a is None or b is None else b - a)
