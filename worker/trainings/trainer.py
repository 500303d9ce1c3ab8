"""Trainings of generators: claimed when nothing else waits, run in slices, given back in good order."""

from collections.abc import Callable, Sequence

import structlog
from sqlalchemy.orm import Session

from services.access.data_root import has_data_root
from services.base.errors import Unavailable
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.trainings import clearing, setbacks
from services.trainings import leases as training_leases
from services.trainings.leases import TRAININGS, TrainingClaim
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import Interrupted, LeaseKeeper
from worker.leasing.work_kinds import LeasedWork, Tend, WorkKind, nothing
from worker.process import own_files
from worker.process.stopping import StopFlag
from worker.process.store_watch import StoreWatch
from worker.trainings.claimed import ClaimedTraining
from worker.trainings.folder import drop_training, kept_trainings
from worker.trainings.other_work import OtherWork
from worker.trainings.slice import TrainingSlice
from worker.trainings.sources import SourceRefused
from worker.trainings.supervise import CannotGoOnHere, TrainingFailed

log = structlog.get_logger()


class Trainer(LeasedWork[TrainingClaim]):
    """Runs trainings in slices. A worker that sees no pictures leaves them to those that do."""

    kind = TRAININGS

    def __init__(
        self,
        held: HeldLeases,
        *,
        store: ObjectStore,
        settings: Settings,
        stop: StopFlag,
        free_device: Callable[[], object] = nothing,
        before: Sequence[WorkKind] = (),
        beside: Sequence[WorkKind] = (),
        may_begin: Callable[[], bool] = lambda: True,
        store_watch: StoreWatch | None = None,
    ) -> None:
        """`free_device` frees the device of what is kept there for batches; `before` are kinds of work that
        go before, also in the midst of a slice; `beside` are those that need no device, and go on meanwhile;
        none is begun unless `may_begin`."""
        super().__init__(held)
        self._store_watch = store_watch or StoreWatch(store)
        self._store = store
        self._settings = settings
        self._stop = stop
        self._free_device = free_device
        self._before, self._beside = tuple(before), tuple(beside)
        self._may_begin = may_begin
        self._slice: TrainingSlice | None = None

    def may_claim(self) -> bool:
        return self._may_begin() and has_data_root(self._settings.data_root) and self._store_watch.answers()

    def claim(self, session: Session) -> TrainingClaim | None:
        return training_leases.claim(session, self._held.worker_id, lease_seconds=self._held.seconds)

    def run(self, claim: TrainingClaim, keeper: LeaseKeeper, tend: Tend) -> None:
        with structlog.contextvars.bound_contextvars(training=claim.id):
            try:
                self._free_device()
                self._train(claim, keeper, tend)
            finally:
                self._slice = None

    def tidy(self) -> None:
        """Drop what ended trainings have left behind, in the store and on this machine."""
        with self._database.session() as session:
            uncleared = clearing.next_uncleared(session)
            over = clearing.ended(session, kept_trainings(self._settings.cache_folder))
        for id in over:
            drop_training(self._settings.cache_folder, id)
        if uncleared is not None:
            id, keep = uncleared
            for key in self._store.keys(f"trainings/{id}/"):
                if key not in keep:
                    self._store.delete(key)
            with self._database.session() as session:
                clearing.cleared(session, id)

    def abandon(self) -> None:
        slice_ = self._slice
        if slice_ is not None:
            slice_.abandon()
        super().abandon()

    def _train(self, claim: TrainingClaim, keeper: LeaseKeeper, tend: Tend) -> None:
        training = ClaimedTraining(claim, keeper, self._database, self._store, self._settings, self._stop)
        other_work = OtherWork(self._held, self._stop, before=self._before, beside=self._beside, tend=tend)
        id, lease_id, worker_id = claim.id, claim.lease_id, self._held.worker_id
        log.info("training_slice", name=claim.name, pictures=claim.pictures)
        try:
            slice_ = TrainingSlice(training, other_work)
            self._slice = slice_
            generator = slice_.run()
            keeper.stop()
            log.info("training_succeeded", generator=generator)
            slice_.folder.clear()
        except Interrupted:
            raise
        except Unavailable as reason:
            self._store_watch.failed(reason)
            raise
        except SourceRefused as error:
            refused = str(error)
            log.warning("training_refused", message=refused)
            training.end(lambda session: setbacks.refuse(session, id, lease_id, worker_id, refused))
        except (CannotGoOnHere, OSError) as error:
            why = own_files.unusable(error) if isinstance(error, OSError) else str(error)
            log.warning("training_put_off", message=str(error))
            training.end(lambda session: setbacks.put_off(session, id, lease_id, worker_id, why))
        except TrainingFailed as error:
            log.warning("training_failed", message=str(error), explained=error.explained)
            self._fail(training, str(error), explained=error.explained)
        except Exception as error:
            # A defect must not end the loop, nor keep one training for ever.
            log.exception("training_slice_failed")
            self._fail(training, f"{type(error).__name__}: {error}"[:500], explained=False)

    def _fail(self, training: ClaimedTraining, message: str, *, explained: bool) -> None:
        """What is not explained is a crash, which is tried again."""
        id, lease_id, worker_id = training.claim.id, training.claim.lease_id, self._held.worker_id

        def end(session: Session) -> bool:
            if explained:
                return training_leases.fail(session, id, lease_id, "training_failed", message)
            return setbacks.crashed(session, id, lease_id, worker_id, message)

        training.end(end)
