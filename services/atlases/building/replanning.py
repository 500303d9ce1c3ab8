"""Plan pictures of an atlas anew that failed because their technique has another version now.

A picture is named by the version of its technique, so what an earlier release was to make has another digest
in this one: the entry gets that, and the picture a place in a new job.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.atlases.building.chunks import add_chunk
from services.atlases.layer_plans import making_of
from services.atlases.tables import AtlasLayerRow, AtlasRow
from services.atlases.versions import open_version
from services.base.states import JobState, State
from services.catalog.layers import get_layer
from services.catalog.networks import get_network
from services.jobs.job_counters import end_complete
from services.jobs.requeuing import locked_job
from services.jobs.tables import JobRow

TECHNIQUE_CHANGED = "technique_changed"

# All candidates of a unit together: which is the best is told among those of one version. None of them is
# being made any more.
_CHANGED = text("""
    SELECT v.digest, v.unit, v.state, v.error FROM job_visualizations jv
    JOIN visualizations v ON v.digest = jv.digest
    WHERE jv.job_id = :job AND v.unit = ANY(ARRAY(
        SELECT item.unit FROM job_visualizations JOIN visualizations item USING (digest)
        WHERE job_visualizations.job_id = :job GROUP BY item.unit
        HAVING bool_or(
            item.state = 'failed' AND item.error ->> 'code' = :code AND item.engine <> :version
        ) AND bool_and(item.state IN ('done', 'failed', 'unreachable'))
    ))
    ORDER BY v.digest FOR NO KEY UPDATE OF v
""")
_LET_GO = text(
    "DELETE FROM job_visualizations WHERE job_id = :job AND digest = ANY(CAST(:digests AS text[]))"
)
_REMOVE = text("DELETE FROM jobs WHERE id = :job")
_OF_UNITS = """
    atlas_no = :no AND layer_no = :layer AND facet = :facet AND until IS NULL
    AND unit = ANY(CAST(:units AS int[]))
"""
_FORGET = text(f"DELETE FROM atlas_entries WHERE {_OF_UNITS} AND since >= :number")
# What was published stays.
_END = text(f"UPDATE atlas_entries SET until = :number WHERE {_OF_UNITS}")


def replan(session: Session, atlas: AtlasRow, job_id: str) -> bool:
    """Plan those of a job's pictures anew, as the atlas has their layer made by this release. False, and
    nothing changes, where there are none, or where the network is not the one any more that the atlas shows.

    The caller has locked the atlas. Locks items and jobs, so call it once in a transaction.
    """
    job = session.get_one(JobRow, job_id)
    if job.layer_no is None:
        return False
    layer = session.get_one(AtlasLayerRow, (atlas.no, job.layer_no))
    making = making_of(session, layer.making)
    which = {"job": job_id, "code": TECHNIQUE_CHANGED, "version": making.version}
    changed = session.execute(_CHANGED, which).all()
    network, version = get_network(session, atlas.network_id), open_version(session, atlas.no)
    if not changed or not network.is_current or network.spec_sha256 != version.network_sha256:
        return False
    (facet,) = job.request["seeds"]
    units = sorted({row.unit for row in changed})
    place = {"no": atlas.no, "layer": layer.layer_no, "facet": facet, "units": units}
    for statement in (_FORGET, _END):
        session.execute(statement, {**place, "number": version.number})
    found = get_layer(session, network.id, layer.layer)
    planned = add_chunk(session, atlas, version, network, found, layer.layer_no, making, units, facet)
    layer.making = {**layer.making, "batch_key": planned.items[0].batch_key}
    _leave(session, job_id, changed)
    return True


def _leave(session: Session, job_id: str, items: Sequence[Any]) -> None:
    """Take items that have ended out of a job, and the job away that has no others."""
    job = locked_job(session, job_id)
    if len(items) == job.total:
        session.execute(_REMOVE, {"job": job_id})
        return
    session.execute(_LET_GO, {"job": job_id, "digests": [row.digest for row in items]})
    states = Counter(row.state for row in items)
    job.total, job.cached = job.total - len(items), min(job.cached, job.total - len(items))
    job.done -= states[State.DONE]
    job.unreachable -= states[State.UNREACHABLE]
    job.failed -= states[State.FAILED]
    errors = {code: dict(error) for code, error in job.errors.items()}
    for code, count in Counter(row.error["code"] for row in items if row.state == State.FAILED).items():
        errors[code]["count"] -= count
    job.errors = {code: error for code, error in errors.items() if error["count"] > 0}
    if job.state != JobState.CANCELING:
        end_complete(session, [job])
    session.flush()
