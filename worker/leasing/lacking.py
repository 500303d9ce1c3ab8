"""What this worker could not load a moment ago, and leaves for a while to workers that may have it."""

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass

from services.base.database import Database
from services.queue import workers
from worker.leasing.lease_renewal import Interrupted

LEFT_SECONDS = 60.0
"""How long nothing is claimed that needs it."""
TOLD_SECONDS = 2 * LEFT_SECONDS
"""How long others are told of it: until after the next try."""
_LONGEST_REASON = 2000


class LeftToOthers(Interrupted):
    """What the work needs is not to be had here, but perhaps by another worker."""


@dataclass(frozen=True)
class _Note:
    """`since` is on the monotonic clock; `leave`: others may have it, and get what needs it."""

    reason: str
    since: float
    leave: bool


class Lacking:
    """By `kind:id`, the kinds being network, generator, batch for pictures that only a later release makes,
    and inspection for a network that is to be looked into again. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._notes: dict[str, _Note] = {}

    def note(self, key: str, reason: str, *, leave: bool) -> None:
        """It could not be loaded here just now, for a reason that is for people; whether to leave it to
        others."""
        with self._lock:
            self._notes[key] = _Note(reason, time.monotonic(), leave)

    def leave(self, database: Database, worker_id: str, key: str, reason: str) -> bool:
        """As `note`; it is left to others if another worker that lives may have it. Returns whether it is.
        Raises `Unavailable`."""
        with database.session() as session:
            others = workers.others_may_have(session, worker_id, key)
        self.note(key, reason, leave=others)
        return others

    def found(self, key: str) -> None:
        """It could be loaded."""
        with self._lock:
            self._notes.pop(key, None)

    @property
    def left(self) -> Collection[str]:
        """What is left to others now."""
        return [key for key, note in self._younger_than(LEFT_SECONDS).items() if note.leave]

    @property
    def told(self) -> Collection[str]:
        """What others are told that this worker lacks."""
        return list(self._younger_than(TOLD_SECONDS))

    @property
    def reason(self) -> str | None:
        """Why some work is not done here; None while all can be."""
        notes = self._younger_than(TOLD_SECONDS).values()
        return " ".join(note.reason for note in notes)[:_LONGEST_REASON] or None

    def _younger_than(self, seconds: float) -> dict[str, _Note]:
        now = time.monotonic()
        with self._lock:
            for key in [key for key, note in self._notes.items() if now >= note.since + TOLD_SECONDS]:
                del self._notes[key]
            return {key: note for key, note in self._notes.items() if now < note.since + seconds}
