"""What each cell of a grid shows: the picture of a unit, or why there is none."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.errors import Invalid
from services.base.states import State
from services.exemplars import percentiles
from services.grids.subjects import Subject
from services.pictures.best import BEST_FIRST_TEXT

MOST = 200
"""Cells that are read at once."""
_SHOWN = """
    v.unit, v.digest, v.state, v.activation, v.error, v.predictions, a.width, a.height
"""
_BESIDE = """
    LEFT JOIN LATERAL (
        SELECT width, height FROM artifacts WHERE digest = v.digest AND kind = 'image' LIMIT 1
    ) AS a ON true
"""
# Unit by unit: left to itself the planner takes many units to have several entries each, and reads all
# pictures that there are.
_OF_VERSION = text(f"""
    SELECT {_SHOWN} FROM unnest(CAST(:units AS int[])) AS asked (unit)
    CROSS JOIN LATERAL (
        SELECT digest FROM atlas_entries
        WHERE atlas_no = :no AND layer_no = :layer AND unit = asked.unit AND facet = :facet
        AND since <= :number AND (until IS NULL OR until > :number)
        LIMIT 1
    ) AS e
    CROSS JOIN LATERAL (SELECT * FROM visualizations WHERE digest = e.digest LIMIT 1) AS v {_BESIDE}
""")
# Before all what is done.
_OF_BEST = text(f"""
    SELECT {_SHOWN} FROM unnest(CAST(:units AS int[])) AS asked (unit)
    CROSS JOIN LATERAL (
        SELECT * FROM visualizations
        WHERE network_id = :network AND layer = :layer AND unit = asked.unit AND network_sha256 = :sha256
        ORDER BY state = 'done' DESC, {BEST_FIRST_TEXT}
        LIMIT 1
    ) AS v {_BESIDE}
""")
_EXCITED = text("""
    SELECT unit, non_zero FROM unit_statistics
    WHERE scan_no = :scan AND layer = :layer AND unit = ANY(CAST(:units AS int[]))
""")


@dataclass(frozen=True)
class Cell:
    """A unit in a grid. `state` is None where no picture of it was asked for, or a version has none; `name`
    the class that it stands for, `seen` the class that its network sees in the picture with `probability`.
    `percentile`: of 100 photographs so many excite the unit less. `side`: pixels of the picture's longer
    side. `dead`: no photograph of the newest scan excites it; None where there is no scan."""

    unit: int
    name: str | None
    state: State | None
    digest: str | None
    activation: float | None
    percentile: float | None
    seen: str | None
    probability: float | None
    side: int | None
    error: Mapping[str, Any] | None
    dead: bool | None


def cells(session: Session, subject: Subject, units: Sequence[int], *, facet: int = 0) -> list[Cell]:
    """The cells of these units, in their order. Raises `Invalid` for more than `MOST`."""
    if len(units) > MOST:
        raise Invalid.field("/units", f"names {len(units)} units; at most {MOST} are shown at once")
    rows = {row.unit: row for row in _rows(session, subject, list(units), facet)}
    excited = _excited(session, subject, list(units))
    standing = _standing(session, subject, rows.values())
    return [_cell(subject, unit, rows.get(unit), excited.get(unit), standing) for unit in units]


def _rows(session: Session, subject: Subject, units: list[int], facet: int) -> Sequence[Any]:
    place = subject.place
    if place is None:
        network, sha256 = subject.network.id, subject.network.spec_sha256
        at = {"network": network, "layer": subject.layer.name, "sha256": sha256, "units": units}
        return session.execute(_OF_BEST, at).all()
    where = {"no": place.atlas_no, "layer": place.layer_no, "number": place.number}
    return session.execute(_OF_VERSION, {**where, "units": units, "facet": facet}).all()


def _excited(session: Session, subject: Subject, units: list[int]) -> Mapping[int, float]:
    """By unit, the share of photographs that excite it."""
    if subject.watched is None:
        return {}
    at = {"scan": subject.watched.scan_no, "layer": subject.layer.name, "units": units}
    return {row.unit: row.non_zero for row in session.execute(_EXCITED, at)}


def _standing(session: Session, subject: Subject, rows: Iterable[Any]) -> Mapping[str, float]:
    """By digest, where pictures stand among photographs."""
    if subject.watched is None:
        return {}
    return percentiles.of_pictures(session, [row.digest for row in rows if row.activation is not None])


def _cell(
    subject: Subject, unit: int, row: Any, excited: float | None, standing: Mapping[str, float]
) -> Cell:
    names = subject.unit_names
    seen, probability = _seen(subject.classes, row)
    return Cell(
        unit=unit,
        name=names[unit] if unit < len(names) else None,
        state=None if row is None else State(row.state),
        digest=None if row is None else row.digest,
        activation=None if row is None else row.activation,
        percentile=None if row is None else standing.get(row.digest),
        seen=seen,
        probability=probability,
        side=None if row is None or row.width is None else max(row.width, row.height),
        error=None if row is None else row.error,
        dead=None if excited is None else excited == 0,
    )


def _seen(classes: Sequence[str], row: Any) -> tuple[str | None, float | None]:
    """The most probable class of what the network says of a picture; its number where it has no name."""
    if row is None or not row.predictions:
        return None, None
    number, probability = row.predictions[0]
    return classes[number] if number < len(classes) else str(number), probability
