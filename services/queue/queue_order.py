"""Whose turn it is: the owners of what waits in a lane take turns, each with its submissions in their order.

A start-time fair queue (Goyal, Vin and Cheng 1996, without weights). An item's `queue_order` is the moment at
which it would begin if each owner got one item done in every unit of time; the claim takes the lowest. So an
owner who comes while another one's million waits begins beside it, not behind it, and one who was away has
saved up nothing.
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.states import OPEN_JOBS, listed
from services.queue.leases import HELD

# Workers take what is lowest, so the first item of what was claimed last tells the time. Where nothing is
# being computed, the lowest that waits does; items that are left alone for a while must not hold it up.
_NOW = text(f"""
    SELECT coalesce(
        (
            SELECT max(first) FROM (
                SELECT min(queue_order) AS first FROM visualizations
                WHERE {HELD} AND state = 'leased' AND lane = :lane GROUP BY lease_id
            ) AS held
        ),
        (
            SELECT queue_order FROM visualizations
            WHERE state = 'queued' AND lane = :lane AND (not_before IS NULL OR not_before <= now())
            ORDER BY queue_order LIMIT 1
        ),
        0
    )
""")
_OWN_END = text(f"""
    SELECT coalesce(max(turn + total), 0) FROM jobs
    WHERE state IN {listed(OPEN_JOBS)} AND lane = :lane
    AND owner_key_id IS NOT DISTINCT FROM :owner
""")


def next_turn(session: Session, lane: str, owner: str | None) -> int:
    """The `queue_order` of the first item of a submission to a lane; the item of ordinal n has this plus n.

    It follows what else its owner has in the lane. Two submissions of one owner at the same moment may get
    the same turns, and then alternate.
    """
    now: int = session.execute(_NOW, {"lane": lane}).scalar_one()
    own: int = session.execute(_OWN_END, {"lane": lane, "owner": owner}).scalar_one()
    return max(now, own)
