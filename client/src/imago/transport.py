"""HTTP requests with time limits, retries with back-off, and problems turned into exceptions.

What is sent here may be sent twice without harm. Reading is, cancelling and registering are idempotent, and a
submission carries an Idempotency-Key; so a lost answer is simply asked for again. Of what is not of this kind
`post_once` looks first whether it was carried out.
"""

import json
import platform
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeAlias
from urllib.parse import quote

import httpx2

from imago.errors import (
    Conflict,
    ImagoError,
    InvalidRequest,
    NotAuthorized,
    Unavailable,
    Unreachable,
    problem_of,
    retry_after,
)
from imago.events.parsing import Event, read
from imago.version import __version__

Json: TypeAlias = dict[str, Any]
Parameters: TypeAlias = Mapping[str, str | int | bool | None]

_TRY_AGAIN = frozenset({429, 502, 503, 504})
_LONGEST_WAIT = 60.0
CONNECT_SECONDS = 5.0
"""Seconds after which a connection that is not there is given up."""
_PAGE = 200
_KEY = re.compile(r"[!-~]+")
_IDEMPOTENCY_KEY = re.compile(r"[!-~]([ -~]*[!-~])?")
"""What may stand in a header: printable ASCII, without blanks at the ends."""
_LEAST_ANSWER = 1.0
"""Seconds that an answer is given, however little time there is."""


@dataclass(frozen=True)
class Patience:
    """How long to keep trying, in waits that grow from first to longest seconds.

    seconds: while a server answers badly or not in time. refused: while nobody listens at the address, which
    mostly means a wrong address or a server that is down. strict: an answer that has been begun is not waited
    for any longer either, but for a second at least.
    """

    seconds: float = 15.0
    refused: float = 3.0
    first: float = 0.25
    longest: float = 8.0
    strict: bool = False


_ONE_TRY = Patience(seconds=0.0, refused=0.0)


@dataclass(frozen=True)
class Answer:
    """A successful answer: its JSON object and what the status line and headers said."""

    body: Json
    status: int
    headers: Mapping[str, str]


def path_to(*segments: object) -> str:
    """A path under /v1 whose segments are escaped one by one."""
    return "/v1/" + "/".join(quote(str(segment), safe="") for segment in segments)


