"""Plan pictures of an atlas anew that failed because their technique has another version now.

A picture is named by the version of its technique, so what an earlier release was to make has another digest
in this one: the entry gets that, and the picture a place in a new job.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.atlases.chunks import add_chunk
from services.atlases.creation import open_version
from services.atlases.layer_plans import making_of
from services.atlases.tables import AtlasLayerRow, AtlasRow
from services.base.states import JobState
from services.catalog.layers import get_layer
from services.catalog.networks import get_network
from services.jobs.job_counters import end_complete
from services.jobs.requeuing import locked_job
from services.jobs.tables import JobRow

TECHNIQUE_CHANGED = "technique_changed"

_CHANGED = text("""
    SELECT v.digest, e.unit, e.facet
    FROM job_visualizations jv JOIN visualizations v ON v.digest = jv.digest
    JOIN atlas_entries e ON e.digest = v.digest AND e.atlas_no = :no AND e.layer_no = :layer
    WHERE jv.job_id = :job AND v.state = 'failed' AND v.error ->> 'code' = :code AND v.engine <> :version
    AND e.until IS NULL
    ORDER BY v.digest FOR NO KEY UPDATE OF v
""")
# Candidates have no entry of their own.
_BESIDE = text("""
    SELECT v.digest FROM job_visualizations jv JOIN visualizations v ON v.digest = jv.digest
    WHERE jv.job_id = :job AND v.state = 'failed' AND v.error ->> 'code' = :code AND v.engine <> :version
    AND v.digest <> ALL(CAST(:digests AS text[])) ORDER BY v.digest FOR NO KEY UPDATE OF v
""")
_LET_GO = text(
    "DELETE FROM job_visualizations WHERE job_id = :job AND digest = ANY(CAST(:digests AS text[]))"
)
_REMOVE = text("DELETE FROM jobs WHERE id = :job")
_FORGET = text("""
    DELETE FROM atlas_entries WHERE atlas_no = :no AND layer_no = :layer AND until IS NULL
    AND digest = ANY(CAST(:digests AS text[]))
""")


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
    place = {"no": atlas.no, "layer": layer.layer_no}
    which = {"job": job_id, "code": TECHNIQUE_CHANGED, "version": making.version}
    changed = session.execute(_CHANGED, {**place, **which}).all()
    network, version = get_network(session, atlas.network_id), open_version(session, atlas.no)
    is_current = network.state == "ready" and not network.inspection_due
    if not changed or not is_current or network.spec_sha256 != version.network_sha256:
        return False
    beside = session.execute(_BESIDE, {**which, "digests": [row.digest for row in changed]}).all()
    # Nobody has published them: they are not done.
    session.execute(_FORGET, {**place, "digests": [row.digest for row in changed]})
    found = get_layer(session, network.id, layer.layer)
    for facet in sorted({row.facet for row in changed}):
        units = sorted(row.unit for row in changed if row.facet == facet)
        planned = add_chunk(session, atlas, version, network, found, layer.layer_no, making, units, facet)
        layer.making = {**layer.making, "batch_key": planned.items[0].batch_key}
    _leave(session, job_id, [*changed, *beside])
    return True


def _leave(session: Session, job_id: str, items: Sequence[Any]) -> None:
    """Take items that failed out of a job, and the job away that has no others."""
    job = locked_job(session, job_id)
    if len(items) == job.total:
        session.execute(_REMOVE, {"job": job_id})
        return
    session.execute(_LET_GO, {"job": job_id, "digests": [row.digest for row in items]})
    job.total, job.cached = job.total - len(items), min(job.cached, job.total - len(items))
    job.failed -= len(items)
    errors = {code: dict(error) for code, error in job.errors.items()}
    if error := errors.pop(TECHNIQUE_CHANGED, None):
        error["count"] -= len(items)
        if error["count"] > 0:
            errors[TECHNIQUE_CHANGED] = error
    job.errors = errors
    if job.state != JobState.CANCELING:
        end_complete(session, [job])
    session.flush()
