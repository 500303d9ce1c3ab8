"""Watching over the process of a training: tell and save what it does, do beside it what needs no device, and
end it when it has to make way."""

import time

import structlog

from imago_engine.training_events import Exported, Failed, Stopped
from services.base.errors import Unavailable
from services.upkeep.collected import BeingRemoved
from worker.leasing.lease_renewal import EverythingCanceled, Interrupted, Stopping
from worker.trainings.checkpoint import Checkpoints
from worker.trainings.claimed import ClaimedTraining
from worker.trainings.folder import TrainingFolder
from worker.trainings.other_work import OtherWork
from worker.trainings.process import TrainingProcess
from worker.trainings.process_state import ProcessState
from worker.trainings.report import Reporter

NOTICE_SECONDS = 0.25
"""How often the process, the lease and the wish to stop are looked at."""
LOOK_SECONDS = 2.0
"""How often the database is asked for other work, and told how far this is. What waits at two looks in a row
is for this worker: an idle one would have taken it."""
SAVE_SECONDS = 120.0
"""How long a process that makes way may take to save its state: the step that it is in, and the writing."""
log = structlog.get_logger()


class MadeWay(Interrupted):
    """Other work goes before; the state is stored."""


class TrainingFailed(Exception):
    """The training's process failed. `explained`: for a reason that would end it again."""

    def __init__(self, message: str, *, explained: bool) -> None:
        self.explained = explained
        super().__init__(message)


class PicturesFailed(TrainingFailed):
    """They cannot be read, or make no training set."""


class CannotGoOnHere(Exception):
    """The process ended for a reason that lies at this machine now; the message is for people."""


class OtherDataHere(CannotGoOnHere):
    """The checkpoint was trained on other pictures than those that are prepared here."""


class Supervisor:
    """Watches over one training process until it has exported, failed, or has to make way."""

    def __init__(
        self,
        training: ClaimedTraining,
        folder: TrainingFolder,
        state: ProcessState,
        reporter: Reporter,
        checkpoints: Checkpoints,
        *,
        other_work: OtherWork,
    ) -> None:
        self._training, self._folder = training, folder
        self._state, self._reporter, self._checkpoints = state, reporter, checkpoints
        self._other_work = other_work

    def see_through(self, process: TrainingProcess) -> Exported:
        """Until it has exported. Raises `TrainingFailed` if it fails or crashes, `CannotGoOnHere` if it could
        not go on here now (what it has saved is stored, where that can be done), and what `LeaseKeeper.check`
        raises, `MadeWay` or `EverythingCanceled` when it was ended before.
        """
        try:
            self._watch(process)
        except (MadeWay, Stopping):
            self._save_and_end(process)
            raise
        finally:
            process.kill()
        self._state.read_events()
        match self._state.end:
            case Exported() as exported:
                return exported
            case Stopped():  # somebody else asked it to
                self._save_what_is_left()
                raise MadeWay
            case Failed(passing=True, code=code, message=message):
                self._try_to_save_what_is_left()
                raise (OtherDataHere if code == "other_data" else CannotGoOnHere)(message)
            case Failed(code=code, message=message):
                log.warning("training_process_failed", code=code)
                if code in ("data", "source"):
                    raise PicturesFailed(message, explained=True)
                raise TrainingFailed(message, explained=code != "unexpected")
        log.warning("training_process_crashed", stderr=process.stderr_tail())
        raise TrainingFailed(process.how_it_ended(), explained=False)

    def _watch(self, process: TrainingProcess) -> None:
        keeper, stop = self._training.keeper, self._training.stop
        waited, next_look = False, time.monotonic()
        while process.exit_code is None:
            keeper.check()
            if self._training.claim.id in keeper.canceled:
                raise EverythingCanceled
            if time.monotonic() >= next_look:
                waited = self._look(process, waited)
                next_look = time.monotonic() + LOOK_SECONDS
            stop.wait(NOTICE_SECONDS)

    def _look(self, process: TrainingProcess, waited: bool) -> bool:
        """Tell and ask the servers; returns whether other work waits."""
        self._state.read_events()
        try:
            self._other_work.tend()
            self._try_to_report()
            if self._checkpoints.unsaved:
                self._try_to_save()
            waits = self._other_work.is_waiting()
            if not waits:
                self._other_work.do_one_beside()
        except Unavailable as error:
            log.warning("server_away", what="training", reason=str(error))
            return False
        if not (waits and waited) or self._state.phase == "exporting":
            return waits
        if self._folder.prepared:
            raise MadeWay
        # Preparing has no state to save: stopped each time, it would never end. So it holds its breath.
        process.pause()
        try:
            self._other_work.do_before()
        finally:
            process.go_on()
        return False

    def _try_to_report(self) -> None:
        """A grid that the collector is removing is no reason to save nothing, nor to make way for nobody."""
        try:
            self._reporter.report()
        except BeingRemoved as error:
            log.warning("training_not_reported", reason=str(error))

    def _try_to_save(self) -> None:
        """As the process itself does: on a full disk it goes on, and it is tried again at the next look."""
        try:
            self._checkpoints.save()
        except OSError as error:
            log.warning("training_not_saved", reason=str(error))

    def _save_and_end(self, process: TrainingProcess) -> None:
        """Have the state saved and store it. What comes after the saving (a last grid) is not waited for."""
        self._state.read_events()
        before, deadline = self._state.saves, time.monotonic() + SAVE_SECONDS
        process.ask_to_stop()
        while (
            process.exit_code is None
            and self._state.saves == before
            and time.monotonic() < deadline
            and not self._training.stop.out_of_time
        ):
            time.sleep(NOTICE_SECONDS / 2)
            self._state.read_events()
        process.kill()
        self._state.read_events()
        self._save_what_is_left()

    def _save_what_is_left(self) -> None:
        if self._checkpoints.unsaved:
            self._training.insist(self._checkpoints.save, "save")

    def _try_to_save_what_is_left(self) -> None:
        try:
            self._save_what_is_left()
        except (OSError, Unavailable) as error:
            log.warning("training_not_saved", reason=str(error))
