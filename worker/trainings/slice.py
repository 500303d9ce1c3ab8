"""One slice of a training: from its claim until it has ended, or has to make way."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import structlog

from imago_engine.generators import read_description
from services.base.database import Database
from services.base.errors import NotFound, Unavailable
from services.base.settings import Settings
from services.base.storage import Corrupt, ObjectStore, generator_key, sha256_of_file, training_key
from services.trainings import leases as training_leases
from services.trainings.leases import Sample, TrainingClaim
from worker.leasing.lease_renewal import EverythingCanceled, LeaseKeeper, LeaseLost, Stopping
from worker.leasing.retries import Patience, keep_trying
from worker.process.crash_points import crash_point
from worker.process.stopping import StopFlag
from worker.trainings.folder import TrainingFolder
from worker.trainings.process import (
    TrainingProcess,
    prepare_arguments,
    reading_arguments,
    resume_arguments,
    train_arguments,
)
from worker.trainings.sources import locate_sources
from worker.trainings.start import StartRefused, TrainingStart

NOTICE_SECONDS = 0.25
"""How often the process, the lease and the wish to stop are looked at."""
LOOK_SECONDS = 2.0
"""How often the database is asked for other work, and told how far this is. What waits at two looks in a row
is for this worker: an idle one would have taken it."""
SAVE_SECONDS = 120.0
"""How long a process that makes way may take to save its state: the step that it is in, and the writing."""
STOPPED_EXIT_CODE = 130
T = TypeVar("T")
log = structlog.get_logger()


class MadeWay(Exception):
    """Other work goes before; the state is stored."""


class TrainingFailed(Exception):
    """The process ended. `explained`: for a reason that would end it again."""

    def __init__(self, message: str, *, explained: bool) -> None:
        self.explained = explained
        super().__init__(message)


class TrainingSlice:
    """Runs in the thread that owns the device; `abandon` may be called from any."""

    def __init__(
        self,
        claim: TrainingClaim,
        keeper: LeaseKeeper,
        *,
        database: Database,
        store: ObjectStore,
        settings: Settings,
        stop: StopFlag,
        serve: Callable[[], object],
        tend: Callable[[], object],
    ) -> None:
        """`serve` does the work that waits; `tend` is called every few seconds, for what cannot wait."""
        self._claim = claim
        self._keeper = keeper
        self._database = database
        self._store = store
        self._settings = settings
        self._stop = stop
        self._serve = serve
        self._tend = tend
        self.folder = TrainingFolder(settings.cache_folder, claim.id, claim.fence)
        self._start: TrainingStart | None = None  # the generator that the training starts from, if any
        self._process: TrainingProcess | None = None
        # Preparing again leaves a checkpoint of no step, which must not take the place of the stored one.
        self._trains = claim.checkpoint_object is None
        self._saved: int | None = None  # time of the checkpoint that is stored
        self._shown: dict[int, bool] = {}  # samples that were reported, and whether with their grid
        self._reported: dict[str, object] = {}

    def run(self) -> str:
        """Train on, and register the generator at the end; returns its id.

        Raises `MadeWay`, `Stopping`, `LeaseLost` or `EverythingCanceled` when it cannot go on here now,
        `TrainingFailed` or `SourceRefused` when it cannot at all, and `Unavailable`.
        """
        request = self._claim.request
        sources = [str(path) for path in locate_sources(request.sources, self._settings.data_root)]
        self._start = self._starting_point()
        resumes = self._restore(sources)
        time_is_up = request.until is not None and request.until <= datetime.now(UTC)
        if not resumes and time_is_up:
            raise TrainingFailed(
                f"Its time, until {request.until}, was over before it could begin.", explained=True
            )
        run = str(self.folder.path)
        if resumes and not time_is_up:
            self._run(resume_arguments(request, run))
        elif not time_is_up:
            arguments = train_arguments(request, sources, run, self._fetched_start())
            self._run([*arguments, *reading_arguments(self._settings)])
        # From here on nothing is lost but the export, which can be done again.
        self._insist(self._save, "save")
        return self._bring_home()

    def abandon(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()

    def _starting_point(self) -> TrainingStart | None:
        generator = self._claim.request.warm_start
        if generator is None:
            return None
        return self._start_or_fail(
            lambda: TrainingStart(generator, self._database, self._store, self._settings.cache_folder)
        )

    def _fetched_start(self) -> str | None:
        start = self._start
        return None if start is None else str(self._start_or_fail(start.fetch).resolve())

    def _start_or_fail(self, action: Callable[[], T]) -> T:
        try:
            return self._insist(action, "start")
        except StartRefused as error:
            raise TrainingFailed(str(error), explained=True) from error

    def _restore(self, sources: list[str]) -> bool:
        """Bring back the last checkpoint with its data and log. False if the training begins."""
        folder, checkpoint, logged = self.folder, self._claim.checkpoint_object, self._claim.log_object
        if checkpoint is None or logged is None:
            return False
        if not folder.prepared:
            arguments = prepare_arguments(self._claim.request, sources, str(folder.path))
            self._run([*arguments, *reading_arguments(self._settings)])
        try:
            self._insist(lambda: self._store.fetch(checkpoint, folder.checkpoint), "fetch")
            self._insist(lambda: self._store.fetch(logged, folder.log), "fetch")
        except (NotFound, Corrupt) as error:
            log.error("checkpoint_lost", error=str(error))
            folder.checkpoint.unlink(missing_ok=True)
        self._saved = folder.checkpoint_time()
        self._trains = True
        return self._saved is not None

    def _run(self, arguments: list[str], *, makes_way: bool = True) -> None:
        """Run the process to its end."""
        process = TrainingProcess(
            arguments, self.folder.path, threads=self._settings.threads, device=self._settings.device
        )
        self._process = process
        try:
            self._watch(process, makes_way=makes_way)
        except (MadeWay, Stopping):
            self._save_and_end(process)
            raise
        finally:
            process.kill()
        code = process.exit_code
        if code == STOPPED_EXIT_CODE:  # somebody else asked it to
            self._insist(self._save, "save")
            raise MadeWay
        if code != 0:
            message = process.last_words()
            explained = message.startswith("error: ") or code == 2
            raise TrainingFailed(self._for_people(message), explained=explained)

    def _watch(self, process: TrainingProcess, *, makes_way: bool) -> None:
        waited, next_look = False, time.monotonic()
        while process.exit_code is None:
            self._keeper.check()
            if self._claim.id in self._keeper.canceled:
                raise EverythingCanceled
            if time.monotonic() >= next_look:
                waited = self._look(process, waited, makes_way=makes_way)
                next_look = time.monotonic() + LOOK_SECONDS
            self._stop.wait(NOTICE_SECONDS)

    def _look(self, process: TrainingProcess, waited: bool, *, makes_way: bool) -> bool:
        """Tell and ask the servers; returns whether other work waits."""
        try:
            self._tend()
            self._report(exports=not makes_way)
            if self._has_unsaved:
                self._save()
            with self._database.session() as session:
                waits = training_leases.others_wait(session)
        except Unavailable as error:
            log.warning("server_away", what="training", reason=str(error))
            return False
        if not (makes_way and waits and waited):
            return waits
        if self.folder.prepared:
            raise MadeWay
        # Preparing has no state to save: stopped each time, it would never end. So it holds its breath.
        process.pause()
        try:
            self._serve()
        finally:
            process.go_on()
        return False

    def _save_and_end(self, process: TrainingProcess) -> None:
        """Have the state saved and store it. What comes after the saving (a last grid) is not waited for."""
        before, deadline = self.folder.checkpoint_time(), time.monotonic() + SAVE_SECONDS
        process.ask_to_stop()
        while (
            process.exit_code is None
            and self.folder.checkpoint_time() == before
            and time.monotonic() < deadline
            and not self._stop.out_of_time
        ):
            time.sleep(NOTICE_SECONDS / 2)
        process.kill()
        if self._has_unsaved:
            self._insist(self._save, "save")

    @property
    def _has_unsaved(self) -> bool:
        """Whether the folder has a checkpoint that the store does not have."""
        return self._trains and self.folder.checkpoint_time() not in (None, self._saved)

    def _report(self, *, exports: bool) -> None:
        phase = "exporting" if exports else "training" if self.folder.prepared else "preparing"
        progress = {"phase": phase, **(self.folder.progress() if self._trains else {})}
        samples = self._new_samples() if self._trains else []
        if progress == self._reported and not samples:
            return
        with self._database.session() as session:
            if not training_leases.report(session, self._claim.id, self._claim.fence, progress, samples):
                raise LeaseLost
        self._reported = progress
        self._shown.update((sample.pictures, sample.image_object is not None) for sample in samples)

    def _new_samples(self) -> list[Sample]:
        return [
            Sample(
                measured.pictures,
                measured.held_out,
                self._store.put("image", measured.grid.read_bytes(), "image/png") if measured.grid else None,
                measured.at,
            )
            for measured in self.folder.measured()
            # Again once its grid is whole: the metrics are logged before it is drawn.
            if not self._shown.get(measured.pictures, False)
            and (measured.grid is not None or measured.pictures not in self._shown)
        ]

    def _save(self) -> None:
        """Store the checkpoint and the log, then point to them, then drop what they replace."""
        kept = self.folder.snapshot()
        saved = kept.stat().st_mtime_ns
        checkpoint = self._put(kept, "safetensors", "application/octet-stream")
        logged = self._put(self.folder.log_snapshot(), "jsonl", "application/x-ndjson")
        with self._database.session() as session:
            superseded = training_leases.save(
                session, self._claim.id, self._claim.fence, checkpoint, logged, self.folder.progress()
            )
        if superseded is None:
            raise LeaseLost
        self._saved = saved
        for key in superseded:
            with suppress(Unavailable):  # cleared when the training has ended
                self._store.delete(key)
        log.info("training_saved", pictures=self.folder.progress().get("pictures", 0))

    def _put(self, path: Path, suffix: str, content_type: str) -> str:
        key = training_key(self._claim.id, self._claim.fence, sha256_of_file(path), suffix)
        self._store.put_file(key, path, content_type)
        return key

    def _bring_home(self) -> str:
        """Export, store, register. Until the last step nothing points to anything, so all can be repeated."""
        claim = self._claim
        generator = self.folder.path / "generator.safetensors"
        start = self._start
        named = None if start is None else f"{start.generator}.safetensors"
        self.folder.write_settings(
            train_arguments(claim.request, claim.request.sources, "RUN", named),
            None if start is None else start.sha256,
        )
        self._run(["export", str(self.folder.path), "--out", str(generator)], makes_way=False)
        info, sha256 = read_description(generator), sha256_of_file(generator)
        written_card = generator.with_suffix(".md")

        def store() -> str | None:
            self._store.put_file(generator_key(sha256), generator)
            card = self._put(written_card, "md", "text/markdown") if written_card.exists() else None
            logged = self._put(self.folder.log_snapshot(), "jsonl", "application/x-ndjson")
            samples = self._new_samples()
            crash_point("training_stored")
            with self._database.session() as session:
                return training_leases.finish(
                    session,
                    claim,
                    info=info,
                    sha256=sha256,
                    log=logged,
                    card=card,
                    progress=self.folder.progress(),
                    samples=samples,
                )

        registered = self._insist(store, "finish")
        if registered is None:
            raise LeaseLost
        return registered

    def _insist(self, action: Callable[[], T], what: str) -> T:
        patience = Patience(self._settings.store_patience_seconds)
        return keep_trying(
            action,
            what=what,
            may_go_on=lambda: self._keeper.may_finish and patience.left,
            wait=self._stop.wait,
        )

    def _for_people(self, message: str) -> str:
        """Without this machine's paths."""
        for path, name in (
            (self.folder.path, "the run folder"),
            (self._settings.data_root, "the data root"),
            (
                None if self._start is None else self._start.path,
                f"the generator {self._claim.request.warm_start}",
            ),
        ):
            if path is not None:
                message = message.replace(f"{path.resolve()}/", "").replace(str(path.resolve()), name)
        return message.removeprefix("error: ")
