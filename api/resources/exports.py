"""Atlases as they come and go: what exports and static sites are made of, and imports."""

from flask import current_app
from sqlalchemy.orm import Session

from api.auth import principal, reader
from api.context import context
from api.http import waiting
from api.http.caching import PERSONAL
from api.http.negotiation import prefers
from api.http.rendering import LINES
from api.openapi import examples
from api.operations.answers import Answer, Lines
from api.operations.operation import ApiBlueprint
from api.operations.pagination import shown_page
from api.resources.atlases import TAG
from api.schemas.atlases import AtlasPath, AtlasVersionPath
from api.schemas.base import PageQuery
from api.schemas.exports.entries import AtlasEntry, AtlasEntryPage
from api.schemas.exports.imports import AtlasImport
from api.schemas.exports.sites import SiteFile, SiteQuery
from api.web.static_site.files import StaticSite, Workshop
from services.exports import beginning, completion, receiving, version_entries
from services.exports.manifest import AtlasManifest, EntrySlice

blueprint = ApiBlueprint("exports", __name__, url_prefix="/v1", tag=TAG)


@blueprint.operation(
    "GET",
    "/atlases/<atlas>/versions/<version>/entries",
    scope="read",
    responses={200: AtlasEntryPage},
    freshness=PERSONAL,
    has_lines=True,
)
def list_atlas_entries(path: AtlasVersionPath, query: PageQuery) -> Answer | Lines:
    """List all pictures of a version of an atlas with all that is known of them, layer by layer: an export.

    With `Accept: application/x-ndjson`, all that follow at once, a picture a line. The bytes of each are
    under the link `image` of its visualization.
    """
    database = context().database
    with database.session() as session:
        found = version_entries.entries_of(session, path.atlas, path.version, by=reader())
        if prefers(LINES, "application/json"):
            after = found.after(query.cursor)
            return Lines(AtlasEntry.of(each, found.class_labels) for each in found.all(database, after))
        page = found.page(session, query.cursor, query.limit)
    shown = page.map(lambda each: AtlasEntry.of(each, found.class_labels))
    return shown_page(AtlasEntryPage, shown, version=found.number, published=found.published)


@blueprint.operation(
    "GET",
    "/atlases/<atlas>/versions/<version>/site",
    scope="read",
    responses={
        200: {
            "description": "The files, each as a line.",
            "content": {LINES: {"schema": SiteFile.model_json_schema()}},
        }
    },
    freshness=PERSONAL,
)
def list_site_files(path: AtlasVersionPath, query: SiteQuery) -> Lines:
    """List the files of a static site of a version of an atlas: pages that need no server.

    A JSON object a line, in the end `index.html`. They work from any bucket and from a folder, without what
    needs a server. The version must be published.
    """
    database = context().database
    with database.session() as session:
        site = StaticSite.of(
            session,
            Workshop(database, current_app.jinja_env, current_app.app_context),
            path.atlas,
            path.version,
            reader(),
            has_exemplars=query.exemplars,
        )
    return Lines(SiteFile.of(each) for each in site.files())


@blueprint.operation(
    "POST",
    "/atlases:import",
    scope="admin",
    responses={200: AtlasImport},
    freshness=PERSONAL,
    example=examples.manifest(),
)
def import_atlas(session: Session, body: AtlasManifest) -> AtlasImport:
    """Begin to import an exported atlas, or go on.

    The body is the export's `atlas.json`. The same again answers with the import that there is, and how far
    it is. Pictures keep their digests, and what this service has already stays; since whoever asks for such a
    picture later gets the imported one, only keys with the scope `admin` may. `DELETE /v1/atlases/{id}` ends
    an import that goes on; what nobody goes on with for a day is removed.
    """
    return AtlasImport.of(beginning.begin(session, body, by=principal()))


@blueprint.operation(
    "POST",
    "/atlases/<atlas>/entries",
    scope="admin",
    responses={200: AtlasImport},
    freshness=PERSONAL,
    example=examples.entries(),
)
def import_entries(path: AtlasPath, body: EntrySlice) -> AtlasImport:
    """Send the next entries of an import.

    Lines of the export's `units.jsonl`, each with the bytes of its file as base64 in `content`. Every hash
    and digest is checked. The last entries make the atlas whole: a private one of the key that imports it,
    with one published version. 409 where entries before these are missing, a job waits for one of the
    pictures, or one is done here and unreachable in the export, or the other way round.
    """
    database, store = context().database, context().store
    standing = receiving.receive(database, store, path.atlas, body, by=principal())
    if standing.complete:
        completion.order_at_once(database, standing.atlas, seconds=waiting.AT_ONCE_SECONDS)
    return AtlasImport.of(standing)
