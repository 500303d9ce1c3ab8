"""`Retry-After`: when it makes sense to ask again for what is on its way, by what is estimated."""

from sqlalchemy.orm import Session

from services.atlases.progress import AtlasView
from services.estimates.cost_model import Seconds
from services.exemplars.scans import ScanView
from services.jobs.progress import JobView
from services.pictures import visualizations
from services.trainings.trainings import TrainingView

SOONEST, LATEST = 2, 3600
"""Seconds: nothing is worth asking for more often, and plans may change within the hour."""
PROGRESS_SECONDS = 60
"""Whoever watches a job wants to see it go on."""
TRAINING_SECONDS = 5
"""The same of a training or a scan, whose end nobody waits for."""


def header(seconds: int | None) -> dict[str, str]:
    """The header, none for what nobody needs to ask for again."""
    return {} if seconds is None else {"Retry-After": str(seconds)}


def of_picture(session: Session, digest: str) -> int:
    """For a picture that waits or is being computed: when it can be there at the earliest."""
    return seconds_until_there(visualizations.eta(session, digest))


def of_job(job: JobView) -> int | None:
    """None for a job that has ended."""
    return None if job.ended else seconds_until_progress(job.eta)


def of_atlas(atlas: AtlasView) -> int | None:
    """None for an atlas of which nothing is going on."""
    return None if atlas.ended else seconds_until_progress(atlas.eta)


def of_training(training: TrainingView) -> int | None:
    """None for a training that has ended."""
    return None if training.ended else TRAINING_SECONDS


def of_scan(scan: ScanView) -> int | None:
    """None for a scan that has ended."""
    return None if scan.ended else TRAINING_SECONDS


def seconds_until_there(eta: Seconds | None) -> int:
    """When something can be there at the earliest; soon where nobody knows."""
    return SOONEST if eta is None else int(min(max(eta.low, SOONEST), LATEST))


def seconds_until_progress(eta: Seconds | None) -> int:
    """When it makes sense to look at a job again: often while its end is near."""
    return SOONEST if eta is None else int(min(max(eta.low / 10, SOONEST), PROGRESS_SECONDS))
