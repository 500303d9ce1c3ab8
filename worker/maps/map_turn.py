"""Maps as a kind of work. UMAP's fit is one long computation, which cannot be resumed: it runs in a process
of its own, bounded in size and time, and pictures are made beside it."""

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from sqlalchemy.orm import Session

from services.base.errors import Unavailable
from services.base.object_keys import map_key
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.maps import making
from services.maps.making import Drawn
from services.maps.subjects import MAP, SEEN, Mapped
from services.queue import chores
from services.queue.chores import CHORES, WorkClaim
from services.sheets import making as sheets
from services.sheets.making import Wanted
from services.upkeep.collected import BeingRemoved
from worker.leasing.chore_turns import charge, hold_to_write
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import Interrupted, LeaseKeeper
from worker.leasing.retries import Patience, keep_trying
from worker.leasing.work_kinds import LeasedWork, Tend, WorkKind
from worker.maps.files import FACTS, POINTS, Facts
from worker.maps.gathering import Gathered, gather
from worker.maps.process import MapFailed, MapProcess, can_draw
from worker.process.crash_points import crash_point
from worker.process.stopping import StopFlag

LOOK_SECONDS = 0.2
"""How often to look whether the process has ended."""
LONGEST_SECONDS = 7200.0
"""Of the process of one map: if it takes longer, the map has failed."""
UNSEEN_SECONDS = 60.0
"""When to look again at an atlas whose pictures have no embeddings yet."""
AWAY_SECONDS = 2.0
"""How long nothing is tried beside a map once a server did not answer."""
_LEFT_BEHIND_SECONDS = 86_400.0
log = structlog.get_logger()


class Maps(LeasedWork[WorkClaim]):
    """Draws one map."""

    kind = CHORES[MAP]

    def __init__(
        self,
        held: HeldLeases,
        store: ObjectStore,
        settings: Settings,
        stop: StopFlag,
        *,
        beside: Sequence[WorkKind] = (),
    ) -> None:
        """`beside` are kinds of work that go on beside it."""
        super().__init__(held)
        self._store, self._stop, self._beside = store, stop, tuple(beside)
        self._folder = settings.cache_folder / "maps"
        self._can_draw = can_draw()
        self._patience_seconds = settings.store_patience_seconds
        self._rests_until = 0.0

    def may_claim(self) -> bool:
        """Whether the extra `map` is installed here."""
        return self._can_draw

    def claim(self, session: Session) -> WorkClaim | None:
        return chores.claim(session, MAP, self._held.worker_id, lease_seconds=self._held.seconds)

    def run(self, claim: WorkClaim, keeper: LeaseKeeper, tend: Tend) -> None:
        mapped = Mapped.parse(claim.tasks[0].subject)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            with TemporaryDirectory(dir=self._folder, prefix="of-") as folder:
                self._make(claim, mapped, keeper, tend, Path(folder))
        except (Interrupted, Unavailable):
            raise
        except Exception as error:
            log.exception("map_failed", map=str(mapped))
            charge(self._database, claim, "map_failed", error)

    def _make(self, claim: WorkClaim, mapped: Mapped, keeper: LeaseKeeper, tend: Tend, folder: Path) -> None:
        with self._database.session() as session:
            asked = making.wanted(session, mapped)
        if asked is None:
            self._end(claim, mapped, None)
            return
        found = gather(self._database, asked, folder, keeper.check)
        if found.unseen and (found.units == 0 or self._grows(claim, asked, found)):
            with self._database.session() as session:
                seen = {SEEN: found.units} if found.units else {}
                chores.put_off(session, claim.lease_id, seconds=UNSEEN_SECONDS, payload=seen)
            return
        if found.units == 0:
            self._end(claim, mapped, asked)
            return
        with self._database.session() as session:
            hold_to_write(session, claim, goes_on=False)  # drawing, which may fail each time, is yet to come
            if making.show_known(session, asked, found.name, found.unseen):
                sheets.end(session, claim.lease_id, str(mapped), asked)
                return
        began = time.monotonic()
        kept, drawn = self._folder / f"of-{found.name}", folder / "drawn"
        if not _moved(kept, drawn):
            self._draw(folder, keeper, tend)
            drawn.mkdir()
            for name in (POINTS, FACTS):
                (folder / name).rename(drawn / name)
        patience = Patience(self._patience_seconds)
        try:
            keep_trying(
                lambda: self._finish(claim, mapped, asked, found, drawn),
                what="map",
                may_go_on=lambda: keeper.may_finish and patience.left,
                wait=self._stop.wait,
                passing=BeingRemoved,  # the collector may be this worker, after its turn
            )
        except Unavailable:
            _moved(drawn, kept)  # it may have taken hours: the next turn need not draw it again
            raise
        log.info("map_made", map=str(mapped), units=found.units, seconds=round(time.monotonic() - began))

    @staticmethod
    def _grows(claim: WorkClaim, asked: Wanted, found: Gathered) -> bool:
        """Whether to wait for more embeddings: a map is drawn once of a version that was published, and its
        pictures may be embedded at this moment, as those of an import are."""
        return asked.final and found.units > claim.tasks[0].payload.get(SEEN, 0)

    def _draw(self, folder: Path, keeper: LeaseKeeper, tend: Tend) -> None:
        """Raises `Interrupted` or `MapFailed`; the process has ended in any case."""
        until = time.monotonic() + LONGEST_SECONDS
        process = MapProcess(folder, self._folder / "compiled")
        try:
            while not process.ended(LOOK_SECONDS):
                keeper.check()
                if time.monotonic() > until:
                    raise MapFailed(f"It took more than {LONGEST_SECONDS / 3600:g} hours.")
                self._work_beside(tend)
        except MapFailed:
            log.error("map_process", stderr=process.stderr_tail())
            raise
        finally:
            process.kill()

    def _work_beside(self, tend: Tend) -> None:
        """What others wait for. A server that is away keeps from that, but the process needs none."""
        if time.monotonic() < self._rests_until:
            return
        try:
            tend()
            any(kind.look(tend) for kind in self._beside)
        except Unavailable as error:
            log.warning("server_away", what="map", reason=str(error))
            self._rests_until = time.monotonic() + AWAY_SECONDS

    def _finish(self, claim: WorkClaim, mapped: Mapped, asked: Wanted, found: Gathered, folder: Path) -> None:
        facts: Facts = json.loads((folder / FACTS).read_text())
        points = (folder / POINTS).read_bytes()
        key = map_key(points)
        self._store.put_under(key, points, "application/octet-stream")
        crash_point("map_stored")
        drawn = Drawn(
            found.name, found.units, facts["fitted"], found.layers, facts["labels"], key, len(points)
        )
        with self._database.session() as session:
            hold_to_write(session, claim)
            making.finish(session, asked, drawn, found.unseen)
            sheets.end(session, claim.lease_id, str(mapped), asked)

    def _end(self, claim: WorkClaim, mapped: Mapped, asked: Wanted | None) -> None:
        with self._database.session() as session:
            sheets.end(session, claim.lease_id, str(mapped), asked)

    def _sweep(self) -> None:
        """Remove what killed workers left behind, and maps that were drawn and never finished."""
        for folder in self._folder.glob("of-*"):
            try:
                if time.time() - folder.stat().st_mtime > _LEFT_BEHIND_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
            except FileNotFoundError:
                pass


def _moved(folder: Path, to: Path) -> bool:
    """Move a folder at once; False where it is not there, or another is there already, which is as good: both
    are named by what the map follows from."""
    try:
        folder.rename(to)
    except OSError:
        return False
    return True
