"""Visualizations: search, one in full, and its bytes. And units, which are seen through theirs."""

from collections.abc import Sequence

from flask import Response

from api.auth import requires
from api.context import context
from api.http.caching import BRIEF, FOREVER, MOMENT, REVALIDATE, conditional, keep
from api.http.objects import object_response
from api.http.paths import visualization_path
from api.http.rendering import json_response
from api.http.retry_after import retry_after
from api.operations.operation import ApiBlueprint, Tag
from api.operations.pagination import page_response
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
from services.base.errors import NotFound
from services.base.states import State
from services.catalog import catalog
from services.pictures import visualizations
from services.pictures.losses import Subject

TAG = Tag(name="Visualizations", description="Pictures and all that is known of them, by digest.")
PNG, BINARY = "image/png", "application/octet-stream"
SHOWN_OF_A_UNIT = 50

_PICTURE = {"description": "The PNG.", "content": {PNG: {"schema": {"type": "string", "format": "binary"}}}}
_BYTES = {
    "description": "The bytes.",
    "content": {BINARY: {"schema": {"type": "string", "format": "binary"}}},
}
_ELSEWHERE = {"description": "They are at `Location`, for some minutes."}
_UNCHANGED = {"description": "What the client has is what there is."}

blueprint = ApiBlueprint("visualizations", __name__, url_prefix="/v1", tag=TAG)


@blueprint.get("/visualizations", responses={200: ItemPage})
@requires("read")
def search_visualizations(query: SearchQuery) -> Response:
    """Search by network, layer, unit and state."""
    with context().database.session() as session:
        page = visualizations.search(
            session,
            network=query.network,
            layer=query.layer,
            unit=query.unit,
            state=query.state,
            cursor=query.cursor,
            limit=query.limit,
        )
    return conditional(page_response(ItemPage, page, Item.in_short), REVALIDATE)


@blueprint.get("/visualizations/<digest>", responses={200: Visualization})
@requires("read")
def get_visualization(path: DigestPath, query: NoQuery) -> Response:
    """Get a visualization with its recipe, predictions and provenance."""
    with context().database.session() as session:
        found = visualizations.get(session, path.digest)
        labels = catalog.get_network(session, found.spec.network).labels
    response = json_response(Visualization.of(found, labels))
    if found.state in (State.QUEUED, State.LEASED):
        response.headers.update(retry_after(context().database, found.digest))
    if found.state != State.DONE:
        return conditional(response, REVALIDATE)
    keep(BRIEF.seconds)
    return conditional(response, BRIEF)


@blueprint.get("/visualizations/<digest>/image", responses={200: _PICTURE, 302: _ELSEWHERE, 304: _UNCHANGED})
@requires("read")
def get_image(path: DigestPath, query: ImageQuery) -> Response:
    """Get the picture. Its bytes never change, unless the store has lost them and they were made again."""
    found = _with_picture(path.digest)
    key = found.crop_object if query.view == "crop" else None
    key = key or found.image_object
    assert key is not None  # a CHECK of the table: what is done has its image
    return object_response(key, PNG, f"{found.digest[:16]}.png", FOREVER, _subject(found.digest))


@blueprint.get("/visualizations/<digest>/code", responses={200: _BYTES, 302: _ELSEWHERE, 304: _UNCHANGED})
@requires("read")
def get_code(path: DigestPath, query: NoQuery) -> Response:
    """Get the code that the generator made the picture of: safetensors with one float32 tensor, `code`."""
    found = _with_picture(path.digest)
    return _attachment(found.digest, found.code_object, "code", "safetensors")


@blueprint.get("/visualizations/<digest>/trace", responses={200: _BYTES, 302: _ELSEWHERE, 304: _UNCHANGED})
@requires("read")
def get_trace(path: DigestPath, query: NoQuery) -> Response:
    """Get the unit's activation at each step of the ascent: NumPy's .npy, float32."""
    found = _with_picture(path.digest)
    return _attachment(found.digest, found.trace_object, "trace", "npy")


