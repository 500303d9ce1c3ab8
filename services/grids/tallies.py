"""How much of a layer there is to see, told by what was counted before: nothing is counted anew."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.atlases.tables import AtlasVersionRow
from services.grids.subjects import Subject

MOST_COUNTED = 200_000
"""Units of which the dead ones are counted."""
_OF_JOBS = text("""
    SELECT coalesce(sum(done), 0) AS pictures, coalesce(sum(unreachable), 0) AS unreachable,
        coalesce(sum(failed), 0) AS failed
    FROM jobs WHERE atlas_no = :no AND layer_no = :layer
""")
_DEAD = text("""
    SELECT count(*) FROM unit_statistics WHERE scan_no = :scan AND layer = :layer AND non_zero = 0
""")


@dataclass(frozen=True)
class Tally:
    """Pictures of a layer in a version, all facets together: `total` were asked for. `dead` units are those
    that no photograph of the newest scan excites; None where nobody has looked, or they are too many."""

    total: int
    pictures: int
    unreachable: int
    failed: int
    dead: int | None

    @property
    def missing(self) -> int:
        """What is not there yet, or not in this version."""
        return max(0, self.total - self.pictures - self.unreachable - self.failed)


def tally(session: Session, subject: Subject) -> Tally | None:
    """Of a version of an atlas; None where the best picture of each unit is shown, which nobody counts."""
    place = subject.place
    if place is None:
        return None
    total = len(subject.units) * subject.facets
    version = session.get(AtlasVersionRow, (place.atlas_no, place.number))
    if version is not None and version.layers is not None:
        (kept,) = (layer for layer in version.layers if layer["layer_no"] == place.layer_no)
        counts = kept["pictures"], kept["unreachable"], 0
    else:
        row = session.execute(_OF_JOBS, {"no": place.atlas_no, "layer": place.layer_no}).one()
        counts = int(row.pictures), int(row.unreachable), int(row.failed)
    return Tally(total, *counts, dead=_dead(session, subject))


def _dead(session: Session, subject: Subject) -> int | None:
    if subject.watched is None or subject.layer.units > MOST_COUNTED:
        return None
    at = {"scan": subject.watched.scan_no, "layer": subject.layer.name}
    return int(session.execute(_DEAD, at).scalar_one())
