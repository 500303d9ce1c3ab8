"""Exports of atlases as one file that workers have written down, read from the store while it is sent."""

from flask import current_app

from api.auth import reader
from api.context import context
from api.http.caching import PERSONAL, Freshness
from api.http.objects import verified
from api.operations.download import Download
from api.operations.operation import ApiBlueprint, downloaded
from api.problems import problem_types
from api.problems.problems import Problem
from api.resources.atlases import TAG
from api.schemas.atlases import AtlasVersionPath
from api.schemas.base import NoQuery
from services.base.states import Lane
from services.exports import exports, making
from services.exports.exports import ShownExport
from services.exports.tar import ExportTar, Stored
from services.pictures import losses
from services.pictures.losses import Subject

_MEDIA_TYPE = "application/x-tar"
_AGAIN_SECONDS = 5
"""When to ask again for an export that is being written."""
_LASTING_SECONDS = 3600

blueprint = ApiBlueprint("export_tar", __name__, url_prefix="/v1", tag=TAG)


@blueprint.operation(
    "GET",
    "/atlases/<atlas>/versions/<version>/export.tar",
    scope="read",
    responses=downloaded(_MEDIA_TYPE, "The tar."),
    freshness=PERSONAL,
)
def get_atlas_export(path: AtlasVersionPath, query: NoQuery) -> Download:
    """Download a published version of an atlas as one file: an export, ready to be opened or imported.

    An uncompressed tar of the manifest, of files that list the pictures, with their hashes, and of the
    pictures. Its bytes never change: `Range` and `If-Range` go on with a download that was cut off, and
    `If-Match` answers 412 where a lost picture was made again with other bytes. 409 for the open version; 404
    with `Retry-After` until workers have written down what lists the pictures, which they do once it is
    published.
    """
    with context().database.session() as session:
        found = exports.find(session, path.atlas, path.version, by=reader())
    if found.tar is None:
        context().doorbell.ring(Lane.BULK)
        raise Problem(
            problem_types.NOT_WRITTEN,
            found.problem or "The export is being written.",
            headers={"Retry-After": str(_AGAIN_SECONDS)},
        )
    return _download(found, found.tar, is_named=path.version.isdigit())


def _download(found: ShownExport, tar: ExportTar, *, is_named: bool) -> Download:
    # It is read after the request, which has ended once an answer begins.
    app_context = current_app.app_context
    export = Subject("export", f"{found.atlas}/{found.number}")

    def read(stored: Stored) -> bytes:
        with app_context():
            try:
                with verified(stored.key, stored.subject, remember=False) as file:
                    return file.read()
            except Problem:
                _look_for_another(export, stored)
                raise

    return Download(
        tar.name,
        tar.size,
        _MEDIA_TYPE,
        f"{found.atlas}-{found.number}.tar",
        Freshness(_LASTING_SECONDS if is_named else 0, is_personal=not found.public),
        lambda first, end: tar.read(first, end, read),
    )


def _look_for_another(export: Subject, lost: Stored) -> None:
    """Have the export written anew where a picture that was lost was made again with other bytes, which
    happens where another machine made it: what is written names the bytes that are gone."""
    with context().database.session() as session:
        if lost.subject != export and lost.key not in losses.keys_of(session, lost.subject):
            making.make_again(session, export)
