"""Visualizations: search, one in full, and its bytes. And units, which are seen through theirs."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from types import MappingProxyType

from sqlalchemy.orm import Session

from api.http import retry_after
from api.http.caching import BRIEF, BRIEF_FROM_MEMORY, FOREVER, MOMENT, Freshness
from api.http.objects import StoredObject
from api.http.paths import visualization_path
from api.operations.answers import Answer
from api.operations.operation import ApiBlueprint, Tag, stored
from api.problems import problem_types
from api.problems.problems import Problem
from api.resources.networks import TAG as NETWORKS_TAG
from api.schemas.base import NoQuery
from api.schemas.networks import UnitPath
from api.schemas.visualizations import (
    DigestPath,
    ImageQuery,
    Item,
    ItemError,
    ItemPage,
    SearchQuery,
    UnitDetail,
    Visualization,
)
from imago_engine.artifacts import ArtifactKind
from services.base.errors import NotFound
from services.base.paging import Page
from services.base.states import State
from services.catalog import layers
from services.catalog.networks import get_network
from services.exemplars import found as exemplars
from services.pictures import visualizations
from services.pictures.losses import Subject
from services.pictures.visualizations import Objects

TAG = Tag(name="Visualizations", description="Pictures and all that is known of them, by digest.")
SHOWN_OF_A_UNIT = 50
_VIEWS = {"full": (ArtifactKind.IMAGE,), "crop": (ArtifactKind.CROP, ArtifactKind.IMAGE)}
"""What is shown of a picture. A unit that sees all of it has no crop."""

_PICTURE = stored("image/png", "The PNG.")
_BYTES = stored("application/octet-stream", "The bytes.")
_COMING = (State.QUEUED, State.LEASED)

blueprint = ApiBlueprint("visualizations", __name__, url_prefix="/v1", tag=TAG)


@blueprint.operation("GET", "/visualizations", scope="read", responses={200: ItemPage})
def search_visualizations(session: Session, query: SearchQuery) -> Page[Item]:
    """Search by network, layer, unit and state."""
    page = visualizations.search(
        session,
        network=query.network,
        layer=query.layer,
        unit=query.unit,
        state=query.state,
        cursor=query.cursor,
        limit=query.limit,
    )
    return page.map(Item.in_short)


@blueprint.operation("GET", "/visualizations/<digest>", scope="read", responses={200: Visualization})
def get_visualization(session: Session, path: DigestPath, query: NoQuery) -> Answer:
    """Get a visualization with its recipe, predictions and provenance."""
    found = visualizations.get(session, path.digest)
    labels = get_network(session, found.spec.network).labels
    shown = Visualization.of(found, labels, exemplars.of_picture(session, found))
    freshness = BRIEF_FROM_MEMORY if found.state == State.DONE else None
    return Answer(shown, headers=_retry_after(session, found), freshness=freshness)


@blueprint.operation("GET", "/visualizations/<digest>/image", scope="read", responses=_PICTURE)
def get_image(session: Session, path: DigestPath, query: ImageQuery) -> StoredObject:
    """Get the picture. Its bytes never change, unless the store has lost them and they were made again."""
    return _artifact(_done(session, path.digest), *_VIEWS[query.view])


@blueprint.operation("GET", "/visualizations/<digest>/code", scope="read", responses=_BYTES)
def get_code(session: Session, path: DigestPath, query: NoQuery) -> StoredObject:
    """Get the code that the generator made the picture of: safetensors with one float32 tensor, `code`."""
    return _artifact(_done(session, path.digest), ArtifactKind.CODE)


@blueprint.operation("GET", "/visualizations/<digest>/trace", scope="read", responses=_BYTES)
def get_trace(session: Session, path: DigestPath, query: NoQuery) -> StoredObject:
    """Get the unit's activation at each step of the ascent: NumPy's .npy, float32."""
    return _artifact(_done(session, path.digest), ArtifactKind.TRACE)


@blueprint.operation(
    "GET",
    "/networks/<network>/layers/<layer>/units/<unit>",
    scope="read",
    responses={200: UnitDetail},
    freshness=MOMENT,
    tag=NETWORKS_TAG,
)
def get_unit(session: Session, path: UnitPath, query: NoQuery) -> UnitDetail:
    """Get a unit with its visualizations. May be two seconds old."""
    unit = layers.get_unit(session, path.network, path.layer, path.unit)
    known = exemplars.statistics(session, unit.network, unit.layer, unit.unit)
    return UnitDetail.of_unit(unit, _of_unit(session, unit.network, unit.layer, unit.unit), known)


@blueprint.operation(
    "GET",
    "/networks/<network>/layers/<layer>/units/<unit>/image",
    scope="read",
    responses=_PICTURE,
    tag=NETWORKS_TAG,
)
def get_unit_image(session: Session, path: UnitPath, query: ImageQuery) -> StoredObject:
    """Get the best picture of a unit that there is now. For embedding: may be two seconds old, and clients
    keep it for a minute.
    """
    found = visualizations.best(session, path.network, path.layer, path.unit)
    if found is None:
        raise _no_picture_of(session, path)
    own = {"Content-Location": f"{visualization_path(found.digest)}/image"}
    return _artifact(found, *_VIEWS[query.view], freshness=BRIEF, headers=own)


def _of_unit(session: Session, network: str, layer: str, unit: int) -> Sequence[visualizations.Visualization]:
    page = visualizations.search(session, network=network, layer=layer, unit=unit, limit=SHOWN_OF_A_UNIT)
    return page.data


def _done(session: Session, digest: str) -> Objects:
    """The visualization if it is done. Raises the problem that says why there is no picture, or not yet.

    404 rather than 409: this representation does not exist now, and nothing about the request is in
    conflict with anything. Whoever embeds the address sees a missing picture until it is there.
    """
    found = visualizations.objects_of(session, digest)
    if found.state == State.DONE:
        return found
    error = ItemError.of(found.error)
    details = {
        State.QUEUED: "The picture waits for a worker.",
        State.LEASED: "The picture is being computed.",
        State.UNREACHABLE: "No picture can exist: nothing that is done to a picture moves this unit.",
        State.CANCELED: "The job that asked for it was canceled; submit it again to have it made.",
        State.FAILED: f"It could not be computed: {error.message if error else 'no reason is recorded'}",
    }
    raise Problem(
        problem_types.NO_PICTURE,
        details[found.state],
        headers=_retry_after(session, found),
        members={"state": found.state, "error": error.model_dump() if error else None},
    )


def _no_picture_of(session: Session, path: UnitPath) -> Problem:
    known = _of_unit(session, path.network, path.layer, path.unit)
    coming = [entry for entry in known if entry.state in _COMING]
    what = f"{path.network}/{path.layer}/{path.unit}"
    if coming:
        detail = f"A picture of {what} is on its way."
    elif known:
        states = ", ".join(sorted({entry.state for entry in known}))
        detail = f"There is no picture of {what}; its visualizations are {states}."
    else:
        detail = f"Nobody has asked for a picture of {what} yet; POST /v1/jobs does."
    headers = _retry_after(session, coming[0]) if coming else {}
    return Problem(problem_types.NO_PICTURE, detail, headers=headers)


def _retry_after(session: Session, found: Objects | visualizations.Visualization) -> dict[str, str]:
    coming = found.state in _COMING
    return retry_after.header(retry_after.of_picture(session, found.digest) if coming else None)


def _artifact(
    found: Objects | visualizations.Visualization,
    *kinds: ArtifactKind,
    freshness: Freshness = FOREVER,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> StoredObject:
    """The first of these kinds that what is done has. Raises `NotFound` if it has none of them."""
    for kind in kinds:
        if (artifact := found.artifacts.get(kind)) is not None:
            filename = f"{found.digest[:16]}{PurePosixPath(artifact.object).suffix}"
            subject = Subject("visualization", found.digest)
            return StoredObject(artifact.object, filename, subject, freshness, headers)
    raise NotFound(kinds[0], f"{found.digest[:16]}.{kinds[0].suffix}", "It was not kept.")
