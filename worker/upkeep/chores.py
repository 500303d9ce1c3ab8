"""Keeping the store whole: repairs of what was noted as lost, rounds of scrubbing, and the collection of what
nothing points to."""

import time
from collections.abc import Callable

import structlog

from services.base.database import Database
from services.base.errors import Unavailable
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.upkeep import chores, collection, scrubbing
from services.upkeep.chores import ChoreName, WorkClaim
from services.upkeep.scrubbing import Cursor
from worker.process.stopping import StopFlag
from worker.upkeep.repairs import Repairer

REPAIR_TURN_SECONDS = 60.0
"""Where there is always something else to do, repairs go first this often, and take a fifth of the time."""
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


class Upkeep:
    """Owned by the thread that works. Methods that work do one piece, and return whether there was any."""

    def __init__(
        self,
        *,
        database: Database,
        store: ObjectStore,
        repairer: Repairer,
        settings: Settings,
        worker_id: str,
        stop: StopFlag,
    ) -> None:
        self._database = database
        self._store = store
        self._repairer = repairer
        self._settings = settings
        self._worker_id = worker_id
        self._stop = stop
        self._next_turn = time.monotonic()

    def tidy(self) -> None:
        """Plan the rounds. Raises `Unavailable`."""
        with self._database.session() as session:
            if self._settings.scrub_per_minute:
                chores.plan(session, "scrub", STORE)
            chores.plan(session, "collect", STORE)

    def repair_in_turn(self) -> bool:
        """Repairs before other work, when they have waited for their turn; in it they make way for nobody,
        or they would never come to an end where someone always waits."""
        began = time.monotonic()
        if began < self._next_turn:
            return False
        repaired = self._repairer.repair_some(make_way=False)
        ended = time.monotonic()
        self._next_turn = ended + max(REPAIR_TURN_SECONDS, 4 * (ended - began))
        return repaired

    def repair(self) -> bool:
        """Make some of what is lost again, unless someone waits. It is no turn: one that made way would put
        that off."""
        return self._repairer.repair_some()

    def abandon(self) -> None:
        """Give back the repairs in hand, from any thread: for a process that ends at once. A slice of
        something else harms nothing by lapsing."""
        self._repairer.abandon()

    def look_after_store(self) -> bool:
        """A slice of scrubbing, or of collecting. For workers that have nothing else to do."""
        return self._slice("scrub", self._scrub) or self._slice("collect", self._collect)

    def _slice(self, kind: ChoreName, run: Callable[[WorkClaim, Callable[[], bool]], None]) -> bool:
        if kind == "scrub" and not self._settings.scrub_per_minute:
            return False
        claimed_at = time.monotonic()
        with self._database.session() as session:
            claim = chores.claim(session, kind, self._worker_id, lease_seconds=self._settings.lease_seconds)
        if claim is None:
            return False
        until = claimed_at + min(SLICE_SECONDS, self._settings.lease_seconds / 2)

        def may_go_on() -> bool:
            return not self._stop.asked and time.monotonic() < until

        try:
            run(claim, may_go_on)
        except Unavailable as error:
            log.warning("server_away", what=kind, reason=str(error))
            self._end(claim, {}, AWAY_SECONDS)
        except Exception:
            log.exception("upkeep_failed", kind=kind)
            self._end(claim, {}, ROUND_PAUSE_SECONDS)
        return True

    def _scrub(self, claim: WorkClaim, may_go_on: Callable[[], bool]) -> None:
        rows = max(1, round(self._settings.scrub_per_minute * SCRUB_PAUSE_SECONDS / 60))
        done = scrubbing.scrub(
            self._database, self._store, Cursor.of(claim.tasks[0].payload), rows=rows, may_go_on=may_go_on
        )
        if done.cursor is None:
            log.info("scrub_round_ended")
        pause = SCRUB_PAUSE_SECONDS if done.cursor else ROUND_PAUSE_SECONDS
        self._end(claim, (done.cursor or Cursor()).as_json(), pause)

    def _collect(self, claim: WorkClaim, may_go_on: Callable[[], bool]) -> None:
        done = collection.collect(
            self._database,
            self._store,
            claim.tasks[0].payload.get("after", ""),
            min_age=collection.min_age_seconds(self._settings.lease_seconds),
            may_go_on=may_go_on,
        )
        pause = COLLECT_PAUSE_SECONDS if done.after else ROUND_PAUSE_SECONDS
        self._end(claim, {"after": done.after or ""}, pause)

    def _end(self, claim: WorkClaim, payload: dict[str, str], after_seconds: float) -> None:
        try:
            with self._database.session() as session:
                chores.release(session, claim.lease_id, after_seconds=after_seconds, payload=payload)
        except Unavailable as error:
            log.warning("release_failed", reason=str(error))  # its lease lapses
