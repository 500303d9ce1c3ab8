"""Atlases: what is asked for, how far it is, its versions and what they show."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal, Self

from pydantic import Field

from api.http.paths import (
    atlas_path,
    atlas_units_path,
    atlas_version_path,
    export_path,
    visualization_path,
)
from api.schemas.base import (
    HeaderModel,
    Name,
    Page,
    PageQuery,
    Representation,
    RequestModel,
    SelfLink,
    Time,
    idempotency_key,
)
from api.schemas.estimates import EtaRange
from api.schemas.jobs import ErrorSummary
from api.schemas.visualizations import ItemError
from services.atlases import entries, progress
from services.atlases.progress import AtlasView
from services.base.states import AtlasState, State, Visibility


class AtlasPath(RequestModel):
    """The address of an atlas."""

    atlas: Name = Field(description="Id of an atlas.")


class AtlasVersionPath(AtlasPath):
    """The address of a version of an atlas."""

    version: Name = Field(
        description="Number of a version, `open` for the one that is being built, or `latest` for the newest "
        "that was published: the open one where none was."
    )


class AtlasLayerPath(AtlasVersionPath):
    """The address of a layer in a version of an atlas."""

    layer: Name = Field(description="Dotted name of a layer.")


class AtlasListQuery(PageQuery):
    """Which atlases, and which page."""

    network: Name | None = Field(None, description="Only those of this network.")
    owner: Name | None = Field(None, description="Only those of the key with this id.")
    name: Name | None = Field(None, description="Only those of this name.")


class AtlasHeaders(HeaderModel):
    """The headers of a submission."""

    idempotency_key: str | None = idempotency_key("atlas")


class AtlasPictures(Representation):
    """Pictures by what became of them. `total` are asked for; the others are parts of `expanded`."""

    total: int
    expanded: int = Field(description="Have a job; the others get one soon.")
    done: int
    failed: int
    unreachable: int = Field(
        description="No picture can exist: nothing that is done to a picture moves the unit."
    )
    canceled: int = Field(description="Let go when the atlas was paused or canceled.")
    queued: int
    leased: int = Field(description="Being computed.")

    @classmethod
    def of(cls, pictures: progress.Pictures) -> Self:
        """The counts as they are shown."""
        return cls(**asdict(pictures), queued=pictures.queued)


class AtlasProgress(Representation):
    pictures: AtlasPictures
    rate: float | None = Field(description="Pictures a second over the last minute.")
    eta_seconds: float | None = Field(
        description="The likeliest time until all of it has ended; null where nothing tells it."
    )
    eta_range: EtaRange | None = Field(description="Bounds of it.")


class AtlasLinks(SelfLink):
    layers: str
    versions: str
    latest: str = Field(description="The newest version that was published, else the open one.")


class Atlas(Representation):
    """The pictures of many units of one network."""

    id: str
    object: Literal["atlas"] = "atlas"
    name: str
    network: str
    owner: str | None = Field(description="Id of the key that made it; null for the service's own.")
    visibility: Visibility
    state: AtlasState
    request: dict[str, Any] = Field(description="What was asked for, and what it was extended by.")
    generator: str | None = Field(description="What it is pinned to; null where no layer needs one.")
    network_sha256: str = Field(description="What its pictures are of, as their specs name it.")
    outdated: bool = Field(
        description="The network has changed: what there is stays readable, and nothing can be added."
    )
    open_version: int = Field(description="Number of the version that is being built.")
    latest_version: int | None = Field(description="Number of the newest one that was published.")
    layer_count: int
    progress: AtlasProgress
    errors: list[ErrorSummary] = Field(description="Why pictures failed, the commonest reason first.")
    problem: str | None = Field(description="Why workers could not go on with it the last time.")
    created_at: Time
    links: AtlasLinks

    @classmethod
    def of(cls, atlas: AtlasView) -> Self:
        """The atlas as it is shown."""
        path = atlas_path(atlas.id)
        return cls(
            id=atlas.id,
            name=atlas.name,
            network=atlas.network,
            owner=atlas.owner_key_id,
            visibility=atlas.visibility,
            state=atlas.state,
            request=dict(atlas.open.request),
            generator=atlas.open.generator,
            network_sha256=atlas.open.network_sha256,
            outdated=atlas.outdated,
            open_version=atlas.open.number,
            latest_version=atlas.latest,
            layer_count=atlas.layer_count,
            progress=AtlasProgress(
                pictures=AtlasPictures.of(atlas.pictures),
                rate=atlas.rate,
                eta_seconds=atlas.eta.likely if atlas.eta else None,
                eta_range=EtaRange.of(atlas.eta),
            ),
            errors=[ErrorSummary(**asdict(error)) for error in atlas.errors],
            problem=atlas.problem,
            created_at=atlas.created_at,
            links=AtlasLinks(
                self=path,
                layers=f"{path}/layers",
                versions=f"{path}/versions",
                latest=f"{path}/versions/latest",
            ),
        )


class AtlasPage(Page[Atlas]):
    pass


class AtlasLayerLinks(Representation):
    units: str = Field(description="What there is of it, in the version that is being built.")


class AtlasLayer(Representation):
    """A layer of an atlas as it is being built."""

    id: str
    object: Literal["atlas_layer"] = "atlas_layer"
    layer: str
    ordinal: int = Field(description="Its place in the network.")
    units: str = Field(description="The chosen ones, in words.")
    unit_count: int
    facets: int
    technique: str
    parameters: dict[str, Any]
    generator: str | None
    pictures: AtlasPictures
    links: AtlasLayerLinks

    @classmethod
    def of(cls, atlas: str, layer: progress.AtlasLayer) -> Self:
        """The layer as it is shown."""
        return cls(
            id=f"{atlas}/{layer.layer}",
            layer=layer.layer,
            ordinal=layer.ordinal,
            units=layer.units,
            unit_count=layer.unit_count,
            facets=layer.facets,
            technique=layer.technique,
            parameters=dict(layer.parameters),
            generator=layer.generator,
            pictures=AtlasPictures.of(layer.pictures),
            links=AtlasLayerLinks(units=atlas_units_path(atlas, "open", layer.layer)),
        )


class AtlasLayerPage(Page[AtlasLayer]):
    pass


class AtlasVersionLinks(SelfLink):
    export: str | None = Field(description="All of it as one file; null for the open version.")


class AtlasVersion(Representation):
    """A version of an atlas: the open one, or one that was published and never changes."""

    id: str
    object: Literal["atlas_version"] = "atlas_version"
    number: int
    atlas: str
    published: bool
    publishing: bool = Field(description="Whether it is the open one and will be published in a moment.")
    request: dict[str, Any]
    generator: str | None
    network_sha256: str
    created_at: Time
    published_at: Time | None
    links: AtlasVersionLinks

    @staticmethod
    def members(atlas: str, version: progress.Version) -> dict[str, Any]:
        """What lists show of it, too."""
        export = None if version.published_at is None else export_path(atlas, version.number)
        return {
            "id": f"{atlas}/{version.number}",
            "number": version.number,
            "atlas": atlas,
            "published": version.published_at is not None,
            "publishing": version.publishing,
            "request": dict(version.request),
            "generator": version.generator,
            "network_sha256": version.network_sha256,
            "created_at": version.created_at,
            "published_at": version.published_at,
            "links": AtlasVersionLinks(self=atlas_version_path(atlas, version.number), export=export),
        }

    @classmethod
    def of(cls, atlas: str, version: progress.Version) -> Self:
        """The version as an entry of a list."""
        return cls(**cls.members(atlas, version))


class AtlasVersionPage(Page[AtlasVersion]):
    pass


class PublishedLayer(Representation):
    """A layer in a version that was published."""

    layer: str
    ordinal: int
    units: str
    unit_count: int = Field(description="Units that were chosen.")
    shown_units: int = Field(description="Those of which the version shows something.")
    facets: int
    technique: str
    parameters: dict[str, Any]
    generator: str | None
    pictures: int
    unreachable: int
    links: AtlasLayerLinks

    @classmethod
    def of(cls, atlas: str, number: int, layer: Mapping[str, Any]) -> Self:
        """The layer as it is shown."""
        kept = {name: value for name, value in layer.items() if name != "layer_no"}
        return cls(**kept, links=AtlasLayerLinks(units=atlas_units_path(atlas, number, layer["layer"])))


class AtlasVersionDetail(AtlasVersion):
    """A version with its layers: null for the open one, whose layers change while they are built."""

    layers: list[PublishedLayer] | None

    @classmethod
    def of(cls, atlas: str, version: progress.Version) -> Self:
        """The version as it is shown alone."""
        layers = version.layers
        return cls(
            **cls.members(atlas, version),
            layers=None
            if layers is None
            else [PublishedLayer.of(atlas, version.number, layer) for layer in layers],
        )


class FacetLinks(SelfLink):
    image: str | None = Field(description="Null while there is no picture.")


class AtlasFacet(Representation):
    """One of the pictures of a unit."""

    facet: int = Field(description="Its number: its seed, or that of the first of its candidates.")
    digest: str
    state: State
    activation: float | None = Field(description="The unit's response to the stored picture.")
    error: ItemError | None
    links: FacetLinks

    @classmethod
    def of(cls, facet: entries.Facet) -> Self:
        """The facet as it is shown."""
        path = visualization_path(facet.digest)
        return cls(
            facet=facet.facet,
            digest=facet.digest,
            state=facet.state,
            activation=facet.activation,
            error=ItemError.of(facet.error),
            links=FacetLinks(self=path, image=f"{path}/image" if facet.state == State.DONE else None),
        )


class AtlasUnit(Representation):
    """A unit that an atlas shows."""

    id: str
    object: Literal["atlas_unit"] = "atlas_unit"
    network: str
    layer: str
    unit: int
    label: str | None = Field(description="Name of its class, for a unit of the output.")
    facets: list[AtlasFacet]

    @classmethod
    def of(cls, unit: entries.AtlasUnit) -> Self:
        """The unit as it is shown."""
        return cls(
            id=f"{unit.network}/{unit.layer}/{unit.unit}",
            network=unit.network,
            layer=unit.layer,
            unit=unit.unit,
            label=unit.label,
            facets=[AtlasFacet.of(facet) for facet in unit.facets],
        )


class AtlasUnitPage(Page[AtlasUnit]):
    version: int = Field(description="Number of the version: what `latest` or `open` stands for.")
    published: bool