@blueprint.get(
    "/networks/<network>/layers/<layer>/units/<unit>", tag=NETWORKS_TAG, responses={200: UnitDetail}
)
@requires("read")
def get_unit(path: UnitPath, query: NoQuery) -> Response:
    """Get a unit with its visualizations. May be two seconds old."""
    with context().database.session() as session:
        unit = catalog.get_unit(session, path.network, path.layer, path.unit)
        page = visualizations.search(
            session, network=unit.network, layer=unit.layer, unit=unit.unit, limit=SHOWN_OF_A_UNIT
        )
    keep(MOMENT.seconds)
    return conditional(json_response(UnitDetail.of_unit(unit, page.data)), MOMENT)


@blueprint.get(
    "/networks/<network>/layers/<layer>/units/<unit>/image",
    tag=NETWORKS_TAG,
    responses={200: _PICTURE, 302: _ELSEWHERE, 304: _UNCHANGED},
)
@requires("read")
def get_unit_image(path: UnitPath, query: ImageQuery) -> Response:
    """Get the best picture of a unit that there is now. For embedding: may be two seconds old, and clients
    keep it for a minute.
    """
    with context().database.session() as session:
        found = visualizations.best(session, path.network, path.layer, path.unit)
        if found is None:
            page = visualizations.search(
                session, network=path.network, layer=path.layer, unit=path.unit, limit=SHOWN_OF_A_UNIT
            )
            raise _no_picture_of(path, page.data)
    key = found.crop_object if query.view == "crop" else None
    key = key or found.image_object
    assert key is not None
    response = object_response(key, PNG, f"{found.digest[:16]}.png", BRIEF, _subject(found.digest))
    response.headers["Content-Location"] = f"{visualization_path(found.digest)}/image"
    return response


def _with_picture(digest: str) -> visualizations.Objects:
    """The visualization if it is done. Raises the problem that says why there is no picture, or not yet.

    404 rather than 409: this representation does not exist now, and nothing about the request is in
    conflict with anything. Whoever embeds the address sees a missing picture until it is there.
    """
    with context().database.session() as session:
        found = visualizations.objects_of(session, digest)
    if found.state == State.DONE:
        return found
    error = ItemError.of(found.error)
    details = {
        State.QUEUED: "The picture waits for a worker.",
        State.LEASED: "The picture is being computed.",
        State.UNREACHABLE: "No picture can exist: no gradient reaches the code, so nothing moves this unit.",
        State.CANCELED: "The job that asked for it was canceled; submit it again to have it made.",
        State.FAILED: f"It could not be computed: {error.message if error else 'no reason is recorded'}",
    }
    coming = found.state in (State.QUEUED, State.LEASED)
    raise Problem(
        problem_types.NO_PICTURE,
        details[found.state],
        headers=retry_after(context().database, found.digest) if coming else {},
        members={"state": found.state, "error": error.model_dump() if error else None},
    )


def _no_picture_of(path: UnitPath, known: Sequence[visualizations.Visualization]) -> Problem:
    coming = [entry for entry in known if entry.state in (State.QUEUED, State.LEASED)]
    what = f"{path.network}/{path.layer}/{path.unit}"
    if coming:
        detail = f"A picture of {what} is on its way."
    elif known:
        states = ", ".join(sorted({entry.state for entry in known}))
        detail = f"There is no picture of {what}; its visualizations are {states}."
    else:
        detail = f"Nobody has asked for a picture of {what} yet; POST /v1/jobs does."
    headers = retry_after(context().database, coming[0].digest) if coming else {}
    return Problem(problem_types.NO_PICTURE, detail, headers=headers)


def _attachment(digest: str, key: str | None, what: str, suffix: str) -> Response:
    filename = f"{digest[:16]}.{suffix}"
    if key is None:
        raise NotFound(what, filename, "It was not kept.")
    return object_response(key, BINARY, filename, FOREVER, _subject(digest))


def _subject(digest: str) -> Subject:
    return Subject("visualization", digest)
