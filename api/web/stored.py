"""What pages show of objects in the store, and go without where it does not give them."""

from typing import IO

import structlog

from api.http.objects import verified
from api.problems.problems import Problem
from services.base.errors import Unavailable
from services.pictures.losses import Subject

log = structlog.get_logger(__name__)


def opened(key: str, subject: Subject) -> IO[bytes] | None:
    """An object that is open to be read; None where it is lost or the store is away: all else on the page is
    there."""
    try:
        return verified(key, subject)
    except (Problem, Unavailable) as error:
        log.warning("object_not_shown", key=key, subject=str(subject), reason=str(error))
        return None
