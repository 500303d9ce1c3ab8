"""Telling the service how far a training is."""

from datetime import UTC
from pathlib import Path
from typing import Any

from imago_engine.artifacts import ArtifactKind
from imago_engine.training_events import Sample
from services.trainings import leases as training_leases
from worker.leasing.lease_renewal import LeaseLost
from worker.trainings.claimed import ClaimedTraining
from worker.trainings.folder import TrainingFolder
from worker.trainings.process_state import ProcessState, finite


class Reporter:
    """Reports what has changed since its last report."""

    def __init__(self, training: ClaimedTraining, folder: TrainingFolder, state: ProcessState) -> None:
        self._training, self._folder, self._state = training, folder, state
        self._reported: dict[str, Any] = {}

    @property
    def progress(self) -> dict[str, Any]:
        """Phase and figures, as the service keeps them."""
        usual = "training" if self._folder.prepared else "preparing"
        return {"phase": self._state.phase or usual, **self._state.figures}

    def report(self) -> None:
        """Raises `LeaseLost`, or `Unavailable`; then the next report holds all that this one would have."""
        progress, told = self.progress, list(self._state.samples)
        if progress == self._reported and not told:
            return
        claim, samples = self._training.claim, self.stored(told)
        with self._training.database.session() as session:
            if not training_leases.report(session, claim.id, claim.lease_id, progress, samples):
                raise LeaseLost
        self._reported = progress
        del self._state.samples[: len(told)]

    def stored(self, told: list[Sample]) -> list[training_leases.Sample]:
        """The samples, once their grids are in the store."""
        return [
            training_leases.Sample(
                sample.pictures, finite(sample.held_out), self._put(sample.grid), sample.at.astimezone(UTC)
            )
            for sample in told
        ]

    def _put(self, grid: str | None) -> str | None:
        if grid is None:
            return None
        return self._training.store.put(
            ArtifactKind.IMAGE, Path(self._folder.path / grid).read_bytes(), "image/png"
        )
