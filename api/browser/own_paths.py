"""Paths of this service that a sign-in may lead back to: no redirect leaves the origin."""

import re
from urllib.parse import quote, urlsplit

_LONGEST = 2000
# A browser takes `//host`, `/\host` and, since it drops tabs and line ends, `/<tab>/host` for another host.
_OWN = re.compile(r"/(?![/\\])[^\x00-\x20\x7f\\]*")


def own_path(text: str | None, otherwise: str = "/") -> str:
    """The path with its query if it is one of this origin, else `otherwise`."""
    if text is None or len(text) > _LONGEST or not _OWN.fullmatch(text):
        return otherwise
    try:
        parts = urlsplit(text)
    except ValueError:
        return otherwise
    return otherwise if parts.scheme or parts.netloc else text


def sign_in_path(back_to: str) -> str:
    """The sign-in page, which leads back to this path."""
    return f"/signin?next={quote(back_to, safe='/')}"
