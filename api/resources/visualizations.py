"""Visualizations: search, one in full, and its bytes. And units, which are seen through theirs."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from types import MappingProxyType

from sqlalchemy.orm import Session

from api.auth import reader
from api.context import context
from api.http import retry_after
from api.http.caching import BRIEF, BRIEF_FROM_MEMORY, BRIEF_PERSONAL, FOREVER, MOMENT, Freshness
from api.http.objects import StoredObject
from api.http.paths import visualization_path
from api.http.renditions import make_once
from api.operations.answers import Answer, Lines
from api.operations.operation import ApiBlueprint, Tag, stored
from api.operations.pagination import page_or_lines
from api.problems import problem_types
from api.problems.problems import Problem
from api.resources.networks import TAG as NETWORKS_TAG
from api.schemas.base import NoQuery
from api.schemas.images.sizes import (
    ImageFilePath,
    ImageFileQuery,
    ImageQuery,
    UnitImageFilePath,
    UnitImageFileQuery,
    UnitImageQuery,
)
from api.schemas.networks import LayerQuery, UnitPath
from api.schemas.scans import UnitDetail
from api.schemas.visualizations import (
    DigestPath,
    Item,
    ItemError,
    ItemPage,
    SearchQuery,
    Visualization,
)
from imago_engine.artifacts import ArtifactKind
from services.atlases import atlases, entries
from services.base.errors import NotFound
from services.base.paging import Page
from services.base.states import State
from services.catalog import layers
from services.catalog.networks import get_network
from services.exemplars import found as exemplars
from services.exemplars import percentiles
from services.pictures import renditions, visualizations
from services.pictures.artifacts import StoredArtifact
from services.pictures.losses import Subject
from services.pictures.renditions import MEDIA_TYPES, Format
from services.pictures.visualizations import Objects

TAG = Tag(name="Visualizations", description="Pictures and all that is known of them, by digest.")
SHOWN_OF_A_UNIT = 50
_VIEWS = {"full": (ArtifactKind.IMAGE,), "crop": (ArtifactKind.CROP, ArtifactKind.IMAGE)}
"""What is shown of a picture. A unit that sees all of it has no crop."""

_PICTURE = stored(
    "image/png", "The picture.", also=[media_type for media_type in MEDIA_TYPES if media_type != "image/png"]
)
_BYTES = stored("application/octet-stream", "The bytes.")
_COMING = (State.QUEUED, State.LEASED)

blueprint = ApiBlueprint("visualizations", __name__, url_prefix="/v1", tag=TAG)


@blueprint.operation("GET", "/visualizations", scope="read", responses={200: ItemPage}, has_lines=True)
def search_visualizations(query: SearchQuery) -> Page[Item] | Lines:
    """Search by network, layer, unit and state.

    With `Accept: application/x-ndjson`, all that follow at once, a visualization a line.
    """

    def read(session: Session, cursor: str | None, limit: int) -> Page[visualizations.Visualization]:
        return visualizations.search(
            session,
            network=query.network,
            layer=query.layer,
            unit=query.unit,
            state=query.state,
            cursor=cursor,
            limit=limit,
        )

    return page_or_lines(read, Item.in_short, query)


@blueprint.operation("GET", "/visualizations/<digest>", scope="read", responses={200: Visualization})
def get_visualization(session: Session, path: DigestPath, query: NoQuery) -> Answer:
    """Get a visualization with its recipe, predictions and provenance."""
    found = visualizations.get(session, path.digest)
    labels = get_network(session, found.spec.network).labels
    shown = Visualization.of(found, labels, percentiles.of_picture(session, found.digest))
    freshness = BRIEF_FROM_MEMORY if found.state == State.DONE else None
    return Answer(shown, headers=_retry_after(session, found), freshness=freshness)


@blueprint.operation("GET", "/visualizations/<digest>/image", scope="read", responses=_PICTURE)
def get_image(path: DigestPath, query: ImageQuery) -> StoredObject:
    """Get the picture, as a PNG unless another format is asked for.

    Its bytes never change, unless the store has lost them and they were made again. What is not there yet in
    a size and format is made once, and stored.
    """
    return _image_of(path.digest, query, query.format)


@blueprint.operation("GET", "/visualizations/<digest>/image.<format>", scope="read", responses=_PICTURE)
def get_image_file(path: ImageFilePath, query: ImageFileQuery) -> StoredObject:
    """Get the picture in the format that the address ends in. The same as `…/image?format=`."""
    return _image_of(path.digest, query, path.format)


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
def get_unit(session: Session, path: UnitPath, query: LayerQuery) -> UnitDetail:
    """Get a unit with its visualizations. May be two seconds old."""
    unit = layers.get_unit(session, path.network, path.layer, path.unit, or_former=query.former)
    known = exemplars.statistics(session, unit.network, unit.layer, unit.unit)
    pictures = _of_unit(session, unit.network, unit.layer, unit.unit)
    standing = percentiles.of_pictures(session, [picture.digest for picture in pictures])
    return UnitDetail.of_unit(unit, pictures, known, standing)


@blueprint.operation(
    "GET",
    "/networks/<network>/layers/<layer>/units/<unit>/image",
    scope="read",
    responses=_PICTURE,
    tag=NETWORKS_TAG,
)
def get_unit_image(path: UnitPath, query: UnitImageQuery) -> StoredObject:
    """Get the best picture of a unit that there is now, or one that an atlas shows.

    For embedding. The best one may be two seconds old, and clients keep it for a minute. With `atlas` it is
    the facet in a version of that: a number names the same picture for good.
    """
    return _image_of_unit(path, query, query.format)


@blueprint.operation(
    "GET",
    "/networks/<network>/layers/<layer>/units/<unit>/image.<format>",
    scope="read",
    responses=_PICTURE,
    tag=NETWORKS_TAG,
)
def get_unit_image_file(path: UnitImageFilePath, query: UnitImageFileQuery) -> StoredObject:
    """Get a picture of a unit in the format that the address ends in. The same as `…/image?format=`."""
    return _image_of_unit(path, query, path.format)


def _image_of(digest: str, query: ImageFileQuery, format: Format) -> StoredObject:
    with context().database.session() as session:
        found = _done(session, digest)
    return _image(found, query, format)


def _image_of_unit(path: UnitPath, query: UnitImageFileQuery, format: Format) -> StoredObject:
    with context().database.session() as session:
        if query.atlas is None:
            best = visualizations.best(session, path.network, path.layer, path.unit)
            if best is None:
                raise _no_picture_of(session, path)
            found, freshness = Objects(best.digest, best.state, best.error, best.artifacts), BRIEF
        else:
            digest = entries.picture_of(
                session,
                query.atlas,
                query.version or atlases.LATEST,
                network=path.network,
                layer=path.layer,
                unit=path.unit,
                facet=query.facet or 0,
                by=reader(),
            )
            found, freshness = _done(session, digest), BRIEF_PERSONAL
    own = {"Content-Location": f"{visualization_path(found.digest)}/image"}
    return _image(found, query, format, freshness=freshness, headers=own)


def _image(
    found: Objects,
    query: ImageFileQuery,
    format: Format,
    freshness: Freshness = FOREVER,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> StoredObject:
    """What is shown of it, in a size and format."""
    picture = next(found.artifacts[kind] for kind in _VIEWS[query.view] if kind in found.artifacts)
    wanted = renditions.wanted(picture, query.size, format)
    if wanted is not None:
        picture = found.artifacts.get(wanted.kind) or make_once(found.digest, picture, wanted)
    return _stored(found.digest, picture, freshness, headers)


def _of_unit(session: Session, network: str, layer: str, unit: int) -> Sequence[visualizations.Visualization]:
    page = visualizations.search(
        session, network=network, layer=layer, unit=unit, or_former=True, limit=SHOWN_OF_A_UNIT
    )
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


def _artifact(found: Objects, kind: ArtifactKind) -> StoredObject:
    """What is done has this kind of artifact. Raises `NotFound` if it has not."""
    artifact = found.artifacts.get(kind)
    if artifact is None:
        raise NotFound(kind, f"{found.digest[:16]}.{kind.suffix}", "It was not kept.")
    return _stored(found.digest, artifact)


def _stored(
    digest: str,
    artifact: StoredArtifact,
    freshness: Freshness = FOREVER,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> StoredObject:
    filename = f"{digest[:16]}{PurePosixPath(artifact.object).suffix}"
    subject = Subject("visualization", digest)
    return StoredObject(
        artifact.object, filename, subject, freshness, headers, media_type=artifact.media_type
    )
