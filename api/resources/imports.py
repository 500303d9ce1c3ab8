"""Imports of exported atlases: the manifest first, then the entries with their pictures, in order."""

from sqlalchemy.orm import Session

from api.auth import principal
from api.context import context
from api.http.caching import PERSONAL
from api.operations.operation import ApiBlueprint
from api.resources.atlases import TAG
from api.schemas.atlases import AtlasPath
from api.schemas.imports import AtlasImport
from services.exports import beginning, receiving
from services.exports.manifest import AtlasManifest, EntrySlice

blueprint = ApiBlueprint("imports", __name__, url_prefix="/v1", tag=TAG)


@blueprint.operation(
    "POST", "/atlases:import", scope="admin", responses={200: AtlasImport}, freshness=PERSONAL
)
def import_atlas(session: Session, body: AtlasManifest) -> AtlasImport:
    """Begin to import an exported atlas, or go on.

    The body is the export's `atlas.json`. The same again answers with the import that there is, and how far
    it is. Pictures keep their digests, and what this service has already stays; since whoever asks for such a
    picture later gets the imported one, only keys with the scope `admin` may.
    """
    return AtlasImport.of(beginning.begin(session, body, by=principal()))


@blueprint.operation(
    "POST", "/atlases/<atlas>/entries", scope="admin", responses={200: AtlasImport}, freshness=PERSONAL
)
def import_entries(path: AtlasPath, body: EntrySlice) -> AtlasImport:
    """Send the next entries of an import.

    Lines of the export's `units.jsonl`, each with the bytes of its file as base64 in `content`. Every hash
    and digest is checked. The last entries make the atlas whole: a private one of the key that imports it,
    with one published version. 409 where entries before these are missing, or a job waits for one of the
    pictures.
    """
    database, store = context().database, context().store
    return AtlasImport.of(receiving.receive(database, store, path.atlas, body, by=principal()))
