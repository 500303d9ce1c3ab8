"""Which of the pictures that wait a worker may take, and whose turn it is among these.

A worker may lack a network, a generator, or the memory for a kind of batch. Then it asks kind by kind, of
which there are few: all that wait of a kind need the same, and in the order of their turns it would read each
of a million pictures of a network that it cannot have.
"""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.states import Lane

LANES = (Lane.INTERACTIVE, Lane.BULK)
"""What goes first first."""
NEAR = 500
"""Items at the head of a lane that are looked at one by one, before a worker that lacks something asks kind
by kind."""
_KINDS_AT_ONCE = 50

_DUE = "state = 'queued' AND (not_before IS NULL OR not_before <= now())"
_HERE = """
    'network:' || network_id <> ALL(CAST(:lacks AS text[]))
    AND (generator_id IS NULL OR 'generator:' || generator_id <> ALL(CAST(:lacks AS text[])))
    AND 'batch:' || batch_key <> ALL(CAST(:lacks AS text[]))
"""


def _first(condition: str) -> sa.TextClause:
    return text(f"""
    SELECT digest, batch_key, crash_count FROM visualizations
    WHERE {_DUE} AND lane = :lane AND {condition}
    ORDER BY queue_order LIMIT 1
    FOR NO KEY UPDATE SKIP LOCKED
    """)


_HEAD = _first("true")
_NEAR_HEAD = _first(f"""
    {_HERE} AND queue_order <= (
        SELECT max(queue_order) FROM (
            SELECT queue_order FROM visualizations WHERE state = 'queued' AND lane = :lane
            ORDER BY queue_order LIMIT :near
        ) AS near
    )
""")
_HEAD_OF = _first("batch_key = :batch_key")
# One look into the index for each kind: PostgreSQL has no loose scan of its own.
_KINDS = """
    WITH RECURSIVE kinds AS (
        SELECT first.* FROM unnest(CAST(:lanes AS text[])) AS asked (lane) CROSS JOIN LATERAL (
            SELECT v.lane, v.batch_key, v.network_id, v.generator_id FROM visualizations v
            WHERE v.state = 'queued' AND v.lane = asked.lane
            ORDER BY v.lane, v.batch_key, v.queue_order LIMIT 1
        ) AS first
        UNION ALL
        SELECT next.* FROM kinds CROSS JOIN LATERAL (
            SELECT v.lane, v.batch_key, v.network_id, v.generator_id FROM visualizations v
            WHERE v.state = 'queued' AND v.lane = kinds.lane AND v.batch_key > kinds.batch_key
            ORDER BY v.lane, v.batch_key, v.queue_order LIMIT 1
        ) AS next
    )
"""
_DUE_OF = f"""
    SELECT v.queue_order FROM visualizations v
    WHERE {_DUE} AND v.lane = kinds.lane AND v.batch_key = kinds.batch_key
    ORDER BY v.lane, v.batch_key, v.queue_order LIMIT 1
"""
_IN_TURN = text(f"""
    {_KINDS}
    SELECT kinds.batch_key FROM kinds CROSS JOIN LATERAL ({_DUE_OF}) AS due
    WHERE {_HERE} ORDER BY due.queue_order LIMIT :kinds
""")
_WAITS = text(f"""
    {_KINDS}
    SELECT FROM kinds CROSS JOIN LATERAL ({_DUE_OF}) AS due WHERE {_HERE} LIMIT 1
""")


def waits(session: Session, *, lanes: Sequence[str] = LANES, lacks: Collection[str] = ()) -> bool:
    """Whether a claim of one of the lanes would find something now, but for what others hold."""
    return session.execute(_WAITS, {"lanes": [*lanes], "lacks": [*lacks]}).first() is not None


def head(session: Session, lane: str, lacks: Collection[str]) -> Any:
    """The item whose turn it is, locked: its digest, batch key and number of crashes; None if there is none.
    Nobody is waited for."""
    if not lacks:
        return session.execute(_HEAD, {"lane": lane}).first()
    near = {"lane": lane, "lacks": [*lacks], "near": NEAR}
    found = session.execute(_NEAR_HEAD, near).first()
    if found is not None:
        return found
    asked = {"lanes": [lane], "lacks": [*lacks], "kinds": _KINDS_AT_ONCE}
    for batch_key in session.scalars(_IN_TURN, asked).all():
        found = session.execute(_HEAD_OF, {"lane": lane, "batch_key": batch_key}).first()
        if found is not None:
            return found
    return None
