"""Answers to requests that are refused before they reach Flask, written to the connection as a whole: a page
for a browser at a page, else a problem document."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from api.problems.documents import document_of, page_before, reads_pages
from api.problems.problem_types import ProblemType

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Asked:
    """What is known of a request when it is refused: its target as far as it is kept, and the headers that
    have arrived, their names in lower case. `is_head`: it wants no body (RFC 9110 §9.3.2)."""

    target: bytes
    headers: Sequence[tuple[bytes, bytes]]
    is_head: bool

    @property
    def reads_pages(self) -> bool:
        """Whether it is a browser's, at a page."""
        path = self.target.partition(b"?")[0].decode("latin-1")
        return reads_pages(path, parse_accept_header(self._header(b"accept"), MIMEAccept))

    @property
    def page_before(self) -> str | None:
        """The page that it came from."""
        return page_before(self._header(b"referer"), self._header(b"host"))

    def _header(self, wanted: bytes) -> str:
        return next((value.decode("latin-1") for name, value in self.headers if name == wanted), "")


PageMaker = Callable[[ProblemType, dict[str, Any], str | None], tuple[str, Headers]]
"""Makes the page of a problem, from its kind, its document and the page before: HTML, and its headers."""


def refusal(kind: ProblemType, detail: str, request_id: str, asked: Asked, make_page: PageMaker) -> bytes:
    """The whole HTTP answer; it says that the connection ends."""
    document = document_of(kind, detail, request_id)
    media_type, text = "application/problem+json", json.dumps(document)
    own: Headers = ()
    if asked.reads_pages:
        text, own = make_page(kind, document, asked.page_before)
        media_type = "text/html; charset=utf-8"
    body = text.encode()
    retry = [("Retry-After", "5")] if kind.status == 503 else []
    headers = [
        ("Content-Type", media_type),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Request-Id", request_id),
        ("Connection", "close"),
        *retry,
        *own,
    ]
    head = [
        f"HTTP/1.1 {int(kind.status)} {kind.status.phrase}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + (b"" if asked.is_head else body)
