"""What workers do to sheets in the database, while the chore of one is theirs.

Objects are put first. Whatever is written here is written by whoever still holds the chore, so that a worker
that is late changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.atlases.atlases import version_row
from services.atlases.progress import layer_rows
from services.atlases.tables import AtlasRow
from services.base.errors import NotFound
from services.base.states import AtlasWish
from services.pictures.losses import Subject
from services.queue import chores
from services.sheets.layout import Layout, Place
from services.sheets.plans import SheetPlan
from services.sheets.sheets import layout_of, pictures_of
from services.sheets.subjects import POSTER, SHEET, Sheeted
from services.sheets.tables import AtlasSheetRow, SheetRow, SheetTileRow
from services.upkeep import collected

_PUBLISHED = text("""
    SELECT published_at IS NOT NULL FROM atlas_versions WHERE atlas_no = :no AND number = :number FOR SHARE
""")
_UNUSED = text("""
    DELETE FROM sheets WHERE name = ANY(CAST(:names AS text[])) AND NOT EXISTS (
        SELECT FROM atlas_sheets WHERE sheet = sheets.name OR making = sheets.name)
""")


@dataclass(frozen=True)
class Wanted:
    """What is to be shown: layers by number and name, as the version has them; how many pictures there are,
    and whether the version is published; `shows` as in its row. `making`: what was begun of it as it is, and
    is not whole yet."""

    atlas_no: int
    number: int
    shows: int
    layer_no: int
    layers: Sequence[tuple[int, str]]
    pictures: int
    final: bool
    making: str | None


@dataclass(frozen=True)
class Begun:
    """A sheet that is being made: what it shows is in `plan_object`. `tiles`: the objects of those that are
    there."""

    name: str
    layout: Layout
    plan_object: str
    tiles: Mapping[Place, str]


@dataclass(frozen=True)
class Tile:
    """A tile whose object is in the store; `bytes` is its size."""

    place: Place
    object: str
    bytes: int


def wanted(session: Session, sheeted: Sheeted) -> Wanted | None:
    """None where nothing is to be made any more: the atlas is gone."""
    row = session.scalars(sa.select(AtlasRow).where(AtlasRow.id == sheeted.atlas)).first()
    if row is None or row.wish == AtlasWish.DELETE:
        return None
    try:
        version = version_row(session, row, str(sheeted.number))
    except NotFound:
        return None
    shown = None if version.layers is None else {layer["layer_no"] for layer in version.layers}
    layers = [
        (layer.layer_no, layer.layer)
        for layer in layer_rows(session, row)
        if sheeted.layer_no in (POSTER, layer.layer_no) and (shown is None or layer.layer_no in shown)
    ]
    is_final = version.published_at is not None
    there = session.get(AtlasSheetRow, (row.no, sheeted.number, sheeted.layer_no))
    return Wanted(
        row.no,
        sheeted.number,
        version.shows,
        sheeted.layer_no,
        layers,
        pictures_of(session, row, version, sheeted.layer_no),
        is_final,
        there.making if there is not None and there.final == is_final else None,
    )


def end(session: Session, lease_id: int, subject: str, asked: Wanted | None) -> None:
    """Strike off the chore that made what was asked for, None where that is nothing any more; but where the
    version was published since, have it done once more: what it shows for good is still to be made."""
    held = chores.hold(session, lease_id, [subject])
    # The lock keeps it from being published before the chore is gone: then it is planned anew.
    version = {} if asked is None or asked.final else {"no": asked.atlas_no, "number": asked.number}
    if version and session.execute(_PUBLISHED, version).scalar():
        chores.release(session, lease_id, held)
    else:
        chores.done(session, lease_id, held)


def begin(session: Session, asked: Wanted, plan: SheetPlan, plan_object: str) -> bool:
    """Let a version show a sheet, at once if it is whole, else as soon as it is; returns whether it is whole.

    The plan was put a moment ago. Raises `Unavailable` where it may be gone again.
    """
    collected.guard(session, [plan_object])
    strips = [[strip.title, strip.cells] for strip in plan.layout.strips]
    begun = insert(SheetRow).values(
        name=plan.name, columns=plan.layout.columns, strips=strips, plan_object=plan_object
    )
    # Locked, so that nobody finds it unused before the next statement.
    again = begun.on_conflict_do_update(
        index_elements=["name"],
        set_={"plan_object": sa.case((SheetRow.made_at.is_(None), plan_object), else_=None)},
    )
    is_whole = session.execute(again.returning(SheetRow.made_at)).scalar_one() is not None
    key = {"atlas_no": asked.atlas_no, "number": asked.number, "layer_no": asked.layer_no}
    before = session.get(AtlasSheetRow, tuple(key.values()))
    replaced = [] if before is None else [before.making, before.sheet]
    points = {"sheet": plan.name, "making": None} if is_whole else {"making": plan.name}
    known = {"pictures": asked.pictures, "final": asked.final, **points}
    session.execute(
        insert(AtlasSheetRow)
        .values({**key, **known})
        .on_conflict_do_update(index_elements=list(key), set_=known)
    )
    _forget(session, replaced)
    return is_whole


def begun(session: Session, name: str) -> Begun | None:
    """What is there of a sheet; None where it is gone, or whole by somebody else's hand."""
    row = session.get(SheetRow, name, populate_existing=True)
    if row is None or row.plan_object is None:
        return None
    tiles = session.execute(
        sa.select(SheetTileRow.level, SheetTileRow.col, SheetTileRow.row, SheetTileRow.object).where(
            SheetTileRow.sheet == name
        )
    )
    return Begun(
        name, layout_of(row), row.plan_object, {Place(level, col, at): key for level, col, at, key in tiles}
    )


