"""The exceptions of this package.

Every exception of this package is an `ImagoError`. Its text says what was wrong and, where the server named
fields, one line a field.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from httpx2 import Response


@dataclass(frozen=True)
class FieldError:
    """One rejected field of a request.

    pointer: a JSON pointer into the body that was sent, such as `/targets/0/units` ("" is the whole body).
    detail: what is wrong with it, and what would be accepted.
    """

    pointer: str
    detail: str

    @property
    def field(self) -> str:
        """The pointer as people write fields: `targets[0].units`."""
        dotted = ""
        for part in self.pointer.removeprefix("#").split("/")[1:]:
            part = part.replace("~1", "/").replace("~0", "~")
            dotted += f"[{part}]" if re.fullmatch(r"\d+", part) else f".{part}" if dotted else part
        return dotted


class ImagoError(Exception):
    """The request could not be answered.

    message: one sentence. status: the HTTP status, None when there was no answer.
    errors: the rejected fields, if any. request_id: what to quote to the people who run the server.
    retry_after: seconds after which the server wants to be asked again, None where it does not say.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        errors: Sequence[FieldError] = (),
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.errors = tuple(errors)
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        lines = [self.message]
        lines += [
            f"  {error.field}: {error.detail}" if error.field else f"  {error.detail}"
            for error in self.errors
        ]
        return "\n".join(lines)


class InvalidRequest(ImagoError):
    """The request cannot be accepted as it is (400, 413, 415, 422), or was refused before it was sent."""


class NotAuthorized(ImagoError):
    """The key is missing, unknown, expired or lacks a scope (401, 403)."""


class NotFound(ImagoError):
    """There is no such thing on this server (404, 410)."""


class Conflict(ImagoError):
    """The thing's state does not allow this (409)."""


class Unreachable(ImagoError):
    """No connection to the server, or no answer from it, after all retries."""


class Unavailable(ImagoError):
    """The server is there but cannot serve now (429, 502, 503, 504), after all retries."""


class WaitTimeout(ImagoError, TimeoutError):
    """What was waited for did not happen within the time given."""


_KINDS: dict[int, type[ImagoError]] = {
    400: InvalidRequest,
    401: NotAuthorized,
    403: NotAuthorized,
    404: NotFound,
    409: Conflict,
    410: NotFound,
    413: InvalidRequest,
    415: InvalidRequest,
    422: InvalidRequest,
    429: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def kind_of(status: int) -> type[ImagoError]:
    """The exception class of an HTTP status."""
    return _KINDS.get(status, ImagoError)


def problem_of(response: "Response", url: str) -> ImagoError:
    """The exception of an error status, from an RFC 9457 problem where there is one."""
    status, wait = response.status_code, retry_after(response)
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or not ("detail" in body or "title" in body):
        reason = f"{status} {response.reason_phrase}".strip()
        said = f"{url} answered {reason} to {response.request.url.path}."
        return kind_of(status)(said, status=status, retry_after=wait)
    errors = [
        FieldError(str(error.get("pointer", "")), str(error.get("detail", "")))
        for error in body.get("errors") or []
        if isinstance(error, dict)
    ]
    # The detail of a problem with fields only joins what the fields say.
    message = str((body.get("title") if errors else None) or body.get("detail") or body["title"])
    id = body.get("request_id")
    return kind_of(status)(message, status=status, errors=errors, request_id=id, retry_after=wait)


def retry_after(response: "Response") -> float | None:
    """Seconds of a Retry-After header, which is a number or a date; None where there is none."""
    text = response.headers.get("Retry-After")
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
