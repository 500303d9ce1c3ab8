"""What can be watched, and what events tell of it: what a page shows that changes.

Each kind has a *mark* that is cheap to read and differs whenever something else is to be told, so that what
stands still costs next to nothing.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.orm import Session

from api.schemas.atlases import Atlas, AtlasLayer
from api.schemas.jobs import Job
from api.schemas.scans import Scan
from api.schemas.trainings import Training
from services.access.keys import Principal
from services.atlases import atlases, visibility
from services.atlases import progress as atlas_progress
from services.atlases.tables import AtlasRow
from services.catalog import looks
from services.exemplars import scans
from services.jobs import jobs, progress
from services.jobs.tables import JobRow
from services.trainings import trainings

KindName = Literal["job", "atlas", "training", "scan"]
_SAME = ("id", "object", "state", "progress")


@dataclass(frozen=True)
class Mark:
    """Equal as long as there is nothing else to tell. `atlas` is the one that the subject is, or is a part
    of; None with `is_of_atlas` where that is gone."""

    value: Hashable
    atlas: AtlasRow | None = field(default=None, compare=False)
    is_of_atlas: bool = False

    def is_seen_by(self, by: Principal) -> bool:
        """Whether `by` may see what is marked so."""
        return not self.is_of_atlas or (self.atlas is not None and visibility.sees(self.atlas, by))


@dataclass(frozen=True)
class Snapshot:
    """How a subject stands: `state` is JSON. `layers` are told only where they differ from before."""

    state: Mapping[str, Any]
    ended: bool
    layers: Mapping[str, Any] = field(default_factory=dict)


class Kind(Protocol):
    """A kind of what can be watched."""

    def get(self, session: Session, id: str, by: Principal) -> Snapshot:
        """How one stands. Raises `NotFound`, also where `by` does not see it."""
        ...

    def marks(self, session: Session, ids: Collection[str]) -> Mapping[str, Mark]:
        """The marks of those that are there."""
        ...

    def read(self, session: Session, ids: Collection[str]) -> Mapping[str, Snapshot]:
        """How those stand that are there."""
        ...


class _Jobs:
    def get(self, session: Session, id: str, by: Principal) -> Snapshot:
        return self._shown(jobs.get(session, id, by=by))

    def marks(self, session: Session, ids: Collection[str]) -> Mapping[str, Mark]:
        version: sa.ColumnElement[str] = sa.literal_column("CAST(jobs.xmin AS text)")
        query = sa.select(JobRow.id, version, JobRow.atlas_no, AtlasRow)
        query = query.outerjoin(AtlasRow, AtlasRow.no == JobRow.atlas_no).where(JobRow.id.in_(ids))
        # Looks are rare and short: which of them is a job's is not worth reading its request each time.
        looking = tuple(looks.under_way(session).items())
        found = session.execute(query)
        return {id: Mark((xmin, looking), atlas, no is not None) for id, xmin, no, atlas in found}

    def read(self, session: Session, ids: Collection[str]) -> Mapping[str, Snapshot]:
        rows = session.scalars(sa.select(JobRow).where(JobRow.id.in_(ids))).all()
        return {view.id: self._shown(view) for view in progress.views(session, rows)}

    def _shown(self, view: progress.JobView) -> Snapshot:
        changing = (*_SAME, "queue", "errors", "started_at", "finished_at")
        return Snapshot(_json(Job.of(view), changing), view.ended)


class _Atlases:
    # Of all jobs and layers of an atlas: some hundreds of rows.
    _COUNTS = text("""
        SELECT atlases.no, jobs.counts, layers.expanded, layers.units, versions.number
        FROM atlases
        CROSS JOIN LATERAL (
            SELECT concat_ws(' ', count(*), sum(total), sum(done), sum(failed), sum(unreachable),
                sum(canceled), count(finished_at), count(*) FILTER (WHERE undecided)) AS counts
            FROM jobs WHERE jobs.atlas_no = atlases.no
        ) AS jobs
        CROSS JOIN LATERAL (
            SELECT sum(expanded) AS expanded, sum(unit_count * facets) AS units FROM atlas_layers
            WHERE atlas_layers.atlas_no = atlases.no
        ) AS layers
        CROSS JOIN LATERAL (
            SELECT max(number) AS number FROM atlas_versions WHERE atlas_versions.atlas_no = atlases.no
        ) AS versions
        WHERE atlases.no = ANY(:nos)
    """)

    def get(self, session: Session, id: str, by: Principal) -> Snapshot:
        view = atlases.get(session, id, by=by)
        return self._shown(view, atlases.layers(session, id, by=by))

    def marks(self, session: Session, ids: Collection[str]) -> Mapping[str, Mark]:
        rows = session.scalars(sa.select(AtlasRow).where(AtlasRow.id.in_(ids))).all()
        counted = session.execute(self._COUNTS, {"nos": [row.no for row in rows]})
        counts = {no: tuple(rest) for no, *rest in counted}
        return {
            row.id: Mark((row.wish, row.name, row.visibility, row.retry_after, counts.get(row.no)), row, True)
            for row in rows
        }

    def read(self, session: Session, ids: Collection[str]) -> Mapping[str, Snapshot]:
        rows = session.scalars(sa.select(AtlasRow).where(AtlasRow.id.in_(ids))).all()
        views = atlas_progress.views(session, rows)
        return {
            row.id: self._shown(view, atlas_progress.layers(session, row))
            for row, view in zip(rows, views, strict=True)
        }

    def _shown(self, view: atlas_progress.AtlasView, layers: Sequence[atlas_progress.AtlasLayer]) -> Snapshot:
        changing = (
            *_SAME,
            *("name", "visibility", "open_version", "latest_version", "layer_count", "errors", "problem"),
        )
        shown = {layer.layer: _json(AtlasLayer.of(view.id, layer), ("layer", "pictures")) for layer in layers}
        return Snapshot(_json(Atlas.of(view), changing), view.ended, shown)


class _Trainings:
    _MARKS = text("SELECT id, CAST(xmin AS text) FROM trainings WHERE id = ANY(CAST(:ids AS text[]))")

    def get(self, session: Session, id: str, by: Principal) -> Snapshot:
        return self._shown(trainings.get(session, id))

    def marks(self, session: Session, ids: Collection[str]) -> Mapping[str, Mark]:
        return {id: Mark(version) for id, version in session.execute(self._MARKS, {"ids": list(ids)})}

    def read(self, session: Session, ids: Collection[str]) -> Mapping[str, Snapshot]:
        return {id: self._shown(view) for id, view in trainings.of_ids(session, ids).items()}

    def _shown(self, view: trainings.TrainingView) -> Snapshot:
        changing = (*_SAME, "samples", "generator", "crashes", "error", "started_at", "finished_at", "links")
        return Snapshot(_json(Training.of(view), changing), view.ended)


class _Scans:
    _MARKS = text("SELECT id, CAST(xmin AS text) FROM scans WHERE id = ANY(CAST(:ids AS text[]))")

    def get(self, session: Session, id: str, by: Principal) -> Snapshot:
        return self._shown(scans.get(session, id))

    def marks(self, session: Session, ids: Collection[str]) -> Mapping[str, Mark]:
        return {id: Mark(version) for id, version in session.execute(self._MARKS, {"ids": list(ids)})}

    def read(self, session: Session, ids: Collection[str]) -> Mapping[str, Snapshot]:
        return {id: self._shown(scans.get(session, id)) for id in self.marks(session, ids)}

    def _shown(self, view: scans.ScanView) -> Snapshot:
        return Snapshot(_json(Scan.of(view), (*_SAME, "error", "started_at", "finished_at")), view.ended)


KINDS: Mapping[KindName, Kind] = {
    "job": _Jobs(),
    "atlas": _Atlases(),
    "training": _Trainings(),
    "scan": _Scans(),
}


def _json(shown: BaseModel, members: Collection[str]) -> dict[str, Any]:
    return shown.model_dump(mode="json", by_alias=True, include=set(members))
