"""Scans of real pictures as a kind of work: claimed, done in slices with other work between them, ended."""

import time
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy.orm import Session

from imago_engine.synthesis.computing.exhaustion import is_exhaustion
from imago_engine.training.data.sources import SourceError, SourceUnread
from services.access.data_root import has_data_root
from services.base.errors import Unavailable
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.exemplars import working
from services.exemplars.working import ScanTask
from services.queue import chores
from services.queue.chores import CHORES, WorkClaim
from worker.exemplars.reading import SourcesChanged, without_folder
from worker.exemplars.scan_run import NothingToSee, ScanRun
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import Interrupted, LeaseKeeper
from worker.leasing.work_kinds import LeasedWork, Tend, WorkKind
from worker.loading.runtime import NotHere, Runtime, Unloadable
from worker.process import own_files
from worker.process.devices import end_without_device, is_device_lost
from worker.process.stopping import StopFlag
from worker.process.store_watch import StoreWatch
from worker.trainings.sources import SourceRefused, locate_sources

OTHERS_SHARE = 4
"""While other work waits, it has so many times as long as the scan."""
AGAIN_SECONDS = 60.0
"""Until a scan whose network is not to be had is tried again, by whoever is first."""
log = structlog.get_logger()


class Scanner(LeasedWork[WorkClaim]):
    """Carries out one scan at a time. A worker that sees no pictures leaves them to those that do."""

    kind = CHORES["scan"]

    def __init__(
        self,
        held: HeldLeases,
        *,
        store: ObjectStore,
        runtime: Runtime,
        settings: Settings,
        stop: StopFlag,
        before: Sequence[WorkKind] = (),
        store_watch: StoreWatch | None = None,
    ) -> None:
        """`before` are kinds of work that have their turn between two slices."""
        super().__init__(held)
        self._store, self._runtime, self._settings, self._stop = store, runtime, settings, stop
        self._before = tuple(before)
        self._lacking = held.lacking
        self._store_watch = store_watch or StoreWatch(store)

    def may_claim(self) -> bool:
        return has_data_root(self._settings.data_root) and self._store_watch.answers()

    def claim(self, session: Session) -> WorkClaim | None:
        return chores.claim(session, "scan", self._held.worker_id, lease_seconds=self._held.seconds)

    def run(self, claim: WorkClaim, keeper: LeaseKeeper, tend: Tend) -> None:
        id, task = claim.tasks[0].subject, None
        with structlog.contextvars.bound_contextvars(scan=id):
            try:
                with self._database.session() as session:
                    task = working.begin(session, claim)
                if task is not None:
                    self._scan(task, keeper, tend)
            except (Interrupted, Unavailable) as reason:
                if isinstance(reason, Unavailable):
                    self._store_watch.failed(reason)
                raise
            except SourceRefused as error:
                self._refuse(claim, str(error))
            except (NothingToSee, SourceError, SourcesChanged) as error:
                self._refuse_or_fail(claim, task, error)
            except NotHere as error:
                self._put_off(claim, error)
            except Unloadable as error:
                self._fail(claim, error.code, str(error))
            except Exception as error:
                if is_device_lost(error):
                    end_without_device(error)
                # A defect must not end the loop, nor keep one scan for ever.
                log.exception("scan_slice_failed")
                self._runtime.free_device()
                if isinstance(error, OSError):
                    self._leave(claim, own_files.unusable(error))
                    return
                message = without_folder(f"{type(error).__name__}: {error}", self._settings.data_root)[:500]
                if is_exhaustion(error):
                    self._leave(claim, message)
                else:
                    self._crashed(claim, "internal", message)

    def _scan(self, task: ScanTask, keeper: LeaseKeeper, tend: Tend) -> None:
        with keeper.loading():
            network = self._runtime.network(task.network_id, task.network_sha256)
            self._lacking.found(f"network:{task.network_id}")
            run = ScanRun(task, network, self._database, self._store, self._settings, keeper)
        try:
            with keeper.computing([task.id]):
                while True:
                    began = time.monotonic()
                    if not run.slice():
                        break
                    with keeper.suspended():
                        self._do_before(tend, OTHERS_SHARE * (time.monotonic() - began))
                    keeper.tick()
        finally:
            run.close()
        keeper.stop()
        log.info("scan_succeeded")

    def _do_before(self, tend: Tend, seconds: float) -> None:
        """What waits and goes before, for so long at most."""
        until = time.monotonic() + seconds
        tend()
        while not self._stop.asked and time.monotonic() < until and self._do_one_before(tend):
            tend()

    def _do_one_before(self, tend: Tend) -> bool:
        return any(kind.look(tend) for kind in self._before)

    def _refuse(self, claim: WorkClaim, message: str) -> None:
        """Left to those that see the pictures, or put off."""
        log.warning("scan_refused", message=message)
        self._end(lambda session: working.refuse(session, claim, self._held.worker_id, message))

    def _leave(self, claim: WorkClaim, message: str) -> None:
        """Left to the others, or put off, for what lies at this machine and not in the scan."""
        log.warning("scan_left", message=message)
        self._end(lambda session: working.leave(session, claim, self._held.worker_id, message))

    def _refuse_or_fail(self, claim: WorkClaim, task: ScanTask | None, error: Exception) -> None:
        """What is there is another thing than expected, unless nothing is there now, or it cannot be read."""
        message = without_folder(str(error), self._settings.data_root)
        if isinstance(error, SourceUnread):
            self._refuse(claim, message)
            return
        try:
            locate_sources(() if task is None else task.sources, self._settings.data_root)
        except SourceRefused as refused:
            self._refuse(claim, str(refused))
            return
        self._fail(
            claim, "sources_changed" if isinstance(error, SourcesChanged) else "source_unusable", message
        )

    def _fail(self, claim: WorkClaim, code: str, message: str) -> None:
        log.warning("scan_failed", code=code, message=message)
        self._end(
            lambda session: working.fail(session, claim.tasks[0].subject, claim.lease_id, code, message)
        )

    def _put_off(self, claim: WorkClaim, error: NotHere) -> None:
        """Not to be had here at present is no fault of the scan: it is tried again by whoever is first,
        unless nobody has it, nor will have it by waiting."""
        others = self._lacking.leave(self._database, self._held.worker_id, error.key, str(error))
        if not (others or error.passing):
            self._crashed(claim, error.code, str(error))
            return
        log.warning("scan_put_off", reason=str(error))
        self._end(lambda session: working.put_off(session, claim, AGAIN_SECONDS, error.code, str(error)))

    def _crashed(self, claim: WorkClaim, code: str, message: str) -> None:
        log.warning("scan_tried_again", code=code, message=message)
        id, lease_id = claim.tasks[0].subject, claim.lease_id
        self._end(lambda session: working.crashed(session, id, lease_id, code, message))

    def _end(self, end: Callable[[Session], object]) -> None:
        with self._database.session() as session:
            end(session)
