"""What workers write down of exports, while the chore of one is theirs. Objects are put before.

An export is what lists the pictures of a published version: it is written once, part by part, and then stays
as it is, whatever becomes of the names and labels that it tells. The pictures themselves are in the store.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.atlases.tables import AtlasRow, AtlasVersionRow
from services.base.errors import Conflict, NotFound
from services.base.paging import Key
from services.base.states import AtlasWish
from services.exports.description import describe
from services.exports.ending import Ending
from services.exports.parts import Part, Text
from services.exports.subjects import EXPORT, Exported
from services.exports.tables import AtlasExportPartRow, AtlasExportRow
from services.exports.version_entries import FIRST, Entries, entries_of
from services.maps import final as final_maps
from services.maps import making as maps
from services.maps.subjects import Mapped
from services.pictures.losses import Subject
from services.queue import chores
from services.upkeep import collected

MAP_SECONDS = 300.0
"""How long after a version was published its export waits for a map that nobody draws yet."""


@dataclass(frozen=True)
class Place:
    """How far an export is: what follows is part `part`, of the entries after `after`. `map` is the name of
    that whose places its table has."""

    part: int
    after: Key
    map: str | None

    @property
    def is_begun(self) -> bool:
        """Whether something is written, so that it is settled which map it has."""
        return self.part > 0


def wanted(session: Session, exported: Exported) -> Entries | None:
    """The entries of the version; None where nothing is to be written any more."""
    row = session.scalars(sa.select(AtlasRow).where(AtlasRow.id == exported.atlas)).first()
    if row is None or row.wish == AtlasWish.DELETE:
        return None
    try:
        found = entries_of(session, row.id, str(exported.number))
    except NotFound:
        return None
    return found if found.published else None


def place(session: Session, asked: Entries) -> Place | None:
    """Where to go on; None where all is written."""
    row = session.get(AtlasExportRow, (asked.atlas_no, asked.number), populate_existing=True)
    if row is None:
        return Place(0, FIRST, final_maps.name_of(session, asked.atlas_no, asked.number))
    if row.made_at is not None:
        return None
    last = session.scalars(_parts(asked).order_by(AtlasExportPartRow.part.desc()).limit(1)).first()
    if last is None:
        return Place(0, FIRST, row.map)
    return Place(last.part + 1, (last.layer_no, last.unit, last.facet), row.map)


def awaits_map(session: Session, exported: Exported, at: Place) -> bool:
    """Whether to begin later, since a worker is to draw the version's map a moment from now: what is written
    without its places never has them."""
    if at.is_begun or at.map is not None:
        return False
    return final_maps.is_drawn_soon(session, Mapped(exported.atlas, exported.number), seconds=MAP_SECONDS)


def lose_map(session: Session, exported: Exported, name: str) -> None:
    """Have a map drawn again whose points the store has lost, and the export begun again."""
    maps.make_again(session, Subject("map", name))
    drop(session, exported)


def add(session: Session, asked: Entries, at: Place, part: Part) -> None:
    """List a part that was put a moment ago, unless the export is elsewhere by now: what was written may have
    been let go of. Raises `Unavailable` where some of it may be gone again."""
    collected.guard(session, [text.key for text in part.texts])
    if place(session, asked) != at:
        return
    key = {"atlas_no": asked.atlas_no, "number": asked.number}
    session.execute(insert(AtlasExportRow).values(**key, map=at.map).on_conflict_do_nothing())
    layer_no, unit, facet = part.last.key
    listed = AtlasExportPartRow(
        **key,
        part=at.part,
        layer_no=layer_no,
        unit=unit,
        facet=facet,
        units_object=part.units.key,
        units_bytes=len(part.units.content),
        table_object=part.table.key if part.table else None,
        table_bytes=len(part.table.content) if part.table else 0,
        sums_object=part.sums.key if part.sums else None,
        sums_bytes=len(part.sums.content) if part.sums else 0,
        pictures_bytes=part.pictures_bytes,
        layers=[[*layer] for layer in part.layers],
        recipes=[*part.recipes],
        generators=[*part.generators],
    )
    session.add(listed)


def parts(session: Session, asked: Entries) -> Sequence[AtlasExportPartRow]:
    """All that were listed, in their order."""
    return session.scalars(_parts(asked).order_by(AtlasExportPartRow.part)).all()


def manifest(session: Session, exported: Exported, ending: Ending) -> bytes:
    """The manifest of an export all of whose parts are listed. Raises `Conflict` where they are not all."""
    row = session.scalars(sa.select(AtlasRow).where(AtlasRow.id == exported.atlas)).one()
    version = session.get_one(AtlasVersionRow, (row.no, exported.number))
    described = describe(session, row, version, ending.contents, ending.files)
    published = sum(layer["pictures"] + layer["unreachable"] for layer in version.layers or ())
    if described["entries"] != published:
        raise Conflict(f"{described['entries']} of {published} entries of the version were found.")
    return json.dumps(described, indent=1, ensure_ascii=False).encode() + b"\n"


def finish(session: Session, asked: Entries, at: Place, ending: Ending, manifest: Text) -> bool:
    """The export is whole from now on, unless it is elsewhere by now; whether it is whole. Raises as `add`
    does."""
    collected.guard(session, [manifest.key, ending.sums.key])
    if place(session, asked) != at:
        return False
    row = AtlasExportRow
    session.execute(
        sa.update(row)
        .where(row.atlas_no == asked.atlas_no, row.number == asked.number)
        .values(
            manifest_object=manifest.key,
            manifest_bytes=len(manifest.content),
            sums_object=ending.sums.key,
            sums_bytes=len(ending.sums.content),
            bytes=ending.size(len(manifest.content)),
            made_at=sa.func.clock_timestamp(),
        )
    )
    return True


def drop(session: Session, exported: Exported) -> bool:
    """Let go of what was written, so that all of it is written anew; whether there was anything."""
    no = sa.select(AtlasRow.no).where(AtlasRow.id == exported.atlas).scalar_subquery()
    row = AtlasExportRow
    gone = sa.delete(row).where(row.atlas_no == no, row.number == exported.number).returning(row.number)
    return session.execute(gone).first() is not None


def make_again(session: Session, lost: Subject) -> None:
    """Have an export written anew that lists what the store has no more."""
    exported = Exported.parse(lost.id)
    if drop(session, exported):
        chores.hasten(session, EXPORT, str(exported))


def _parts(asked: Entries) -> sa.Select[AtlasExportPartRow]:
    row = AtlasExportPartRow
    return sa.select(row).where(row.atlas_no == asked.atlas_no, row.number == asked.number)
