"""The checkpoint of a training between this machine and the store."""

from contextlib import suppress
from pathlib import Path

import structlog

from services.base.errors import NotFound, Unavailable
from services.base.storage import Corrupt, sha256_of_file, training_key
from services.trainings import leases as training_leases
from worker.leasing.lease_renewal import LeaseLost
from worker.trainings.claimed import ClaimedTraining
from worker.trainings.folder import TrainingFolder
from worker.trainings.process_state import ProcessState
from worker.trainings.report import Reporter

log = structlog.get_logger()


class Checkpoints:
    """Brings back the last one, and stores each that the process writes, with its log."""

    def __init__(
        self, training: ClaimedTraining, folder: TrainingFolder, state: ProcessState, reporter: Reporter
    ) -> None:
        self._training, self._folder = training, folder
        self._state, self._reporter = state, reporter
        self._stored = 0

    def restore(self) -> bool:
        """Bring the last checkpoint and its log into the folder. False if there is none, or none any more."""
        claim, store, folder = self._training.claim, self._training.store, self._folder
        checkpoint, logged = claim.checkpoint_object, claim.log_object
        if checkpoint is None or logged is None:
            return False
        try:
            self._training.insist(lambda: store.fetch(checkpoint, folder.checkpoint), "fetch")
            self._training.insist(lambda: store.fetch(logged, folder.log), "fetch")
        except (NotFound, Corrupt) as error:
            log.error("checkpoint_lost", error=str(error))
            folder.checkpoint.unlink(missing_ok=True)
            return False
        return True

    @property
    def unsaved(self) -> bool:
        """Whether the folder has a checkpoint that the store does not have."""
        return self._state.saves > self._stored

    def save(self) -> None:
        """Store the checkpoint and the log, then point to them, then drop what they replace. Raises
        `LeaseLost`, `Unavailable` or OSError.
        """
        claim, saves, saved = self._training.claim, self._state.saves, self._state.saved
        # Both are copied before either is put: on a full disk nothing large is sent for nothing.
        snapshot, log_snapshot = self._folder.snapshot(), self._folder.log_snapshot()
        checkpoint = self.put(snapshot, "safetensors", "application/octet-stream")
        logged = self.put(log_snapshot, "jsonl", "application/x-ndjson")
        progress = {**self._reporter.progress, "saved": saved}
        with self._training.database.session() as session:
            superseded = training_leases.save(session, claim.id, claim.lease_id, checkpoint, logged, progress)
        if superseded is None:
            raise LeaseLost
        self._stored = saves
        for key in superseded:
            with suppress(Unavailable):  # cleared when the training has ended
                self._training.store.delete(key)
        log.info("training_saved", pictures=progress.get("pictures", 0))

    def put_log(self) -> str:
        """Store the log as it is now; returns its key."""
        return self.put(self._folder.log_snapshot(), "jsonl", "application/x-ndjson")

    def put(self, path: Path, suffix: str, content_type: str) -> str:
        """Store a file of the training; returns its key."""
        claim = self._training.claim
        key = training_key(claim.id, claim.lease_id, sha256_of_file(path), suffix)
        self._training.store.put_file(key, path, content_type)
        return key