def add_tiles(session: Session, name: str, tiles: Sequence[Tile]) -> None:
    """List tiles that were put a moment ago; what is listed already stays. Raises `Unavailable` where one may
    be gone again."""
    collected.guard(session, [tile.object for tile in tiles])
    rows = [
        {"sheet": name, **tile.place._asdict(), "object": tile.object, "bytes": tile.bytes} for tile in tiles
    ]
    session.execute(insert(SheetTileRow).values(rows).on_conflict_do_nothing())


def finish(session: Session, asked: Wanted, name: str, picture_object: str) -> None:
    """A sheet all of whose tiles are listed is whole, and the version shows it from now on."""
    collected.guard(session, [picture_object])
    made = sa.update(SheetRow).where(SheetRow.name == name)
    session.execute(
        made.values(picture_object=picture_object, plan_object=None, made_at=sa.func.clock_timestamp())
    )
    row = session.get_one(AtlasSheetRow, (asked.atlas_no, asked.number, asked.layer_no))
    replaced, row.sheet, row.making = row.sheet, name, None
    session.flush()
    _forget(session, [replaced])


def drop(session: Session, asked: Wanted) -> None:
    """Let go of what was begun, so that it is begun anew."""
    row = session.get_one(AtlasSheetRow, (asked.atlas_no, asked.number, asked.layer_no))
    replaced, row.making = row.making, None
    session.flush()
    _forget(session, [replaced])


def remove_of_atlas(session: Session, atlas_no: int) -> None:
    """Remove all sheets of an atlas but those that others show, too."""
    gone = sa.delete(AtlasSheetRow).where(AtlasSheetRow.atlas_no == atlas_no)
    names = session.execute(gone.returning(AtlasSheetRow.sheet, AtlasSheetRow.making)).all()
    _forget(session, [name for pair in names for name in pair])


def make_again(session: Session, lost: Subject) -> None:
    """Have a sheet made again of which the store has lost something."""
    name, _, _ = lost.id.partition("/")
    users = session.execute(
        sa.select(AtlasSheetRow, AtlasRow.id)
        .join(AtlasRow, AtlasRow.no == AtlasSheetRow.atlas_no)
        .where(sa.or_(AtlasSheetRow.sheet == name, AtlasSheetRow.making == name))
    ).all()
    for row, atlas in users:
        row.sheet = row.making = None
        chores.hasten(session, SHEET, str(Sheeted(atlas, row.number, row.layer_no)))
    _forget(session, [name])


def _forget(session: Session, names: Sequence[str | None]) -> None:
    session.flush()
    session.execute(_UNUSED, {"names": [name for name in names if name is not None]})
