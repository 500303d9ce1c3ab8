"""What does this photograph excite? Asked with a photograph, answered by a worker, kept for an hour.

A kind of work of its own, which goes before all others: somebody waits. The API only looks at the first bytes
of a photograph; it is decoded by the worker, and forgotten as soon as it was looked at.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.errors import Conflict, Full, Invalid, NotFound
from services.base.ids import new_id
from services.base.plain_text import told
from services.catalog.layers import get_layer
from services.catalog.networks import get_network
from services.queue import leases
from services.queue.crash_rule import CRASH_RULE, poisoned_message
from services.queue.kinds import TakenBack
from services.search.tables import ExcitationRow

KEPT_SECONDS = 3600
MOST_WAITING = 50
"""Photographs that wait at the same time, of all who ask."""
MOST_BYTES = 700_000
FORGOTTEN_AT_ONCE = 100
_BEGINNINGS = {"JPEG": (b"\xff\xd8\xff",), "PNG": (b"\x89PNG\r\n\x1a\n",), "WebP": (b"RIFF",)}


@dataclass(frozen=True)
class Excitation:
    """A question and, once it is `done`, its answer: `result` as the worker wrote it. `error` says why there
    is none."""

    id: str
    network: str
    layer: str
    state: str
    result: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    created_at: datetime
    expires_at: datetime

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state != "queued"


@dataclass(frozen=True)
class ExcitationClaim:
    """A photograph under a lease, for one worker to look at."""

    lease_id: int
    id: str
    network_id: str
    network_sha256: str
    layer: str
    photograph: bytes


_INSERT = text("""
    INSERT INTO excitations (id, network_id, layer, photograph, expires_at)
    VALUES (:id, :network, :layer, :photograph, now() + make_interval(secs => :seconds))
""")
_WAITING = text(
    "SELECT count(*) FROM (SELECT FROM excitations WHERE state = 'queued' LIMIT :most) AS waiting"
)
_WAITS = text("""
    SELECT FROM excitations WHERE state = 'queued' AND lease_id IS NULL
    AND 'network:' || network_id <> ALL(CAST(:lacks AS text[])) LIMIT 1
""")
_HEAD = text("""
    SELECT e.id, e.network_id, e.layer, e.photograph, n.spec_sha256 FROM excitations e
    JOIN networks n ON n.id = e.network_id
    WHERE e.state = 'queued' AND e.lease_id IS NULL
    AND 'network:' || e.network_id <> ALL(CAST(:lacks AS text[]))
    ORDER BY e.crash_count > 0, e.id LIMIT 1 FOR NO KEY UPDATE OF e SKIP LOCKED
""")
_TAKE = text("UPDATE excitations SET lease_id = :lease WHERE id = :id")
_GIVE_BACK = text("UPDATE excitations SET lease_id = NULL WHERE lease_id = :lease")
_END = text("""
    UPDATE excitations SET state = :state, lease_id = NULL, photograph = NULL,
        result = CAST(:result AS jsonb), error = CAST(:error AS jsonb)
    WHERE id = :id AND lease_id = :lease RETURNING id
""")
_TAKE_BACK = text(f"""
    UPDATE excitations e SET lease_id = NULL, crash_count = crash.crashes,
        state = CASE WHEN crash.poisoned THEN 'failed' ELSE 'queued' END,
        photograph = CASE WHEN crash.poisoned THEN NULL ELSE old.photograph END,
        error = CASE WHEN crash.poisoned THEN jsonb_build_object(
            'code', 'poisoned', 'message', CAST(:message AS text)) END
    FROM excitations old {CRASH_RULE}
    WHERE e.id = old.id AND old.lease_id = ANY(CAST(:leases AS bigint[]))
    RETURNING e.state
