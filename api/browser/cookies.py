"""The cookie of a browser session: its name, its attributes, and which requests it counts for.

`SameSite=Lax` keeps it out of all that pages of other sites ask for by themselves (pictures, `fetch`, forms);
only a link that is followed carries it. Another host of the same domain and another port of the same host are
the same site, so that this does not stop their pages: for what they ask the cookie does not count, by what
browsers say of each request (Fetch Metadata). Browsers older than 2023, and all of them under plain http from
another machine, say nothing. What protects then is in `api.browser.forgery` for writes and in
`api.http.response_headers` for reads.
"""

import re
from datetime import timedelta

from flask import Response
from werkzeug.http import parse_cookie

_PLAIN, _SECURE = "imago_session", "__Host-imago_session"
"""`__Host-` is taken by browsers under https alone, and from this very host alone: no other host of the
domain can put its own in its place."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_OURS = ("same-origin", "none")
"""What browsers say of requests from a page of ours, and from the person (an address that was typed)."""


def name(scheme: str) -> str:
    """What the cookie is called under http or https."""
    return _SECURE if scheme == "https" else _PLAIN


def token(
    header: str | None,
    scheme: str,
    *,
    method: str,
    site: str | None = None,
    mode: str | None = None,
    destination: str | None = None,
) -> str | None:
    """The value of the cookie of a request where it counts, else None.

    `header` is the request's `Cookie`; `site`, `mode` and `destination` are its `Sec-Fetch-Site`, `-Mode` and
    `-Dest`.
    """
    if header is None or not _counts(method, site, mode, destination):
        return None
    # Ours is ASCII; what others have put beside it may be anything, which `parse_cookie` does not take.
    value = parse_cookie(header.encode("ascii", "replace").decode("ascii")).get(name(scheme), "")
    return value if _TOKEN.fullmatch(value) else None


def is_sent(header: str | None, scheme: str) -> bool:
    """Whether the cookie is there, whether it counts or not."""
    return header is not None and name(scheme) in header


def give(response: Response, value: str, scheme: str, lasts: timedelta) -> None:
    """Have the browser keep the cookie."""
    response.set_cookie(
        name(scheme),
        value,
        max_age=lasts,
        path="/",
        secure=scheme == "https",
        httponly=True,
        samesite="Lax",
    )


def take_back(response: Response, scheme: str) -> None:
    """Have the browser forget the cookie."""
    response.delete_cookie(name(scheme), path="/", secure=scheme == "https", httponly=True, samesite="Lax")


def _counts(method: str, site: str | None, mode: str | None, destination: str | None) -> bool:
    if site is None or site in _OURS:
        return True
    # Someone follows a link in a mail, a chat, a paper; a frame is no document of its own.
    return method in ("GET", "HEAD") and mode == "navigate" and destination == "document"
