"""Read the maps of versions of atlases that a reader sees.

The map of a published version is made without a request, that of the open version only when it is asked for:
a map costs a long computation, and each new picture would make it out of date.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from imago_engine.weights import EYE
from services.access.keys import Principal
from services.atlases.atlases import version_row
from services.atlases.visibility import atlas_row
from services.base.errors import NotFound
from services.base.states import Visibility
from services.maps.subjects import MAP, Mapped, plan
from services.maps.tables import AtlasMapRow, MapRow
from services.queue import chores, workers
from services.sheets.sheets import pictures_of
from services.sheets.subjects import POSTER

UNSEEN_SECONDS = 600.0
"""When to look again at pictures that had no embedding when the map was made."""
NOBODY_DRAWS = "No worker that runs draws maps: they need umap-learn (pip install umap-learn)."


@dataclass(frozen=True)
class Map:
    """A map that was made; see `MapRow`. `pictures`: how many the version had when it was made. `unseen`:
    units that are not on it, since their pictures had no embedding."""

    name: str
    units: int
    fitted: int
    pictures: int
    unseen: int
    layers: Sequence[str]
    labels: Sequence[Sequence[dict[str, Any]]]
    points_object: str
    points_bytes: int
    made_at: datetime


@dataclass(frozen=True)
class ShownMap:
    """The map of a version of an atlas. `map` is None until there is one; it is `current` if it was made of
    all pictures of the version. `coming`: a worker will make it, or make it again. `problem`: why the last
    try failed, or why nobody tries.
    """

    atlas: str
    network: str
    number: int
    published: bool
    public: bool
    pictures: int
    map: Map | None
    current: bool
    coming: bool
    problem: str | None

    @property
    def settled(self) -> bool:
        """Whether it will not change any more."""
        return self.published and self.current and self.map is not None and not self.map.unseen


def find(
    session: Session,
    id: str,
    version: str,
    *,
    by: Principal | None = None,
    planning: bool = True,
    asked: bool = False,
) -> ShownMap:
    """The map of a version. With `planning`, the map of a published version is planned where it is missing or
    out of date; with `asked`, that of any version.

    Raises as `version_row` does, and `NotFound` where there is no picture yet.
    """
    row = atlas_row(session, id, by)
    found = version_row(session, row, version)
    pictures = pictures_of(session, row, found, POSTER)
    if not pictures:
        raise NotFound("map", f"{id}/{found.number}", "There is no picture to be shown on it yet.")
    wanted = Mapped(row.id, found.number)
    published = found.published_at is not None
    # Before the map, which is written in the transaction that strikes off what is planned.
    outlook = chores.outlook(session, MAP, str(wanted))
    there = session.get(AtlasMapRow, (row.no, found.number, EYE))
    current = there is not None and (there.final if published else there.pictures == pictures)
    whole = there is not None and current and not there.unseen
    if asked and not whole:
        chores.hasten(session, MAP, str(wanted))
        outlook = chores.PLANNED
    elif published and planning and not whole:
        plan(session, wanted, after_seconds=UNSEEN_SECONDS if current else 0)
        outlook = outlook if outlook.problem else chores.PLANNED
    # Of a version that is published nothing is shown that was made while it was open.
    shown = there if current or not published else None
    problem = outlook.problem
    if problem is None and outlook.coming and shown is None and workers.draw_maps(session) is False:
        problem = NOBODY_DRAWS
    return ShownMap(
        row.id,
        row.network_id,
        found.number,
        published,
        row.visibility == Visibility.PUBLIC,
        pictures,
        _read(session, shown),
        current,
        outlook.coming,
        problem,
    )


def _read(session: Session, shown: AtlasMapRow | None) -> Map | None:
    if shown is None:
        return None
    row = session.get_one(MapRow, shown.map)
    return Map(
        row.name,
        row.units,
        row.fitted,
        shown.pictures,
        shown.unseen,
        row.layers,
        row.labels,
        row.points_object,
        row.points_bytes,
        shown.made_at,
    )
