"""Translate errors of the S3 client into errors of the domain."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from services.base.errors import ClockOff, NotFound, Refused, Unavailable

WHAT = "object store"
_ABSENT = {"404", "NoSuchKey", "NoSuchUpload", "NotFound"}
_OF_THE_TIME = {"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"}
_TOLERATED_SECONDS = 240
"""Stores refuse from 5 to 15 minutes of difference on. Not all of them name it; answers to HEAD name
nothing."""


@contextmanager
def translated(key: str) -> Iterator[None]:
    """Errors of boto3 in the block become `NotFound` of this key, `ClockOff`, `Refused` or `Unavailable`.

    Read what an answer's head says in the block too: one that breaks off early looks whole to boto3, but
    lacks members.
    """
    try:
        yield
    except ClientError as error:
        raise _meant(error, key) from error
    except (BotoCoreError, Boto3Error, HTTPClientError, HTTPError, OSError) as error:
        raise Unavailable(WHAT, str(error)) from error
    except (KeyError, ResponseParserError) as error:
        raise Unavailable(WHAT, f"Its answer is not whole ({error}).") from error


def _meant(error: ClientError, key: str) -> NotFound | Unavailable:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _ABSENT:
        return NotFound("object", key)
    about = error.response.get("ResponseMetadata", {})
    status = int(about.get("HTTPStatusCode", 0))
    ahead = _seconds_ahead(about.get("HTTPHeaders", {}).get("date"))
    if code in _OF_THE_TIME or (status in (400, 401, 403) and abs(ahead) > _TOLERATED_SECONDS):
        how = f"{abs(ahead) / 60:.0f} minutes {'ahead of' if ahead > 0 else 'behind'}"
        return ClockOff(
            WHAT, advice=f"This machine's clock is {how} the store's; set the one that is wrong (NTP)."
        )
    if 400 <= status < 500:
        return Refused(WHAT, f"It says {code or error}.")
    return Unavailable(WHAT, f"It says {code or error}.")


def now() -> datetime:
    """What this machine's clock says."""
    return datetime.now(UTC)


def _seconds_ahead(date: str | None) -> float:
    """How far the clock here is ahead of the one that wrote this header; 0 where it cannot be told."""
    try:
        there = parsedate_to_datetime(date or "")
    except ValueError:
        return 0.0
    return (now() - there.astimezone(UTC)).total_seconds()
