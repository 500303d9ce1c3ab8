"""Atlases: plan, build, watch, change, publish, read."""

from sqlalchemy.orm import Session

from api.auth import principal, reader
from api.context import context
from api.http import retry_after, waiting
from api.http.caching import PERSONAL, SECRET
from api.http.negotiation import prefers
from api.http.rendering import LINES
from api.openapi import examples
from api.operations.answers import Answer, Document, Lines, accepted
from api.operations.operation import REMOVED, ApiBlueprint, Tag
from api.operations.pagination import only_page, shown_page
from api.schemas.atlas_estimates import AtlasEstimate
from api.schemas.atlases import (
    Atlas,
    AtlasHeaders,
    AtlasLayer,
    AtlasLayerPage,
    AtlasLayerPath,
    AtlasListQuery,
    AtlasPage,
    AtlasPath,
    AtlasUnit,
    AtlasUnitPage,
    AtlasVersion,
    AtlasVersionDetail,
    AtlasVersionPage,
    AtlasVersionPath,
)
from api.schemas.base import NoQuery, PageQuery
from api.streams.opening import STREAM, open_stream
from api.streams.requests import EventsHeaders, EventsQuery
from services.atlases import atlas_estimates, atlases, changes, creation, entries, publishing
from services.atlases.atlas_request import AtlasChange, AtlasExtension, AtlasRequest
from services.atlases.building import steps
from services.atlases.tables import AtlasRow
from services.base.paging import Page
from services.base.states import Lane

TAG = Tag(name="Atlases", description="Whole networks: the pictures of many units, built overnight.")

blueprint = ApiBlueprint("atlases", __name__, url_prefix="/v1", tag=TAG)


@blueprint.operation(
    "POST",
    "/atlases",
    scope="jobs:write",
    responses={200: Atlas, 202: Atlas},
    freshness=PERSONAL,
    example=examples.ATLAS_BODY,
)
def create_atlas(session: Session, header: AtlasHeaders, body: AtlasRequest) -> Answer:
    """Make an atlas.

    What it asks for is checked and settled at once: the layers, the recipe of each, and the generator, which
    it keeps. Workers then make its jobs, coarse to fine: some units of every layer, then all, then the next
    facets. 202 while something is to be done. Refused where the store plainly lacks the room.
    """
    owner, key = principal().key_id, header.idempotency_key
    if creation.made_before(session, body, owner=owner, idempotency_key=key) is None:
        atlas_estimates.check_room_for(session, body, context().store_room())
    row, is_new = creation.create(session, body, owner=owner, idempotency_key=key)
    return _answer(session, row, new=True, replayed=not is_new)


@blueprint.operation(
    "POST",
    "/atlases:estimate",
    scope="read",
    responses={200: AtlasEstimate},
    freshness=PERSONAL,
    example=examples.ATLAS_BODY,
)
def estimate_atlas(session: Session, body: AtlasRequest) -> AtlasEstimate:
    """Estimate an atlas.

    What the same request to `/v1/atlases` would take: pictures, those that are known already, time and bytes.
    Nothing is made.
    """
    return AtlasEstimate.of(
        atlas_estimates.estimate(session, body, owner=reader().key_id or None, room=context().store_room())
    )


@blueprint.operation("GET", "/atlases", scope="read", responses={200: AtlasPage}, freshness=PERSONAL)
def list_atlases(session: Session, query: AtlasListQuery) -> Page[Atlas]:
    """List atlases, the newest first.

    Public ones, and private ones for their owner and for keys with the scope `admin`.
    """
    return atlases.list(
        session,
        by=reader(),
        network=query.network,
        owner=query.owner,
        name=query.name,
        cursor=query.cursor,
        limit=query.limit,
    ).map(Atlas.of)


@blueprint.operation("GET", "/atlases/<atlas>", scope="read", responses={200: Atlas}, freshness=PERSONAL)
def get_atlas(session: Session, path: AtlasPath, query: NoQuery) -> Answer:
    """Get an atlas as it stands: how far it is, and why pictures failed."""
    atlas = atlases.get(session, path.atlas, by=reader())
    return Answer(Atlas.of(atlas), headers=retry_after.header(retry_after.of_atlas(atlas)))


@blueprint.operation("GET", "/atlases/<atlas>/events", scope="read", responses=STREAM, freshness=SECRET)
def follow_atlas(session: Session, path: AtlasPath, query: EventsQuery, header: EventsHeaders) -> Document:
    """Follow an atlas: its state, its progress, and the layers that have gone on, as server-sent events.

    Each event `progress` holds, as JSON, what changes of an atlas, and `layers`: the name and counts of
    those that have gone on since the event before, at first of all. Events come at most once a second. The
    last is `end`, when it is complete, paused or canceled.
    """
    return open_stream(session, "atlas", path.atlas, query, header)


