"""The map that a published version keeps, for what is made with its places: which it is, and whether there is
going to be one."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.weights import EYE
from services.maps.subjects import MAP, SEEN, Mapped
from services.maps.tables import AtlasMapRow, MapRow
from services.queue import workers

_SOON = text("""
    SELECT FROM work WHERE kind = :map AND subject = :subject AND NOT given_up AND error IS NULL
    AND (lease_id IS NOT NULL OR payload ? :seen OR EXISTS (
        SELECT FROM atlas_versions WHERE atlas_no = (SELECT no FROM atlases WHERE id = :atlas)
        AND number = :number AND published_at > now() - make_interval(secs => :seconds)))
""")


@dataclass(frozen=True)
class FinalMap:
    """A map whose points are in the store; `layers` are the names that their numbers stand for."""

    name: str
    layers: Sequence[str]
    points_object: str


def name_of(session: Session, atlas_no: int, number: int) -> str | None:
    """The name of a version's map; None while it has none that stays."""
    row = session.get(AtlasMapRow, (atlas_no, number, EYE), populate_existing=True)
    return row.map if row is not None and row.final else None


def read(session: Session, name: str) -> FinalMap | None:
    """The map of this name; None where there is none any more."""
    row = session.get(MapRow, name)
    return None if row is None else FinalMap(row.name, row.layers, row.points_object)


def is_drawn_soon(session: Session, mapped: Mapped, *, seconds: float) -> bool:
    """Whether a worker draws the map of a version now or a moment from now: it has begun, or it waits for
    pictures that are being indexed, or the version was published in the last `seconds`.
    """
    if not workers.draw_maps(session):
        return False
    version = {"subject": str(mapped), "atlas": mapped.atlas, "number": mapped.number}
    given = {"map": MAP, "seen": SEEN, "seconds": seconds, **version}
    return session.execute(_SOON, given).first() is not None