class Transport:
    """The connection to one server. May be shared by threads."""

    def __init__(
        self,
        url: str,
        key: str | None,
        *,
        key_from: str = "argument",
        timeout: float = 30.0,
        patience: Patience | None = None,
    ) -> None:
        """timeout: seconds without a byte after which an answer is given up (connecting: 5 at most).
        key_from: where the key comes from. Raises NotAuthorized for what cannot be one, without showing it.
        """
        headers = {
            "User-Agent": f"imago/{__version__} python/{platform.python_version()}",
            "Accept": "application/json, */*;q=0.5",
        }
        if key:
            _check_key(key, key_from)
            headers["Authorization"] = f"Bearer {key}"
        # A proxy of the environment is never asked for this machine's own addresses.
        own_machine = {f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")}
        try:
            address = httpx2.URL(url)
            if address.scheme not in ("http", "https") or not address.host:
                raise httpx2.InvalidURL("no scheme or host")
            self._http = httpx2.Client(
                base_url=address,
                headers=headers,
                mounts=own_machine,
                timeout=httpx2.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
            )
        except (httpx2.InvalidURL, UnicodeError) as error:  # UnicodeError: a host that cannot be one
            raise ImagoError(f"{url!r} is not an address of a server; write http://HOST:PORT.") from error
        self.url = url
        self.key = key
        self.timeout = timeout
        self.patience = patience or Patience()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The transport cannot be used afterwards."""
        self._http.close()

    def get(
        self, path: str, parameters: Parameters | None = None, *, patience: Patience | None = None
    ) -> Json:
        """GET a JSON object."""
        return self._json(self._send("GET", path, parameters, patience=patience)).body

    def entries(
        self, path: str, filters: Parameters | None = None, limit: int | None = None
    ) -> Iterator[Json]:
        """The entries of a paginated list, at most `limit` of them, page by page."""
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            page = self.get(path, {**(filters or {}), "limit": size, "cursor": cursor})
            yield from page["data"][:left]
            left = None if left is None else left - len(page["data"])
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def lines(self, path: str, parameters: Parameters | None = None) -> Iterator[Json]:
        """All entries of a list that is served as JSON lines, as they come: one answer, however many they
        are. Raises `Unreachable` where it breaks off: a server ends one that is not read for a while.
        """
        headers = {"Accept": "application/x-ndjson"}
        response = self._send("GET", path, parameters, headers=headers, stream=True)
        with closing(response):
            try:
                for line in _lines(response):
                    yield json.loads(line)
            except httpx2.RequestError as error:
                raise self._unreachable(error) from error

    def events(
        self, path: str, last_id: str | None = None, *, quiet_seconds: float
    ) -> Iterator[Event | None]:
        """The server-sent events of one stream, None for each comment, until it ends. Raises `Unreachable`
        where it breaks off, or nothing comes for so many seconds.
        """
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        timeout = httpx2.Timeout(quiet_seconds, connect=CONNECT_SECONDS)
        try:
            with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    raise problem_of(response, self.url)
                yield from read(_lines(response))
        except httpx2.RequestError as error:
            raise self._unreachable(error) from error

    def post(
        self,
        path: str,
        body: Json | None = None,
        *,
        idempotency_key: str | None = None,
        patience: Patience | None = None,
    ) -> Answer:
        """POST a JSON body (or none), and read a JSON object. Only for requests that may be sent twice."""
        if idempotency_key and not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
            raise InvalidRequest(
                "The idempotency key cannot be sent: expected printable ASCII, without blanks at its ends."
            )
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self._json(self._send("POST", path, body=body, headers=headers, patience=patience))

    def post_once(self, path: str, carried_out: Callable[[], Json | None]) -> Json:
        """POST what may not be sent twice, and read a JSON object.

        carried_out: asks the server for what the answer would have said; None where the request was not
        carried out. Asked where an answer is lost, before the request is sent again, which is not before the
        server wants it.
        """
        began, pause, lost = time.monotonic(), self.patience.first, False
        while True:
            try:
                return self.post(path, patience=_ONE_TRY).body
            except Conflict:
                # Of what the lost one has done meanwhile?
                if not lost or (found := carried_out()) is None:
                    raise
                return found
            except (Unreachable, Unavailable) as error:
                wait = max(pause, error.retry_after or 0.0)
                if time.monotonic() + wait - began > self.patience.seconds:
                    raise
            lost = True
            time.sleep(wait)
            pause = min(2 * pause, self.patience.longest)
            if (found := carried_out()) is not None:
                return found

    def delete(self, path: str) -> None:
        """DELETE what is there. NotFound, too, where an earlier try was carried out and its answer lost."""
        self._send("DELETE", path)

    def get_bytes(self, path: str, parameters: Parameters | None = None) -> bytes:
        """GET bytes, wherever the server redirects to. The key stays with the server's own address."""
        return self._send("GET", path, parameters).content

    def probe(self, path: str) -> tuple[int, Json]:
        """GET without retries or exceptions for error statuses: (status, the JSON object or {})."""
        try:
            response = self._http.get(path, follow_redirects=True)
        except httpx2.RequestError as error:
            raise self._unreachable(error) from error
        try:
            body = response.json()
        except ValueError:
            body = {}
        return response.status_code, body if isinstance(body, dict) else {}

    def _send(
        self,
        method: str,
        path: str,
        parameters: Parameters | None = None,
        *,
        body: Json | None = None,
        headers: Mapping[str, str] | None = None,
        patience: Patience | None = None,
        stream: bool = False,
    ) -> httpx2.Response:
        """A successful answer. stream: its body is still to be read, and it to be closed."""
        patience = patience or self.patience
        began = time.monotonic()
        wait = patience.first
        address = _address(path, parameters)
        content = None if body is None else _encoded(body)
        if content is not None:
            headers = {"Content-Type": "application/json", **(headers or {})}
        while True:
            timeout = self._answer_timeout(patience, began)
            pause = wait * random.uniform(0.5, 1.0)
            try:
                request = self._http.build_request(
                    method, address, content=content, headers=headers, timeout=timeout
                )
                response = self._http.send(request, stream=stream, follow_redirects=method == "GET")
                if not response.is_success:
                    response.read()
            except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.TooManyRedirects) as error:
                raise ImagoError(f"{self.url} cannot be used: {error}") from error
            except httpx2.RequestError as error:
                limit = patience.refused if isinstance(error, httpx2.ConnectError) else patience.seconds
                left = began + limit - time.monotonic()
                if left <= 0:
                    raise self._unreachable(error) from error
                pause = min(pause, left)  # the last try is at the end of the time
            else:
                if response.is_success:
                    return response
                asked = retry_after(response)
                # 409 with Retry-After: the same Idempotency-Key is still being worked on.
                again = response.status_code in _TRY_AGAIN or (
                    response.status_code == 409 and asked is not None
                )
                pause = pause if asked is None else min(asked, _LONGEST_WAIT)
                if not again or time.monotonic() + pause - began > patience.seconds:
                    raise problem_of(response, self.url)
            time.sleep(pause)
            wait = min(wait * 2, patience.longest)

    def _answer_timeout(self, patience: Patience, began: float) -> httpx2.Timeout:
        seconds = self.timeout
        if patience.strict:
            left = began + patience.seconds - time.monotonic()
            seconds = min(seconds, max(left, _LEAST_ANSWER))
        return httpx2.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))

    def _json(self, response: httpx2.Response) -> Answer:
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise ImagoError(
                f"{response.request.url} did not answer with a JSON object; does imago run at {self.url}?",
                status=response.status_code,
            )
        return Answer(body, response.status_code, response.headers)

    def _unreachable(self, error: httpx2.RequestError) -> Unreachable:
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            return Unreachable(
                f"Cannot reach {self.url}: {_reason(error)}. Is the server up, and the address right?"
            )
        return Unreachable(f"No answer from {self.url}: {_reason(error)}.")


