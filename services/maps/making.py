"""What workers write about maps, while they hold the chore. Objects are put into the store before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from imago_engine.weights import EYE
from services.atlases.tables import AtlasRow
from services.maps.subjects import MAP, Mapped
from services.maps.tables import AtlasMapRow, MapRow
from services.pictures.losses import Subject
from services.queue import chores
from services.sheets import making as sheets
from services.sheets.making import Wanted
from services.sheets.subjects import POSTER, Sheeted
from services.upkeep import collected

_UNUSED = text("""
    DELETE FROM maps WHERE name = ANY(CAST(:names AS text[]))
    AND NOT EXISTS (SELECT FROM atlas_maps WHERE map = maps.name)
""")


@dataclass(frozen=True)
class Drawn:
    """A map whose points are in the store; see `MapRow`."""

    name: str
    units: int
    fitted: int
    layers: Sequence[str]
    labels: Sequence[Sequence[dict[str, Any]]]
    points_object: str
    points_bytes: int


def wanted(session: Session, mapped: Mapped) -> Wanted | None:
    """What is to be mapped, the same that a poster shows; None where nothing is any more."""
    return sheets.wanted(session, Sheeted(mapped.atlas, mapped.number, POSTER))


def show_known(session: Session, asked: Wanted, name: str, unseen: int) -> bool:
    """Let a version show the map of this name; False where there is none yet."""
    if session.get(MapRow, name) is None:
        return False
    _point(session, asked, name, unseen)
    return True


def finish(session: Session, asked: Wanted, drawn: Drawn, unseen: int) -> None:
    """Let a version show a map that was just drawn. Raises `Unavailable` where its object may be gone."""
    collected.guard(session, [drawn.points_object])
    new = insert(MapRow).values(**vars(drawn), eye=EYE)
    kept = {"points_object": drawn.points_object, "points_bytes": drawn.points_bytes}
    again = {**kept, "fitted": drawn.fitted, "labels": drawn.labels}
    session.execute(new.on_conflict_do_update(index_elements=["name"], set_=again))
    _point(session, asked, drawn.name, unseen)


def _point(session: Session, asked: Wanted, name: str, unseen: int) -> None:
    key = {"atlas_no": asked.atlas_no, "number": asked.number, "eye": EYE}
    before = session.get(AtlasMapRow, tuple(key.values()))
    replaced = None if before is None else before.map
    known = {"map": name, "pictures": asked.pictures, "unseen": unseen, "final": asked.final}
    new = insert(AtlasMapRow).values({**key, **known})
    moment = {"made_at": sa.func.clock_timestamp()}
    session.execute(new.on_conflict_do_update(index_elements=list(key), set_={**known, **moment}))
    _forget(session, [replaced])


def remove_of_atlas(session: Session, atlas_no: int) -> None:
    """Remove all maps of an atlas but those that others show, too."""
    gone = sa.delete(AtlasMapRow).where(AtlasMapRow.atlas_no == atlas_no).returning(AtlasMapRow.map)
    _forget(session, list(session.scalars(gone)))


def make_again(session: Session, lost: Subject) -> None:
    """Have a map made again whose points the store has lost."""
    users = session.execute(
        sa.select(AtlasMapRow, AtlasRow.id)
        .join(AtlasRow, AtlasRow.no == AtlasMapRow.atlas_no)
        .where(AtlasMapRow.map == lost.id)
    ).all()
    for row, atlas in users:
        session.delete(row)
        chores.hasten(session, MAP, str(Mapped(atlas, row.number)))
    _forget(session, [lost.id])


def _forget(session: Session, names: Sequence[str | None]) -> None:
    session.flush()
    session.execute(_UNUSED, {"names": [name for name in names if name is not None]})
