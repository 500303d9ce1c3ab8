"""Rounds over the store, in slices, for workers that have nothing else to do: scrubbing, and the collection
of what nothing points to."""

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

import structlog
from sqlalchemy.orm import Session

from services.base.errors import Unavailable
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.exports import beginning
from services.queue import chores, leases
from services.queue.chores import CHORES, Chore, WorkClaim
from services.upkeep import collection, scrubbing
from services.upkeep.scrubbing import Cursor
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import LeaseKeeper
from worker.leasing.work_kinds import LeasedWork, Tend
from worker.process.stopping import StopFlag

SLICE_SECONDS = 5.0
"""About how long the rest waits for a slice of scrubbing or collecting."""
SCRUB_PAUSE_SECONDS = 15.0
COLLECT_PAUSE_SECONDS = 1.0
ROUND_PAUSE_SECONDS = 3600.0
"""Between two rounds of one kind."""
AWAY_SECONDS = 60.0
STORE = "store"
"""The subject of scrubbing and collecting: there is one store, so one row each."""
log = structlog.get_logger()


class _Round(LeasedWork[WorkClaim]):
    """A slice of a round at each look; where the round is stands in the payload of its row."""

    kind: ClassVar[Chore]

    def __init__(self, held: HeldLeases, *, store: ObjectStore, settings: Settings, stop: StopFlag) -> None:
        super().__init__(held)
        self._store = store
        self._settings = settings
        self._stop = stop

    @abstractmethod
    def slice(
        self, payload: Mapping[str, str], may_go_on: Callable[[], bool]
    ) -> tuple[dict[str, str], float]:
        """Go on from where the payload says; returns the next payload and the seconds to rest until then."""

    def claim(self, session: Session) -> WorkClaim | None:
        return chores.claim(session, self.kind.name, self._held.worker_id, lease_seconds=self._held.seconds)

    def run(self, claim: WorkClaim, keeper: LeaseKeeper, tend: Tend) -> None:
        until = keeper.claimed_at + min(SLICE_SECONDS, self._held.seconds / 2)

        def may_go_on() -> bool:
            return not self._stop.asked and not keeper.fenced and time.monotonic() < until

        try:
            payload, pause = self.slice(claim.tasks[0].payload, may_go_on)
        except Unavailable as error:
            log.warning("server_away", what=claim.kind, reason=str(error))
            payload, pause = {}, AWAY_SECONDS
        except Exception:
            log.exception("upkeep_failed", kind=claim.kind)
            payload, pause = {}, ROUND_PAUSE_SECONDS
        with self._database.session() as session:
            chores.release(session, claim.lease_id, after_seconds=pause, payload=payload)

    def tidy(self) -> None:
        """Plan the round."""
        if self.may_claim():
            with self._database.session() as session:
                chores.plan(session, self.kind.name, STORE)


class Scrubbing(_Round):
    """Looks whether the store has what the rows point to."""

    kind = CHORES["scrub"]

    def may_claim(self) -> bool:
        return bool(self._settings.scrub_per_minute)

    def slice(
        self, payload: Mapping[str, str], may_go_on: Callable[[], bool]
    ) -> tuple[dict[str, str], float]:
        rows = max(1, round(self._settings.scrub_per_minute * SCRUB_PAUSE_SECONDS / 60))
        done = scrubbing.scrub(
            self._database, self._store, Cursor.of(payload), rows=rows, may_go_on=may_go_on
        )
        if done.cursor is None:
            log.info("scrub_round_ended")
        pause = SCRUB_PAUSE_SECONDS if done.cursor else ROUND_PAUSE_SECONDS
        return (done.cursor or Cursor()).as_json(), pause


class Collecting(_Round):
    """Removes from the store what nothing points to, leases of all kinds that ended long ago, and imports of
    atlases that nobody goes on with."""

    kind = CHORES["collect"]

    def slice(
        self, payload: Mapping[str, str], may_go_on: Callable[[], bool]
    ) -> tuple[dict[str, str], float]:
        with self._database.session() as session:
            leases.forget_ended(session)
            beginning.let_go_abandoned(session)
        done = collection.collect(
            self._database,
            self._store,
            payload.get("after", ""),
            min_age=collection.min_age_seconds(self._held.seconds),
            may_go_on=may_go_on,
        )
        pause = ROUND_PAUSE_SECONDS if done.after is None else COLLECT_PAUSE_SECONDS
        return {"after": done.after or ""}, pause
