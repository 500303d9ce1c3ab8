"""Visualizations: in short, as entries of lists, and in full."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import Field

from api.http.paths import layer_path, network_path, unit_path, visualization_path
from api.schemas.base import (
    Flag,
    Name,
    Page,
    PageQuery,
    Representation,
    RequestModel,
    SelfLink,
    Time,
    Whole,
)
from imago_engine.artifacts import ArtifactKind
from imago_engine.objectives import Objective, TokenObjective
from services.base.states import Lane, State
from services.base.storage import sha256_of_key
from services.jobs import jobs
from services.pictures.artifacts import StoredArtifact
from services.pictures.visualizations import Visualization as VisualizationView

_SCORE = (
    "How good the network finds the whole picture: for a unit of the output its log-probability at the"
    " network's own size, for another its mean activation over views that the ascent has not seen. Compares"
    " pictures of one unit; null for those of releases that did not ask."
)


class DigestPath(RequestModel):
    """The address of a visualization."""

    digest: Name = Field(description="Digest of a visualization, 64 hex digits.")


class ItemListQuery(PageQuery):
    """Which visualizations, and which page."""

    state: State | None = Field(None, description="Only items in this state.")


_SHORT = f"A page looks at {jobs.LOOKED_AT} items at most: it may be short, or empty, and not be the last."


class JobItemListQuery(ItemListQuery):
    """Which items of a job, and which page."""

    state: State | None = Field(None, description=f"Only items in this state. {_SHORT}")
    best: Flag | None = Field(
        None,
        description="True for only the best candidate of each unit and seed so far, false for the others. "
        f"{_SHORT}",
    )


class SearchQuery(ItemListQuery):
    """Which visualizations, and which page."""

    network: Name | None = Field(None, description="Id of a network.")
    layer: Name | None = Field(None, description="Name of a layer; needs `network`.")
    unit: Whole | None = Field(None, ge=0, le=2**31 - 1, description="Number of a unit; needs `layer`.")


class ItemError(Representation):
    code: str
    message: str
    retryable: bool = Field(description="Whether it makes sense to ask for it again.")

    @classmethod
    def of(cls, error: Mapping[str, Any] | None) -> Self | None:
        """The error as it is shown."""
        if error is None:
            return None
        return cls(
            code=error["code"], message=error["message"], retryable=bool(error.get("retryable", False))
        )


class ItemLinks(SelfLink):
    image: str | None = Field(description="Null while there is no picture.")


class Item(Representation):
    """A visualization in short, as an entry of a list."""

    id: str = Field(description="The digest.")
    object: Literal["visualization"] = "visualization"
    digest: str
    network: str
    layer: str
    unit: int
    label: str | None = Field(description="Name of its class, for a unit of the output.")
    position: tuple[int, int] | None = Field(description="[y, x] in the layer's map; null for its centre.")
    token: int | None = Field(
        description="Number of the token that it is read at; null for the layer's `usual_token`, and where it"
        " has no tokens."
    )
    seed: int
    state: State
    activation: float | None = Field(description="The unit's response to the stored picture.")
    score: float | None = Field(description=_SCORE)
    error: ItemError | None
    links: ItemLinks

    @classmethod
    def in_short(cls, found: VisualizationView) -> Self:
        """A visualization that was searched for."""
        spec, objective = found.spec, found.objective
        return cls(
            id=found.digest,
            digest=found.digest,
            network=spec.network,
            layer=objective.layer,
            unit=objective.unit,
            label=found.label,
            **_place_of(objective),
            seed=spec.seed,
            state=found.state,
            activation=found.activation,
            score=found.score,
            error=ItemError.of(found.error),
            links=_item_links(found.digest, found.state),
        )


def _place_of(objective: Objective) -> dict[str, Any]:
    """The fields that say where a unit is read."""
    if isinstance(objective, TokenObjective):
        return {"position": None, "token": objective.token}
    return {"position": objective.position, "token": None}


def _item_links(digest: str, state: State) -> ItemLinks:
    path = visualization_path(digest)
    return ItemLinks(self=path, image=f"{path}/image" if state == State.DONE else None)


class ItemPage(Page[Item]):
    pass


class JobItem(Item):
    """A visualization in short, as one of a job's."""

    best: bool = Field(
        description="Whether it is done and no other candidate of its unit and seed that is done by now has a"
        " higher score."
    )

    @classmethod
    def of(cls, item: jobs.JobItem) -> Self:
        """An item of a job."""
        return cls(
            id=item.digest,
            digest=item.digest,
            network=item.network,
            layer=item.layer,
            unit=item.unit,
            label=item.label,
            position=item.position,
            token=item.token,
            seed=item.seed,
            state=item.state,
            activation=item.activation,
            score=item.score,
            best=item.best,
            error=ItemError.of(item.error),
            links=_item_links(item.digest, item.state),
        )


