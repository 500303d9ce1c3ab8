"""What became of a job when: `python -m benchmarks.timelines JOB… > timelines.json`.

Reads the database that IMAGO_DATABASE_URL names. Estimates of the time left are tested by replaying these:
tests/unit/services/estimates/test_replayed_estimates.py. Times are seconds since the job was submitted.
"""

import json
import os
import sys
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.database import Database

_JOB = text("""
    SELECT lane, total, cached, parts, created_at, extract(epoch FROM finished_at - created_at)::float AS took
    FROM jobs WHERE id = :id AND finished_at IS NOT NULL
""")
_BATCHES = text("""
    SELECT v.batch_key, leases.worker_id, count(*) AS items, max(v.provenance->>'device') AS device,
        extract(epoch FROM leases.created_at - CAST(:since AS timestamptz))::float AS claimed,
        extract(epoch FROM leases.ended_at - CAST(:since AS timestamptz))::float AS ended,
        sum((v.provenance->>'batch_seconds')::float / (v.provenance->>'batch_size')::float) AS seconds
    FROM job_visualizations jv JOIN visualizations v ON v.digest = jv.digest
    JOIN leases ON leases.id = (v.provenance->>'lease')::bigint
    WHERE jv.job_id = :id AND leases.created_at >= :since
    GROUP BY v.batch_key, leases.id ORDER BY leases.id
""")
_ROUND = text("SELECT max(round_items) FROM learned_costs WHERE device = :device")


def timeline(session: Session, job: str) -> dict[str, Any]:
    """A job that has ended, with each batch of it that was computed for it."""
    row = session.execute(_JOB, {"id": job}).one()
    batches = session.execute(_BATCHES, {"id": job, "since": row.created_at}).all()
    device = batches[0].device
    return {
        "lane": row.lane,
        "total": row.total,
        "cached": row.cached,
        "took": round(row.took, 3),
        "device": device,
        "round_items": session.execute(_ROUND, {"device": device}).scalar_one(),
        "parts": row.parts,
        "batches": [
            {
                "batch_key": batch.batch_key,
                "worker": batch.worker_id,
                "items": batch.items,
                "claimed": round(batch.claimed, 3),
                "ended": round(batch.ended, 3),
                "seconds": round(batch.seconds, 3),
            }
            for batch in batches
        ],
    }


def main() -> int:
    database = Database(os.environ["IMAGO_DATABASE_URL"])
    with database.session() as session:
        print(json.dumps([timeline(session, job) for job in sys.argv[1:]], indent=1))
    database.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
