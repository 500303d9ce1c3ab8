"""States of items, jobs, trainings and atlases, and what each means; each feature changes its own."""

from collections.abc import Iterable
from enum import StrEnum


class State(StrEnum):
    """Of a visualization."""

    QUEUED = "queued"
    """Waits to be claimed."""
    LEASED = "leased"
    """A worker computes it under `lease_id`."""
    DONE = "done"
    """Final: its objects are in the store."""
    FAILED = "failed"
    """Ended without a picture; `error` explains it. Asked for again, it is queued anew."""
    UNREACHABLE = "unreachable"
    """Final: no gradient comes from it, so no picture of this unit can exist."""
    CANCELED = "canceled"
    """No live job wants it. With a `lease_id`, a worker has not yet noticed."""


class JobState(StrEnum):
    QUEUED = "queued"
    """Nothing of it has been claimed."""
    RUNNING = "running"
    """A worker has claimed some of it."""
    CANCELING = "canceling"
    """Canceled; a worker still computes some of it and will stop at its next heartbeat."""
    SUCCEEDED = "succeeded"
    """Every item is done or unreachable, at least one done."""
    FAILED = "failed"
    """Everything has ended, and an item failed or none is done."""
    CANCELED = "canceled"


LIVE_JOBS = (JobState.QUEUED, JobState.RUNNING)
"""States of a job that still wants its items."""
OPEN_JOBS = (*LIVE_JOBS, JobState.CANCELING)
"""States of a job that has not ended."""


def listed(states: Iterable[StrEnum]) -> str:
    """States as a list of SQL: `('queued', 'running')`."""
    return "(" + ", ".join(f"'{state}'" for state in states) + ")"


class TrainingState(StrEnum):
    QUEUED = "queued"
    """Waits to be claimed: for the first time, or to go on from its checkpoint."""
    RUNNING = "running"
    """A worker trains."""
    CANCELING = "canceling"
    """Canceled; the worker will stop at its next heartbeat."""
    SUCCEEDED = "succeeded"
    """Final: the generator is registered."""
    FAILED = "failed"
    """Final; `error` explains it."""
    CANCELED = "canceled"


class ScanState(StrEnum):
    QUEUED = "queued"
    """No worker has begun with it."""
    RUNNING = "running"
    """A worker looks at pictures, or another one will go on from where it was: `error` says why none does
    now."""
    SUCCEEDED = "succeeded"
    """Final: what it found can be read."""
    FAILED = "failed"
    """Final; `error` explains it."""
    CANCELED = "canceled"


ENDED_SCANS = (ScanState.SUCCEEDED, ScanState.FAILED, ScanState.CANCELED)
ENDED_TRAININGS = (TrainingState.SUCCEEDED, TrainingState.FAILED, TrainingState.CANCELED)


class AtlasWish(StrEnum):
    """What the owner of an atlas wants done with its open version."""

    BUILD = "build"
    """Every picture of it is to be made; complete when all have ended."""
    PAUSE = "pause"
    """Nothing new is begun until it is resumed."""
    CANCEL = "cancel"
    """What is not done is wanted no more; what is done stays, and can be published."""
    DELETE = "delete"
    """Nobody sees it any more; its rows go little by little."""
    IMPORT = "import"
    """It is being imported; nobody sees it before it is whole."""


class AtlasState(StrEnum):
    """How far an atlas is, told by its wish, its layers and its jobs."""

    PLANNING = "planning"
    """Some of its pictures have no job yet; others may be done."""
    BUILDING = "building"
    """All have their jobs, and some have not ended."""
    PAUSED = "paused"
    """Nothing new is begun; what a worker computes ends."""
    CANCELED = "canceled"
    """The same, for good unless it is resumed."""
    COMPLETE = "complete"
    """All have ended: done, unreachable or failed."""


class Visibility(StrEnum):
    PRIVATE = "private"
    """Its owner and admins see it."""
    PUBLIC = "public"
    """Whoever may read sees it."""


class Lane(StrEnum):
    INTERACTIVE = "interactive"
    """Someone waits."""
    BULK = "bulk"
    """Overnight."""
