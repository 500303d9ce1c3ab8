"""Protection against forged requests: a page of another origin must not write with a visitor's cookie.

A write with the cookie is carried out only if the browser says that it comes from a page of this origin, and
if it brings the session's forgery token, which only pages of this origin can read: in the form field
`csrf_token` or in the header `X-CSRF-Token`. The token follows from the session's secret, so nothing is kept
for it. Keys in the Authorization header need none of this: no browser sends them by itself.
"""

import base64
import hashlib
import hmac
from urllib.parse import urlsplit

from flask import Request

from api.problems import problem_types
from api.problems.problems import Problem

FIELD = "csrf_token"
"""The field of a form that holds the token."""
HEADER = "X-CSRF-Token"
"""The header of a `fetch` that holds the token."""
_LABEL = b"imago forgery token"
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def token_of(session_token: str) -> str:
    """The forgery token of a session."""
    digest = hmac.digest(session_token.encode(), _LABEL, hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def is_from_here(request: Request) -> bool:
    """Whether the browser says that a write comes from a page of this origin.

    `Sec-Fetch-Site` says it outright; browsers leave it out under plain http but on this machine, and before
    2023. Then it is `Origin`, which all of them send with a POST since 2020; of it only the host is compared,
    since a proxy may not tell the scheme. Who says neither is no browser that pages are made for.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc.lower() == request.host.lower()


def check_origin(request: Request) -> None:
    """Raises the 403 problem for a write that may come from a page of another origin."""
    if not is_from_here(request):
        raise Problem(
            problem_types.CROSS_SITE,
            "The browser does not say that this was sent by a page of this service. Open the page anew and "
            "send it from there; programs send keys as `Authorization: Bearer imago_…`.",
        )


def check(request: Request, session_token: str) -> None:
    """Raises the 403 problem for a write with a session's cookie that may be forged."""
    check_origin(request)
    sent = request.headers.get(HEADER)
    if sent is None and request.mimetype in _FORMS:
        sent = request.form.get(FIELD)
    if sent is None or not hmac.compare_digest(sent.encode(), token_of(session_token).encode()):
        raise Problem(
            problem_types.CROSS_SITE,
            "The forgery token is missing, or that of another session: you may have signed in anew since the "
            f"page was opened. Open it again and send once more. Scripts send the token as {HEADER}.",
        )