@blueprint.operation(
    "GET", "/atlases/<atlas>/layers", scope="read", responses={200: AtlasLayerPage}, freshness=PERSONAL
)
def list_atlas_layers(session: Session, path: AtlasPath, query: PageQuery) -> Page[AtlasLayer]:
    """List the layers of an atlas with how far each is, in the order of the network, on one page."""
    found = atlases.layers(session, path.atlas, by=reader())
    return only_page((AtlasLayer.of(path.atlas, layer) for layer in found), query)


@blueprint.operation(
    "POST", "/atlases/<atlas>/pause", scope="jobs:write", responses={200: Atlas}, freshness=PERSONAL
)
def pause_atlas(path: AtlasPath) -> Answer:
    """Pause an atlas.

    Nothing new of it is begun; what is being computed ends. Only the key that made it and keys with the scope
    `admin` may.
    """
    with context().database.session() as session:
        changes.pause(session, path.atlas, by=principal())
    return _let_go(path.atlas)


@blueprint.operation(
    "POST", "/atlases/<atlas>/cancel", scope="jobs:write", responses={200: Atlas}, freshness=PERSONAL
)
def cancel_atlas(path: AtlasPath) -> Answer:
    """Cancel an atlas.

    What is not done is wanted no more; what is done stays, and can be published. It can be resumed. Only the
    key that made it and keys with the scope `admin` may.
    """
    with context().database.session() as session:
        changes.cancel(session, path.atlas, by=principal())
    return _let_go(path.atlas)


@blueprint.operation(
    "POST",
    "/atlases/<atlas>/resume",
    scope="jobs:write",
    responses={200: Atlas, 202: Atlas},
    freshness=PERSONAL,
)
def resume_atlas(session: Session, path: AtlasPath) -> Answer:
    """Go on with an atlas that was paused or canceled.

    409 where the network has changed since. Only the key that made it and keys with the scope `admin` may.
    """
    return _answer(session, changes.resume(session, path.atlas, by=principal()))


@blueprint.operation(
    "POST",
    "/atlases/<atlas>/retry",
    scope="jobs:write",
    responses={200: Atlas, 202: Atlas},
    freshness=PERSONAL,
)
def retry_atlas(session: Session, path: AtlasPath) -> Answer:
    """Queue the pictures of an atlas again that failed.

    409 where none has, or the network has changed since. Only the key that made it and keys with the scope
    `admin` may.
    """
    return _answer(session, changes.retry(session, path.atlas, by=principal()))


@blueprint.operation(
    "POST",
    "/atlases/<atlas>/extend",
    scope="jobs:write",
    responses={200: Atlas, 202: Atlas},
    freshness=PERSONAL,
    example={"facets": 4},
)
def extend_atlas(session: Session, path: AtlasPath, body: AtlasExtension) -> Answer:
    """Add layers, units or facets to an atlas.

    One that is being built or complete goes on with them; one that is paused or canceled stays so until it is
    resumed. 409 where the network has changed since, or where the store plainly lacks the room. Only the key
    that made it and keys with the scope `admin` may.
    """
    room = context().store_room()
    return _answer(session, changes.extend(session, path.atlas, body, by=principal(), room=room))


@blueprint.operation(
    "POST",
    "/atlases/<atlas>/extend:estimate",
    scope="read",
    responses={200: AtlasEstimate},
    freshness=PERSONAL,
    example={"facets": 4},
)
def estimate_extension(session: Session, path: AtlasPath, body: AtlasExtension) -> AtlasEstimate:
    """Estimate an extension of an atlas.

    What the same request to `…/extend` would add: pictures, those of them that are known already, time and
    bytes. Nothing is made. What the atlas has yet to make of what it was asked for before is not counted.
    """
    return AtlasEstimate.of(
        atlas_estimates.estimate_extension(
            session, path.atlas, body, by=reader(), room=context().store_room()
        )
    )


@blueprint.operation(
    "POST",
    "/atlases/<atlas>/change",
    scope="jobs:write",
    responses={200: Atlas},
    freshness=PERSONAL,
    example={"visibility": "public"},
)
def change_atlas(session: Session, path: AtlasPath, body: AtlasChange) -> Answer:
    """Give an atlas another name, or other readers.

    Only the key that made it and keys with the scope `admin` may.
    """
    return Answer(Atlas.of(atlases.shown(session, changes.change(session, path.atlas, body, by=principal()))))