def _address(path: str, parameters: Parameters | None) -> httpx2.URL:
    """A path with its own query, which links of the server have, and more of it: `params` of a request would
    replace it, even by nothing."""
    more = {name: value for name, value in (parameters or {}).items() if value is not None}
    address = httpx2.URL(path)
    return address.copy_merge_params(more) if more else address


def _check_key(key: str, key_from: str) -> None:
    """Raises NotAuthorized for what no server has given as a key, and no header can hold."""
    if not _KEY.fullmatch(key):
        where = "that was given" if key_from == "argument" else f"from {key_from}"
        raise NotAuthorized(
            f"The key {where} cannot be one: it has other characters than letters, digits, _ and -. "
            "Was it copied as a whole?"
        )


def _reason(error: httpx2.RequestError) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return "it took too long"
    text = str(error) or type(error).__name__
    return text.partition("] ")[2] or text  # "[Errno 111] Connection refused"


def _lines(response: httpx2.Response) -> Iterator[str]:
    """Its lines as they come. They end with a newline alone: `iter_lines` also ends them at characters that
    JSON has within texts, such as U+2028 in the name of a class."""
    begun = b""
    for piece in response.iter_bytes():
        *whole, begun = (begun + piece).split(b"\n")
        for line in whole:
            yield line.decode()
    if begun:
        yield begun.decode()


def _encoded(body: Json) -> bytes:
    """Raises `InvalidRequest` for what is no JSON: NaN, bytes that are no text, others' numbers."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"The request cannot be written as JSON: {error}.") from error