class JobItemPage(Page[JobItem]):
    pass


PERCENTILE = (
    "Of 100 real pictures of a scan so many excite the unit less, at the layer's usual place, where this one "
    "is read too: of the newest scan that saw them at the size of this one or, where what the unit sees lies "
    "within both, at any. Null where there is none such, or where this one is read at another place."
)


class RecipeShown(Representation):
    technique: str
    parameters: dict[str, Any] = Field(description="Every one of them, settled.")


class PredictionShown(Representation):
    index: int
    label: str | None
    probability: float


class Image(Representation):
    width: int
    height: int
    bytes: int
    sha256: str = Field(description="Of the PNG; also its ETag.")


class VisualizationLinks(ItemLinks):
    crop: str | None
    code: str | None
    trace: str | None
    network: str
    layer: str
    unit: str


class Visualization(Representation):
    """The result of one spec. Everything that determines the picture is in its digest."""

    id: str = Field(description="The digest.")
    object: Literal["visualization"] = "visualization"
    digest: str
    network: str
    network_sha256: str
    layer: str
    unit: int
    label: str | None = Field(description="Name of its class, for a unit of the output.")
    position: tuple[int, int] | None = Field(description="[y, x] in the layer's map; null for its centre.")
    token: int | None = Field(
        description="Number of the token that it is read at; null for the layer's `usual_token`, and where it"
        " has no tokens."
    )
    generator: str | None = Field(description="Null where the technique needs none.")
    generator_sha256: str | None
    recipe: RecipeShown
    seed: int
    engine: str
    state: State
    lane: Lane
    attempt: int
    error: ItemError | None
    activation: float | None = Field(description="The unit's response to the stored picture.")
    score: float | None = Field(description=_SCORE)
    percentile: float | None = Field(description=PERCENTILE)
    predictions: list[PredictionShown] | None = Field(description="What the network says of the picture.")
    image: Image | None
    crop_box: tuple[int, int, int, int] | None = Field(
        description="[left, top, right, bottom] of what the unit sees, in pixels; null for all of it."
    )
    provenance: dict[str, Any] | None = Field(description="Where and how it was computed.")
    created_at: Time
    finished_at: Time | None
    links: VisualizationLinks

    @classmethod
    def of(
        cls, found: VisualizationView, class_labels: Sequence[str], percentile: float | None = None
    ) -> Self:
        """The visualization as it is shown; `percentile` is where it stands among real pictures."""
        spec, objective = found.spec, found.objective
        path = visualization_path(found.digest)
        done = found.state == State.DONE
        return cls.model_validate(
            {
                "id": found.digest,
                "digest": found.digest,
                "network": spec.network,
                "network_sha256": spec.network_sha256,
                "layer": objective.layer,
                "unit": objective.unit,
                "label": found.label,
                **_place_of(objective),
                "generator": found.generator,
                "generator_sha256": spec.source,
                "recipe": {
                    "technique": spec.technique,
                    "parameters": dict(spec.parameters),
                },
                "seed": spec.seed,
                "engine": spec.version,
                "state": found.state,
                "lane": found.lane,
                "attempt": found.attempt,
                "error": ItemError.of(found.error),
                "activation": found.activation,
                "score": found.score,
                "percentile": percentile,
                "predictions": _predictions(found.predictions, class_labels),
                "image": _image(found.artifacts.get(ArtifactKind.IMAGE)),
                "crop_box": found.crop_box,
                "provenance": found.provenance,
                "created_at": found.created_at,
                "finished_at": found.finished_at,
                "links": {
                    "self": path,
                    "image": f"{path}/image" if done else None,
                    "crop": f"{path}/image?view=crop" if ArtifactKind.CROP in found.artifacts else None,
                    "code": f"{path}/code" if ArtifactKind.CODE in found.artifacts else None,
                    "trace": f"{path}/trace" if ArtifactKind.TRACE in found.artifacts else None,
                    "network": network_path(spec.network),
                    "layer": layer_path(spec.network, objective.layer),
                    "unit": unit_path(spec.network, objective.layer, objective.unit),
                },
            }
        )


def _image(found: StoredArtifact | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "width": found.width,
        "height": found.height,
        "bytes": found.bytes,
        "sha256": sha256_of_key(found.object),
    }


def _predictions(stored: Sequence[Any] | None, class_labels: Sequence[str]) -> list[PredictionShown] | None:
    """Workers store [index, probability]; the names are the network's."""
    if stored is None:
        return None
    return [
        PredictionShown(
            index=index,
            label=class_labels[index] if index < len(class_labels) else None,
            probability=probability,
        )
        for index, probability in stored
    ]