""")
_FORGET = text("""
    DELETE FROM excitations WHERE id IN (
        SELECT id FROM excitations WHERE expires_at < now() AND lease_id IS NULL
        ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
""")


def ask(session: Session, network: str, layer: str, photograph: bytes) -> Excitation:
    """Have a worker look at a photograph: a JPEG, PNG or WebP of at most `MOST_BYTES`.

    Raises `NotFound`, `Conflict` for a network that is not ready, `Invalid` for what is no such photograph,
    `Full` where too many wait.
    """
    known = get_network(session, network)
    found = get_layer(session, network, layer)
    if known.state != "ready":
        raise Conflict(f"The network {network} is {known.state}.")
    if len(photograph) > MOST_BYTES:
        raise Invalid.field(
            "/photograph",
            f"has {len(photograph)} bytes; at most {MOST_BYTES}: make it smaller, 512 pixels do",
        )
    if not photograph.startswith(tuple(mark for marks in _BEGINNINGS.values() for mark in marks)):
        raise Invalid.field("/photograph", f"must be one of {', '.join(_BEGINNINGS)}")
    if session.execute(_WAITING, {"most": MOST_WAITING}).scalar_one() >= MOST_WAITING:
        raise Full("queue of photographs", advice="Ask again in a moment.")
    id = new_id("exc")
    asked = {"id": id, "network": network, "layer": found.name, "photograph": photograph}
    session.execute(_INSERT, {**asked, "seconds": KEPT_SECONDS})
    return get(session, id)


def get(session: Session, id: str) -> Excitation:
    """Raises `NotFound`, also when it is too old."""
    fields = (
        *(ExcitationRow.id, ExcitationRow.network_id, ExcitationRow.layer, ExcitationRow.state),
        *(ExcitationRow.result, ExcitationRow.error, ExcitationRow.created_at, ExcitationRow.expires_at),
    )
    here = sa.select(*fields).where(ExcitationRow.id == id, ExcitationRow.expires_at > sa.func.now())
    row = session.execute(here).first()
    if row is None:
        raise NotFound("excitation", id, "They are kept for an hour.")
    return Excitation(*row)


def waits(session: Session, *, lacks: Collection[str] = ()) -> bool:
    """Whether a claim would find something now."""
    return session.execute(_WAITS, {"lacks": [*lacks]}).first() is not None


def claim(
    session: Session, worker_id: str, *, lease_seconds: float, lacks: Collection[str] = ()
) -> ExcitationClaim | None:
    """Take the photograph that waits longest; None if none does. Nobody is waited for. What needs something
    of `lacks` (`network:ID`) is left to others."""
    row = session.execute(_HEAD, {"lacks": [*lacks]}).first()
    if row is None:
        return None
    lease_id = leases.open_lease(session, EXCITATIONS.name, worker_id, lease_seconds=lease_seconds)
    session.execute(_TAKE, {"lease": lease_id, "id": row.id})
    sha256, photograph = row.spec_sha256 or "", bytes(row.photograph)
    return ExcitationClaim(lease_id, row.id, row.network_id, sha256, row.layer, photograph)


def finish(session: Session, claimed: ExcitationClaim, result: Mapping[str, Any]) -> bool:
    """Write the answer down; False if the lease holds the question no more."""
    return _end(session, claimed, "done", json.dumps(result, allow_nan=False), None)


def fail(session: Session, claimed: ExcitationClaim, code: str, message: str) -> bool:
    """Write down why there is no answer; as `finish`."""
    error = {"code": code, "message": told(message)}
    return _end(session, claimed, "failed", None, json.dumps(error))


def forget_expired(session: Session) -> None:
    """Remove what is too old, so many at once."""
    session.execute(_FORGET, {"limit": FORGOTTEN_AT_ONCE})


def _end(
    session: Session, claimed: ExcitationClaim, state: str, result: str | None, error: str | None
) -> bool:
    if not leases.hold(session, claimed.lease_id):
        return False
    ended = {"id": claimed.id, "lease": claimed.lease_id, "state": state, "result": result, "error": error}
    accepted = session.execute(_END, ended).first() is not None
    leases.settle(session, claimed.lease_id, int(accepted))
    leases.close(session, claimed.lease_id, outcome="finished")
    return accepted


class _Excitations:
    """Photographs to be looked at, as a kind of work: one a lease."""

    name = "excitation"

    def canceled(self, session: Session, lease_id: int) -> frozenset[str]:
        return frozenset()

    def give_back(self, session: Session, lease_id: int) -> None:
        if leases.hold(session, lease_id):
            session.execute(_GIVE_BACK, {"lease": lease_id})
            leases.close(session, lease_id, outcome="released")

    def take_back(self, session: Session, lease_ids: Sequence[int]) -> TakenBack:
        """Queue them again; what its worker did not survive three times fails, as `poisoned`."""
        given = {"leases": list(lease_ids), "message": poisoned_message("looked at this photograph")}
        states = list(session.scalars(_TAKE_BACK, given))
        failed = states.count("failed")
        return TakenBack(queued=len(states) - failed, poisoned=failed)


EXCITATIONS = _Excitations()
