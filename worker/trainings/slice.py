"""One slice of a training: from its claim until it has ended, or has to make way."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from imago_engine.training_events import EventReader
from imago_engine.training_jobs import write_job
from worker.trainings.checkpoint import Checkpoints
from worker.trainings.claimed import ClaimedTraining
from worker.trainings.folder import TrainingFolder
from worker.trainings.job import training_job
from worker.trainings.other_work import OtherWork
from worker.trainings.process import TrainingProcess
from worker.trainings.process_state import ProcessState
from worker.trainings.register import register
from worker.trainings.report import Reporter
from worker.trainings.sources import locate_sources
from worker.trainings.start import StartRefused, fetch_start
from worker.trainings.supervise import OtherDataHere, PicturesFailed, Supervisor, TrainingFailed

T = TypeVar("T")
PREPARE_AGAIN_SECONDS = 3600.0
"""How old prepared data are at least when they are made again because a checkpoint is of others: the sources
may be again what they were, and preparing them may take hours."""


class TrainingSlice:
    """Runs in the thread that owns the device; `abandon` may be called from any."""

    def __init__(
        self,
        training: ClaimedTraining,
        other_work: OtherWork,
    ) -> None:
        claim = training.claim
        self.folder = TrainingFolder(training.settings.cache_folder, claim.id, claim.lease_id)
        self._training = training
        self._state = ProcessState(EventReader(self.folder.events))
        self._reporter = Reporter(training, self.folder, self._state)
        self._checkpoints = Checkpoints(training, self.folder, self._state, self._reporter)
        self._supervisor = Supervisor(
            training, self.folder, self._state, self._reporter, self._checkpoints, other_work=other_work
        )
        self._process: TrainingProcess | None = None

    def run(self) -> str:
        """Train on, and register the generator at the end; returns its id.

        Raises `MadeWay`, `Stopping`, `LeaseLost` or `EverythingCanceled` when it cannot go on here now,
        `SourceRefused`, `CannotGoOnHere` or OSError when perhaps others can, `TrainingFailed` when it cannot
        at all, and `Unavailable`.
        """
        training, request = self._training, self._training.claim.request
        sources = locate_sources(request.sources, training.settings.data_root)
        begins = not self._checkpoints.restore()
        if begins and request.until is not None and request.until <= datetime.now(UTC):
            raise self._too_late()
        self._process = self._started(sources, begins=begins)
        try:
            exported = self._supervisor.see_through(self._process)
        except PicturesFailed:
            locate_sources(request.sources, training.settings.data_root)  # they may have gone meanwhile
            raise
        except OtherDataHere:
            self.folder.forget_prepared(PREPARE_AGAIN_SECONDS)
            raise
        if not self._state.figures.get("pictures"):
            raise self._too_late()  # of no step: it would be the generator that it began with
        if self._checkpoints.unsaved:  # should registering fail, the rest can be done again from here
            training.insist(self._checkpoints.save, "save")
        return register(training, self.folder, exported, self._state, self._reporter, self._checkpoints)

    def abandon(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()

    def _too_late(self) -> TrainingFailed:
        until = self._training.claim.request.until
        return TrainingFailed(f"Its time, until {until}, was over before it could begin.", explained=True)

    def _started(self, sources: Sequence[Path], *, begins: bool) -> TrainingProcess:
        request, settings = self._training.claim.request, self._training.settings
        job = training_job(
            request,
            settings,
            folder=self.folder.path,
            sources=sources,
            begins=begins,
            warm_start=self._warm_start() if begins else None,
        )
        write_job(job, self.folder.job)
        return TrainingProcess(self.folder.job)

    def _warm_start(self) -> Path | None:
        """The file of the generator that the training starts from, on this machine."""
        training, generator = self._training, self._training.claim.request.warm_start
        if generator is None:
            return None

        def fetch() -> Path:
            cache = training.settings.cache_folder
            return fetch_start(generator, training.database, training.store, cache)

        try:
            return training.insist(fetch, "start")
        except StartRefused as error:
            raise TrainingFailed(str(error), explained=True) from error
