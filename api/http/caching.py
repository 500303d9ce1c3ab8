"""Conditional answers: strong ETags, `If-None-Match` → 304, and how long an answer may be kept."""

import hashlib
from dataclasses import dataclass

from flask import Response, request

from api.context import context

KEPT_SECONDS = "imago.kept_seconds"
"""Where the WSGI environment says for how long the server may give the same answer again from memory."""

_IF_MATCH = "HTTP_IF_MATCH"


@dataclass(frozen=True)
class Freshness:
    """How long an answer may be used without asking again."""

    seconds: int
    immutable: bool = False
    from_memory: bool = False
    """Whether the server may give the same answer again from memory for so long, see `keep`."""
    is_personal: bool = False
    """Whether it depends on who asks."""
    is_secret: bool = False
    """Whether no cache may keep it, not even the client's own."""

    @property
    def cache_control(self) -> str:
        """The header of that name."""
        if self.is_secret:
            return "no-store"
        # Where reading needs a key, a shared cache must not hand the answer to someone without one.
        is_for_all = context().settings.public_read and not self.is_personal
        audience = "public" if is_for_all else "private"
        if self.seconds == 0:
            return f"{audience}, no-cache"
        return f"{audience}, max-age={self.seconds}" + (", immutable" if self.immutable else "")


REVALIDATE = Freshness(0)
"""May be kept, must be asked about before each use: most resources change while jobs run."""
PERSONAL = Freshness(0, is_personal=True)
"""As `REVALIDATE`, for what not every reader may see."""
MOMENT = Freshness(2, from_memory=True)
"""Changes while jobs run, and is read so often that it may be two seconds old."""
BRIEF = Freshness(60)
"""Changes now and then and nobody minds a minute: catalogs, the best picture of a unit."""
BRIEF_PERSONAL = Freshness(60, is_personal=True)
"""The same for what not every reader may see."""
BRIEF_FROM_MEMORY = Freshness(60, from_memory=True)
"""The same for what all readers see alike."""
FOREVER = Freshness(31_536_000, immutable=True)
"""Named by a digest of what determines it."""
SECRET = Freshness(0, is_secret=True)
"""Keys, who asks, and streams of events."""


def keep(seconds: float) -> None:
    """Let the server give the answer to this request again from memory for so long, to whoever may read it.

    Only an answer that is the same for all readers, and that stays true for so long unless something is lost
    by the store or made again: the server notices that within two seconds.
    """
    request.environ[KEPT_SECONDS] = seconds


def conditional(response: Response, freshness: Freshness, *, etag: str | None = None) -> Response:
    """Give the response an ETag (of its bytes, unless named), and make it a 304 if the client has it already;
    neither where it is secret.
    """
    response.headers["Cache-Control"] = freshness.cache_control
    if freshness.is_secret:
        return response
    if freshness.from_memory:
        keep(freshness.seconds)
    response.set_etag(etag or hashlib.sha256(response.get_data()).hexdigest()[:32])
    # Reads that are to fail where something has changed are offered of downloads alone, which go on from
    # parts: `If-Match` says nothing here, as it says nothing where the server answers from memory.
    response.make_conditional({name: held for name, held in request.environ.items() if name != _IF_MATCH})
    return response


def is_held_by_client(etag: str) -> bool:
    """Whether the answer will be a 304, so that its bytes need not be fetched. Compared weakly, as RFC 9110
    §13.1.2 says: a proxy that compresses makes a weak one of it."""
    return request.if_none_match.contains_weak(etag)
