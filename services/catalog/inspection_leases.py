"""Inspections of networks as a kind of work: claim one, give it back, take it back from a dead worker."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.plain_text import told
from services.catalog.networks import Network, view_of
from services.catalog.tables import NetworkRow
from services.queue import leases
from services.queue.crash_rule import CHARGE_RULE, CRASH_RULE, CRASHES_ALONE
from services.queue.kinds import TakenBack

_NEVER_ENDED = (
    f"The inspection was begun {CRASHES_ALONE} times and never ended; the worker was probably "
    "killed, most likely because the network does not fit into memory. Register it again to try once more."
)


@dataclass(frozen=True)
class InspectionClaim:
    """A network under a lease, for one worker to inspect. `alone`: nothing else is to be done meanwhile,
    since an inspection of it has not come to its end before.
    """

    lease_id: int
    network: Network
    alone: bool = False


_GIVE_BACK = text("UPDATE networks SET lease_id = NULL WHERE lease_id = :lease")
_CHARGE = """
    UPDATE networks n SET lease_id = NULL, inspection_tries = crash.crashes,
        state = CASE WHEN crash.poisoned THEN 'failed' ELSE n.state END,
        error = CASE WHEN crash.poisoned THEN :message ELSE n.error END,
        inspection_due = n.inspection_due AND NOT crash.poisoned,
        inspected_at = CASE WHEN crash.poisoned THEN clock_timestamp() ELSE n.inspected_at END
    FROM (
        SELECT id, lease_id, inspection_tries AS crash_count FROM networks
        WHERE lease_id = ANY(CAST(:leases AS bigint[])) ORDER BY id FOR NO KEY UPDATE
    ) AS old {rule}
    WHERE n.id = old.id RETURNING n.state
"""
_TAKE_BACK = text(_CHARGE.format(rule=CRASH_RULE))
_COUNT_TRY = text(_CHARGE.format(rule=CHARGE_RULE))


def claim_inspection(
    session: Session, worker_id: str, *, lease_seconds: float, version: int = 0, lacks: Collection[str] = ()
) -> InspectionClaim | None:
    """Take a network that nobody inspects, or None; commit before inspecting it. Nobody is waited for.

    `version` is that of the worker's inspection: networks that an earlier one has inspected are due again,
    but for those of `lacks` (`inspection:ID`), which it could not inspect a moment ago.
    """
    ready, due = NetworkRow.state == "ready", NetworkRow.inspection_due
    session.execute(
        sa.update(NetworkRow)
        .where(ready, ~due, NetworkRow.inspection_version < version)
        .values(inspection_due=True, inspection_tries=0)
    )
    pending = NetworkRow.state == "pending"
    has = ("inspection:" + NetworkRow.id).not_in([*lacks])
    row = session.scalars(
        sa.select(NetworkRow)
        .where(pending | (ready & due & (NetworkRow.inspection_version < version)), has)
        .where(NetworkRow.lease_id.is_(None))
        .order_by(~pending, NetworkRow.created_at, NetworkRow.id)
        .limit(1)
        .with_for_update(skip_locked=True, key_share=True)
        .execution_options(populate_existing=True)
    ).first()
    if row is None:
        return None
    row.lease_id = leases.open_lease(session, INSPECTIONS.name, worker_id, lease_seconds=lease_seconds)
    session.flush()
    return InspectionClaim(row.lease_id, view_of(row), alone=row.inspection_tries > 0)


def count_try(session: Session, lease_id: int, message: str) -> None:
    """Give a network back whose inspection did not come to an end; after as many tries as crashes are allowed
    it fails with the message. Nothing happens where the lease is not held any more."""
    if leases.hold(session, lease_id):
        session.execute(_COUNT_TRY, {"leases": [lease_id], "message": told(message)})
        leases.close(session, lease_id, outcome="released")


class _Inspections:
    """Inspections of networks, as a kind of work: one network a lease."""

    name = "inspection"

    def canceled(self, session: Session, lease_id: int) -> frozenset[str]:
        return frozenset()

    def give_back(self, session: Session, lease_id: int) -> None:
        if leases.hold(session, lease_id):
            session.execute(_GIVE_BACK, {"lease": lease_id})
            leases.close(session, lease_id, outcome="released")

    def take_back(self, session: Session, lease_ids: Sequence[int]) -> TakenBack:
        """Queue the networks again; what its worker did not survive three times, while it did nothing else,
        fails for that reason."""
        given = {"leases": list(lease_ids), "message": _NEVER_ENDED}
        states = list(session.scalars(_TAKE_BACK, given))
        failed = states.count("failed")
        return TakenBack(queued=len(states) - failed, poisoned=failed)


INSPECTIONS = _Inspections()
