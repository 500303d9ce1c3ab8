"""`Retry-After` of what is on its way: as soon as it can be there, by what is estimated."""

from services.base.database import Database
from services.estimates.cost_model import Seconds
from services.pictures import visualizations

SOONEST, LATEST = 2, 3600
"""Seconds: nothing is worth asking for more often, and plans may change within the hour."""
PROGRESS_SECONDS = 60
"""Whoever watches a job wants to see it go on."""


def seconds_until_there(eta: Seconds | None) -> int:
    """When something can be there at the earliest; soon where nobody knows."""
    return SOONEST if eta is None else int(min(max(eta.low, SOONEST), LATEST))


def seconds_until_progress(eta: Seconds | None) -> int:
    """When it makes sense to look at a job again: often while its end is near."""
    return SOONEST if eta is None else int(min(max(eta.low / 10, SOONEST), PROGRESS_SECONDS))


def retry_after(database: Database, digest: str) -> dict[str, str]:
    """The header for a picture that waits or is being computed."""
    with database.session() as session:
        return {"Retry-After": str(seconds_until_there(visualizations.eta(session, digest)))}
