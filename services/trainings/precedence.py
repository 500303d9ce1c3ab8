"""Whether work waits that goes before any training."""

import json
from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.queue import takeable
from services.queue.kinds import PUT_OFF

PUT_OFF_SECONDS = 600.0
"""How long a chore that was put off is due before a training makes way for another look at it."""

# Nothing that this worker would leave: it would take the training again at once, and make way for ever. What
# needs no device is done beside a training (`worker.trainings.supervise`).
_WAITING = text("""
    SELECT EXISTS (
        SELECT FROM excitations WHERE state = 'queued' AND lease_id IS NULL
        AND 'network:' || network_id <> ALL(CAST(:lacks AS text[]))
    ) OR EXISTS (
        SELECT FROM networks WHERE state = 'pending' AND lease_id IS NULL
    ) OR EXISTS (
        SELECT FROM work WHERE kind IN ('repair', 'scan', 'look', 'map') AND lease_id IS NULL
        AND (NOT given_up OR kind = 'scan')
        AND not_before <= now() - make_interval(secs => CASE
            WHEN payload @> CAST(:put_off AS jsonb) THEN :seconds ELSE 0 END)
        AND (NOT coalesce(payload -> 'refused_by' ? :worker, false) OR payload @> CAST(:put_off AS jsonb))
        AND (kind <> 'map' OR EXISTS (SELECT FROM workers WHERE id = :worker AND draws_maps))
    )
""")


def work_goes_before(session: Session, worker_id: str, *, lacks: Collection[str] = ()) -> bool:
    """Whether there is work that goes before any training, and that this worker, which `lacks` what that
    names, would take; but for what is done beside a training."""
    if takeable.waits(session, lacks=lacks):
        return True
    put_off = {"put_off": json.dumps({PUT_OFF: True}), "seconds": PUT_OFF_SECONDS}
    waiting = session.execute(_WAITING, {"worker": worker_id, "lacks": [*lacks], **put_off})
    return bool(waiting.scalar_one())
