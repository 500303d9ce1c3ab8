"""The oracle: what must hold of a database and its store, whatever happened before.

`inconsistencies` hold at any moment between transactions; `examine` is for the end, when nothing is open any
more: every accepted item has become one picture or one explanation, and every picture is there, byte by byte.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sqlalchemy import text

from services.base.database import Database
from services.base.errors import ImagoError
from services.base.storage import ObjectStore, sha256_of_key

_SHOWN = 5
_FETCHED_AT_ONCE = 8


@dataclass(frozen=True)
class Verdict:
    """What was found: items by what became of them, objects that were fetched and compared, and `faults`, one
    line each, empty where all is well.
    """

    items: Counter[str]
    objects: int
    faults: list[str]


def inconsistencies(database: Database) -> list[str]:
    """What is wrong at this moment, one line a kind."""
    with database.session() as session:
        found = {name: session.execute(text(wrong)).all() for name, wrong in _WRONG.items()}
    return [_line(name, rows) for name, rows in found.items() if rows]


def examine(database: Database, store: ObjectStore) -> Verdict:
    """Judge a service at rest."""
    faults = inconsistencies(database)
    with database.session() as session:
        for name, wrong in _UNFINISHED.items():
            if rows := session.execute(text(wrong)).all():
                faults.append(_line(name, rows))
        counts = session.execute(text("SELECT state, count(*) FROM visualizations GROUP BY state")).all()
        items = Counter({row.state: row.count for row in counts})
        keys = set(session.scalars(text(_OBJECTS)))
    with ThreadPoolExecutor(_FETCHED_AT_ONCE) as pool:
        lost = [fault for fault in pool.map(lambda key: _fault_of(store, key), sorted(keys)) if fault]
    if lost:
        faults.append(_line("an object of a picture that is done is lost or wrong", lost))
    return Verdict(items, len(keys), faults)


def _fault_of(store: ObjectStore, key: str) -> str | None:
    try:
        found = hashlib.sha256(store.get(key)).hexdigest()
    except ImagoError as error:
        return f"{key}: {error}"
    return None if found == sha256_of_key(key) else f"{key} has the sha256 {found}"


def _line(name: str, found: Sequence[object]) -> str:
    return f"{name}: {len(found)}, for instance {found[:_SHOWN]}"


_OBJECTS = "SELECT object FROM artifacts"
_UNFINISHED = {
    "a job that has not ended": "SELECT id, state FROM jobs WHERE finished_at IS NULL",
    "an item that has not ended": """
        SELECT digest, state FROM visualizations
        WHERE state IN ('queued', 'leased') OR lease_id IS NOT NULL""",
    # Idle workers scrub, collect and train.
    "a lease that has not ended": """
        SELECT id, kind FROM leases
        WHERE ended_at IS NULL AND kind NOT IN ('scrub', 'collect', 'training')""",
    "an item that a job names twice": """
        SELECT job_id, digest FROM job_visualizations GROUP BY job_id, digest HAVING count(*) > 1""",
    "an item that no job asked for": """
        SELECT digest FROM visualizations v WHERE NOT EXISTS (
            SELECT FROM job_visualizations jv WHERE jv.digest = v.digest)""",
    "something lost that was given up": "SELECT subject, error FROM work WHERE kind = 'repair' AND given_up",
    "an item that failed and does not say why": """
        SELECT digest FROM visualizations WHERE state = 'failed'
        AND coalesce(error->>'code', '') = '' OR state = 'failed' AND coalesce(error->>'message', '') = ''""",
    "a lease that settled more than it held": "SELECT id, items, settled FROM leases WHERE settled > items",
}
_WRONG = {
    "a live job whose counters differ from its items": """
        SELECT id, total, done, failed, unreachable, canceled, errors, counted.*
        FROM jobs CROSS JOIN LATERAL (
            SELECT count(*) AS items,
                count(*) FILTER (WHERE v.state = 'done') AS are_done,
                count(*) FILTER (WHERE v.state = 'failed') AS are_failed,
                count(*) FILTER (WHERE v.state = 'unreachable') AS are_unreachable,
                count(*) FILTER (WHERE v.state = 'canceled') AS are_canceled,
                count(DISTINCT v.error->>'code') FILTER (WHERE v.state = 'failed') AS codes
            FROM job_visualizations JOIN visualizations v USING (digest) WHERE job_id = jobs.id
        ) AS counted
        WHERE state IN ('queued', 'running') AND ROW(total, done, failed, unreachable, canceled)
            IS DISTINCT FROM ROW(items, are_done, are_failed, are_unreachable, are_canceled)
        OR total <> items
        OR (SELECT coalesce(sum((e.value->>'count')::int), 0) FROM jsonb_each(errors) e) <> failed
        OR state IN ('queued', 'running') AND (SELECT count(*) FROM jsonb_each(errors)) <> codes""",
    "an open job of which nothing is open": """
        SELECT id, state FROM jobs WHERE state IN ('queued', 'running') AND NOT EXISTS (
            SELECT FROM job_visualizations JOIN visualizations v USING (digest)
            WHERE job_id = jobs.id AND v.state IN ('queued', 'leased'))""",
    "a canceling job that nobody works for": """
        SELECT id FROM jobs WHERE state = 'canceling' AND NOT EXISTS (
            SELECT FROM job_visualizations JOIN visualizations v USING (digest)
            WHERE job_id = jobs.id AND v.state = 'canceled' AND v.lease_id IS NOT NULL)""",
    "a job that did not end as its counts say": """
        SELECT id, state FROM jobs WHERE finished_at IS NOT NULL AND state <> CASE
            WHEN canceled > 0 THEN 'canceled' WHEN failed > 0 OR done = 0 THEN 'failed'
            ELSE 'succeeded' END""",
    "an item that waits though no live job wants it": """
        SELECT digest, state FROM visualizations v WHERE state IN ('queued', 'leased') AND NOT EXISTS (
            SELECT FROM job_visualizations jv JOIN jobs ON jobs.id = jv.job_id
            WHERE jv.digest = v.digest AND jobs.state IN ('queued', 'running'))""",
    "an item canceled though a live job wants it": """
        SELECT digest, state FROM visualizations v WHERE state = 'canceled' AND EXISTS (
            SELECT FROM job_visualizations jv JOIN jobs ON jobs.id = jv.job_id
            LEFT JOIN atlases ON atlases.no = jobs.atlas_no
            WHERE jv.digest = v.digest AND jobs.state IN ('queued', 'running')
            AND coalesce(atlases.wish, 'build') = 'build' AND jobs.canceled = 0)""",
    "an entry of an atlas that is not what its place says": """
        SELECT e.* FROM atlas_entries e JOIN atlases ON atlases.no = e.atlas_no
        JOIN atlas_layers l USING (atlas_no, layer_no) JOIN visualizations v USING (digest)
        WHERE (v.network_id, v.layer, v.unit, v.seed % 10001) <> (
            atlases.network_id, l.layer, e.unit, e.facet)""",
    "a layer of an atlas whose jobs differ from its entries": """
        SELECT l.atlas_no, l.layer_no, j.items, e.entries FROM atlas_layers l CROSS JOIN LATERAL (
            SELECT coalesce(sum(total / coalesce(CAST(request ->> 'candidates' AS int), 1)), 0) AS items
            FROM jobs WHERE (jobs.atlas_no, jobs.layer_no) = (l.atlas_no, l.layer_no)
        ) AS j CROSS JOIN LATERAL (
            SELECT count(*) AS entries FROM atlas_entries e
            WHERE (e.atlas_no, e.layer_no) = (l.atlas_no, l.layer_no) AND e.until IS NULL
        ) AS e JOIN atlases ON atlases.no = l.atlas_no
        WHERE j.items <> e.entries AND atlases.wish <> 'delete'""",
    "an item held by a lease that has ended": """
        SELECT digest, lease_id FROM visualizations JOIN leases ON leases.id = lease_id
        WHERE ended_at IS NOT NULL""",
    "a picture that is done without an image": """
        SELECT digest FROM visualizations v WHERE state = 'done' AND NOT EXISTS (
            SELECT FROM artifacts a WHERE a.digest = v.digest AND kind = 'image')""",
    "an artifact of what is not done": """
        SELECT digest, kind FROM artifacts JOIN visualizations v USING (digest) WHERE state <> 'done'""",
    "an open lease that holds nothing": """
        SELECT id FROM leases WHERE ended_at IS NULL AND NOT EXISTS (
            SELECT FROM visualizations WHERE lease_id = leases.id
            UNION ALL SELECT FROM trainings WHERE lease_id = leases.id
            UNION ALL SELECT FROM networks WHERE lease_id = leases.id
            UNION ALL SELECT FROM work WHERE lease_id = leases.id)""",
    "something held by a lease that has ended, or is of another kind": """
        SELECT held.* FROM (
            SELECT 'training' AS kind, id, lease_id FROM trainings
            UNION ALL SELECT 'inspection', id, lease_id FROM networks
            UNION ALL SELECT kind, subject, lease_id FROM work
        ) AS held JOIN leases ON leases.id = lease_id
        WHERE ended_at IS NOT NULL OR leases.kind <> held.kind""",
}
