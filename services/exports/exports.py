"""Read exports that workers have written down: of published versions of atlases that a reader sees."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.access.keys import Principal
from services.atlases.atlases import version_row
from services.atlases.tables import AtlasRow
from services.atlases.visibility import atlas_row
from services.base.errors import Conflict
from services.base.states import Visibility
from services.exports.subjects import EXPORT, Exported, plan
from services.exports.tables import AtlasExportPartRow, AtlasExportRow
from services.exports.tar import ExportTar, Listing, Stored
from services.pictures.losses import Subject
from services.queue import chores


@dataclass(frozen=True)
class ShownExport:
    """The export of a version of an atlas. `tar` is None until it is written. `problem`: why a worker could
    not, the last time."""

    atlas: str
    number: int
    public: bool
    tar: ExportTar | None
    problem: str | None


def find(session: Session, id: str, version: str, *, by: Principal | None = None) -> ShownExport:
    """The export of a version; planned where there is none, as for those of releases that made none.

    Raises as `version_row` does, and `Conflict` for the open version, which changes.
    """
    row = atlas_row(session, id, by)
    found = version_row(session, row, version)
    if found.published_at is None:
        raise Conflict(
            f"Version {found.number} of the atlas {id} is being built and changes; publish it, then export "
            "it."
        )
    wanted = Exported(row.id, found.number)
    there = session.get(AtlasExportRow, (row.no, found.number))
    tar = None if there is None else _tar(session, wanted, there)
    if tar is None:
        plan(session, wanted)
    is_public = row.visibility == Visibility.PUBLIC
    problem = None if tar is not None else chores.problem(session, EXPORT, str(wanted))
    return ShownExport(row.id, found.number, is_public, tar, problem)


def sizes(session: Session, id: str) -> dict[int, int]:
    """By the number of each version whose export is written, its bytes as a tar."""
    query = (
        sa.select(AtlasExportRow.number, AtlasExportRow.bytes)
        .join(AtlasRow, AtlasRow.no == AtlasExportRow.atlas_no)
        .where(AtlasRow.id == id, AtlasExportRow.bytes.is_not(None))
    )
    return {number: size for number, size in session.execute(query) if size is not None}


def _tar(session: Session, exported: Exported, row: AtlasExportRow) -> ExportTar | None:
    subject = Subject("export", str(exported))

    def stored(key: str | None, size: int | None) -> Stored | None:
        return None if key is None or size is None else Stored(key, size, subject)

    manifest = stored(row.manifest_object, row.manifest_bytes)
    last_sums = stored(row.sums_object, row.sums_bytes)
    if manifest is None or last_sums is None or row.bytes is None:
        return None
    part = AtlasExportPartRow
    query = (
        sa.select(
            *(part.units_object, part.units_bytes, part.table_object, part.table_bytes),
            *(part.sums_object, part.sums_bytes, part.pictures_bytes),
        )
        .where(part.atlas_no == row.atlas_no, part.number == row.number)
        .order_by(part.part)
    )
    listings = [
        Listing(
            Stored(each.units_object, each.units_bytes, subject),
            stored(each.table_object, each.table_bytes),
            stored(each.sums_object, each.sums_bytes),
            each.pictures_bytes,
        )
        for each in session.execute(query)
    ]
    return ExportTar(manifest, last_sums, listings, row.bytes)
