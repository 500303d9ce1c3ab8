"""Show the best of each unit's candidates once their job has ended."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.atlases.tables import AtlasRow, AtlasVersionRow
from services.pictures.best import CANDIDATES_BEST_FIRST

_UNDECIDED = text("""
    SELECT id, layer_no, CAST(request -> 'seeds' ->> 0 AS int) AS facet FROM jobs
    WHERE atlas_no = :no AND undecided AND finished_at IS NOT NULL ORDER BY id LIMIT 1
""")
_BEST = f"""
    WITH best AS (
        SELECT DISTINCT ON (v.unit) v.unit, v.digest
        FROM job_visualizations jv JOIN visualizations v ON v.digest = jv.digest
        WHERE jv.job_id = :job AND v.state = 'done'
        ORDER BY v.unit, {CANDIDATES_BEST_FIRST.format(picture="v", item="jv")}
    ), other AS (
        SELECT e.unit, best.digest FROM atlas_entries e JOIN best ON best.unit = e.unit
        WHERE e.atlas_no = :no AND e.layer_no = :layer AND e.facet = :facet AND e.until IS NULL
        AND e.digest <> best.digest
    )
"""
# What was published stays: the next version has another one.
_SUPERSEDE = text(f"""
    {_BEST}, ended AS (
        UPDATE atlas_entries e SET until = :number FROM other
        WHERE e.atlas_no = :no AND e.layer_no = :layer AND e.facet = :facet AND e.unit = other.unit
        AND e.until IS NULL AND e.since < :number
        RETURNING e.unit, other.digest
    )
    INSERT INTO atlas_entries (atlas_no, layer_no, unit, facet, since, digest)
    SELECT :no, :layer, unit, :facet, :number, digest FROM ended RETURNING unit
""")
_SHOW = text(f"""
    {_BEST}
    UPDATE atlas_entries e SET digest = other.digest FROM other
    WHERE e.atlas_no = :no AND e.layer_no = :layer AND e.facet = :facet AND e.unit = other.unit
    AND e.until IS NULL AND e.since >= :number RETURNING e.unit
""")
_DECIDED = text("UPDATE jobs SET undecided = false WHERE id = :job")
# What was made of the open version is up to date while it was made of as many pictures as there are.
_OUTDATE = tuple(
    text(f"""
        UPDATE {table} SET pictures = pictures - 1 WHERE atlas_no = :no AND number = :number AND NOT final
    """)
    for table in ("atlas_sheets", "atlas_maps")
)


def choose(session: Session, atlas: AtlasRow, version: AtlasVersionRow) -> bool:
    """Let the entries of the next job that has ended show the best of its candidates; False where there is
    none. The caller has locked the atlas, whose open version this is: nothing of that is published yet.
    """
    job = session.execute(_UNDECIDED, {"no": atlas.no}).first()
    if job is None:
        return False
    place = {"no": atlas.no, "layer": job.layer_no, "facet": job.facet, "number": version.number}
    found = [
        session.execute(statement, {**place, "job": job.id}).first() for statement in (_SUPERSEDE, _SHOW)
    ]
    if any(found):
        for statement in _OUTDATE:
            session.execute(statement, {"no": atlas.no, "number": version.number})
    session.execute(_DECIDED, {"job": job.id})
    return True
