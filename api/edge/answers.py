"""The cache of whole answers: those whose view has said for how long they may be kept (`caching.keep`).

An answer is kept under the address that was asked for and the origin that may read it; who asks is checked
before (`edge.trust`), each time.
"""

import re
import time
from dataclasses import dataclass

from api.browser import cookies
from api.edge.bridge import Answer, Scope
from api.http.caching import KEPT_SECONDS
from api.http.response_headers import allowed_origin
from api.memory import Memory
from services.base.settings import Settings

_OVERHEAD = 2048
"""Bytes that an answer takes beside its body, roughly."""
_OF_THE_BODY = (b"content-length", b"content-type")
_OF_THE_REQUEST = (b"x-request-id",)
_NEVER = re.compile(rb"q=0(\.0*)?")
_BY_COOKIE = "by cookie"
"""In the place of an origin, which it is none."""

Name = tuple[bytes, bytes, str | None]
"""Path, query, and the origin for which the headers are."""


@dataclass(frozen=True)
class Kept:
    """An answer with status 200. `route` is the rule that it was made by."""

    route: str
    headers: list[tuple[bytes, bytes]]
    unchanged_headers: list[tuple[bytes, bytes]]
    """Those of a 304."""
    etag: bytes
    body: bytes
    made_at: float
    until: float

    @property
    def age(self) -> int:
        """Seconds since it was made."""
        return int(time.monotonic() - self.made_at)

    def is_held_by(self, if_none_match: bytes | None) -> bool:
        """Whether the client has it already (RFC 9110 §13.1.2, compared weakly)."""
        if if_none_match is None:
            return False
        offered = {tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b",")}
        return self.etag in offered or b"*" in offered


class Answers:
    """The answers that a process keeps, in `settings.read_memory_mib`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._memory = Memory[Name, Kept](settings.read_memory_mib << 20)

    def name_of(self, scope: Scope, headers: dict[bytes, bytes]) -> Name | None:
        """Under which name the answer to this request is kept; None if none can be."""
        if scope["method"] not in ("GET", "HEAD") or not _takes_anything(headers.get(b"accept", b"*/*")):
            return None
        if b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0":
            return None  # it has not arrived whole, and nobody is to wait for it
        origin, cookie = headers.get(b"origin"), headers.get(b"cookie", b"").decode("latin-1")
        by_cookie = cookies.is_sent(cookie, scope.get("scheme", "http"))
        allowed = allowed_origin(
            self._settings,
            scope["method"],
            None if origin is None else origin.decode("latin-1"),
            has_key=b"authorization" in headers,
            by_cookie=by_cookie,
        )
        # Apart from those of keys, which may be kept for longer.
        return scope["raw_path"], scope["query_string"], _BY_COOKIE if by_cookie else allowed

    def find(self, name: Name) -> Kept | None:
        """The answer of this name, None if there is none or it is too old."""
        kept = self._memory.get(name)
        return None if kept is None or kept.until < time.monotonic() else kept

    def was_kept(self, name: Name) -> bool:
        """Whether its answer was one to keep, though it may be too old by now."""
        return self._memory.get(name) is not None

    def keep(self, name: Name, method: str, answer: Answer) -> None:
        """Keep what Flask has answered, if its view says that it may be."""
        seconds = answer.environ.get(KEPT_SECONDS)
        if not seconds or method != "GET" or answer.status != 200 or answer.rest is not None:
            return
        named = dict(answer.headers)
        if b"etag" not in named or b"set-cookie" in named:
            return
        now = time.monotonic()
        headers = [header for header in answer.headers if header[0] not in _OF_THE_REQUEST]
        rule = answer.environ.get("werkzeug.request")
        kept = Kept(
            _rule_of(rule),
            headers,
            [header for header in headers if header[0] not in _OF_THE_BODY],
            named[b"etag"],
            answer.body,
            now,
            now + seconds,
        )
        self._memory.put(name, kept, len(answer.body) + _OVERHEAD)

    def clear(self) -> None:
        """Forget all answers."""
        self._memory.clear()


def _takes_anything(accept: bytes) -> bool:
    """Whether any media type will do: else Flask looks whether the one that is served does."""
    ranges = [[part.strip() for part in one.split(b";")] for one in accept.split(b",")]
    return any(one[0] == b"*/*" and not any(map(_NEVER.fullmatch, one[1:])) for one in ranges)


def _rule_of(request: object) -> str:
    rule = getattr(request, "url_rule", None)
    return "(none)" if rule is None else str(rule.rule)