@blueprint.operation(
    "POST",
    "/atlases/<atlas>/publish",
    scope="jobs:write",
    responses={200: AtlasVersionDetail, 202: AtlasVersionDetail},
    freshness=PERSONAL,
)
def publish_atlas(path: AtlasPath) -> Answer:
    """Publish what an atlas has.

    The open version is frozen with all that is done, and never changes; what is not done moves on to the
    next, which is built from then on. 202 with `publishing: true` where that takes more than a moment:
    workers go on, and the version is there as a whole or not at all. 409 where nothing is new. Only the key
    that made it and keys with the scope `admin` may.
    """
    database = context().database
    with database.session() as session:
        row, asked = publishing.publish(session, path.atlas, by=principal())
        id, number = row.id, asked.number
    publishing.publish_at_once(database, id, seconds=waiting.AT_ONCE_SECONDS)
    with database.session() as session:
        version = atlases.version(session, id, str(number), by=principal())
    later = retry_after.SOONEST if version.publishing else None
    shown = AtlasVersionDetail.of(id, version)
    return accepted(shown, later, ring=Lane.BULK)


@blueprint.operation(
    "GET", "/atlases/<atlas>/versions", scope="read", responses={200: AtlasVersionPage}, freshness=PERSONAL
)
def list_atlas_versions(session: Session, path: AtlasPath, query: PageQuery) -> Page[AtlasVersion]:
    """List the versions of an atlas, the newest first: the open one, then those that were published."""
    page = atlases.versions(session, path.atlas, by=reader(), cursor=query.cursor, limit=query.limit)
    return page.map(lambda version: AtlasVersion.of(path.atlas, version))


@blueprint.operation(
    "GET",
    "/atlases/<atlas>/versions/<version>",
    scope="read",
    responses={200: AtlasVersionDetail},
    freshness=PERSONAL,
)
def get_atlas_version(session: Session, path: AtlasVersionPath, query: NoQuery) -> AtlasVersionDetail:
    """Get a version of an atlas with its layers. Its `number` says what `latest` or `open` stands for."""
    version = atlases.version(session, path.atlas, path.version, by=reader())
    return AtlasVersionDetail.of(path.atlas, version)


@blueprint.operation(
    "GET",
    "/atlases/<atlas>/versions/<version>/layers/<layer>/units",
    scope="read",
    responses={200: AtlasUnitPage},
    freshness=PERSONAL,
    has_lines=True,
)
def list_atlas_units(path: AtlasLayerPath, query: PageQuery) -> Answer | Lines:
    """List the units that a version of an atlas shows of a layer, with their facets.

    With `Accept: application/x-ndjson`, all that follow at once, a unit a line.
    """
    database = context().database
    with database.session() as session:
        units = entries.units_of(session, path.atlas, path.version, path.layer, by=reader())
        if prefers(LINES, "application/json"):
            after = units.after(query.cursor)
            return Lines(AtlasUnit.of(unit) for unit in units.all(database, after))
        page = units.page(session, query.cursor, query.limit).map(AtlasUnit.of)
    return shown_page(AtlasUnitPage, page, version=units.number, published=units.published)


@blueprint.operation("DELETE", "/atlases/<atlas>", scope="jobs:write", responses=REMOVED)
def remove_atlas(path: AtlasPath, query: NoQuery) -> None:
    """Remove an atlas with all its versions, or end an import that goes on.

    Its pictures stay, under their own addresses and in other atlases. Only the key that made it and keys with
    the scope `admin` may.
    """
    with context().database.session() as session:
        changes.delete(session, path.atlas, by=principal())
    steps.let_go_at_once(context().database, path.atlas, seconds=waiting.AT_ONCE_SECONDS)
    context().doorbell.ring(Lane.BULK)


def _answer(session: Session, row: AtlasRow, *, new: bool = False, replayed: bool = False) -> Answer:
    """The atlas as it is from now on, and a ring for the workers that carry on."""
    atlas = atlases.shown(session, row)
    shown = Atlas.of(atlas)
    again = retry_after.of_atlas(atlas)
    location = shown.links.self if new else None
    return accepted(shown, again, location, replayed=replayed, ring=None if atlas.ended else Lane.BULK)


def _let_go(id: str) -> Answer:
    database = context().database
    steps.let_go_at_once(database, id, seconds=waiting.AT_ONCE_SECONDS)
    context().doorbell.ring(Lane.BULK)
    with database.session() as session:
        return Answer(Atlas.of(atlases.get(session, id, by=principal())))
