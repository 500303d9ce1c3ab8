"""Timestamps in requests: RFC 3339, and within a century."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

LONGEST = timedelta(days=36_525)
"""A hundred years: what lies further ahead is a mistake, and near the year 9999 no database can hold it."""
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", flags=re.ASCII)


def _read(given: object) -> datetime:
    """Pydantic by itself also reads 0 and `1e9` as moments, of 1970 and 2001."""
    if isinstance(given, datetime):
        return given
    if isinstance(given, str) and _RFC_3339.fullmatch(given):
        with suppress(ValueError):
            return datetime.fromisoformat(given.upper())
    raise ValueError(f"must be a date and time with its zone, as in 2030-01-31T12:00:00Z; got {given!r:.60}")


def _near(moment: datetime) -> datetime:
    if abs(moment - datetime.now(UTC)) > LONGEST:
        raise ValueError(f"must be within a hundred years of today; got {moment.isoformat()}")
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, BeforeValidator(_read), AfterValidator(_near)]
"""In UTC, within a hundred years of today."""


def not_in_the_future(moment: datetime) -> str | None:
    """What is wrong with a moment at which something is to end, None if nothing is."""
    if moment > datetime.now(UTC):
        return None
    return f"must be in the future; got {moment.isoformat()}"
