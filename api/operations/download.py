"""Downloads: answers too large to be held, of which any part can be asked for (RFC 9110 §14).

They are read while they are sent. Where that fails in the midst, the connection ends before all is there, as
`Content-Length` tells, and the client goes on from what it has.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain

from flask import Response, request

from api.auth import reader
from api.http.caching import Freshness, conditional, is_held_by_client
from api.http.objects import name_for_saving
from api.http.places import Places
from api.problems import problem_types
from api.problems.problems import Problem

DOWNLOADS = "imago.downloads"
"""Where the WSGI environment holds the places for downloads; nothing where the server counts none."""
DOWNLOAD = "imago.download"
"""Where it says that the answer is one."""
BEGUN_BYTES = 64 * 1024
"""Read before anything is sent. Each of many slow clients may have as much in the server's memory."""


@dataclass(frozen=True)
class Download:
    """`size` bytes, which never change under one `etag`. `read` gives those from a first one on up to and
    without another one; it is read outside of the request, in any thread."""

    etag: str
    size: int
    media_type: str
    filename: str
    freshness: Freshness
    read: Callable[[int, int], Iterator[bytes]]


def download_response(wanted: Download) -> Response:
    """All of it, the part that is asked for, or a 304. Raises `Problem` where there is no such part, other
    bytes are meant (`If-Match`) or too many downloads are under way, and what reading its beginning raises.
    """
    if request.if_match and not request.if_match.contains(wanted.etag):
        raise Problem(
            problem_types.CHANGED,
            f'These bytes have the ETag "{wanted.etag}".',
            headers={"ETag": f'"{wanted.etag}"'},
        )
    if is_held_by_client(wanted.etag):
        return conditional(Response(), wanted.freshness, etag=wanted.etag)
    part = _asked_part(wanted)
    first, end = part or (0, wanted.size)
    response = Response(
        status=HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT, mimetype=wanted.media_type
    )
    if request.method == "GET":
        give_back = _take_place()
        try:
            response.response = _begun(wanted.read(first, end))
        except BaseException:
            give_back()
            raise
        response.call_on_close(give_back)
        request.environ[DOWNLOAD] = True
    response.content_length = end - first
    response.headers["Accept-Ranges"] = "bytes"
    name_for_saving(response, "attachment", wanted.filename)
    if part is not None:
        response.headers["Content-Range"] = f"bytes {first}-{end - 1}/{wanted.size}"
    response.headers["Cache-Control"] = wanted.freshness.cache_control
    response.set_etag(wanted.etag)
    return response


def _asked_part(wanted: Download) -> tuple[int, int] | None:
    """Where the part that is asked for begins and ends; None for all. What is no range, is several of them,
    or is about other bytes than these (`If-Range`), asks for all.
    """
    asked = request.range
    if request.method != "GET" or asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        return None
    if request.headers.get("If-Range", f'"{wanted.etag}"') != f'"{wanted.etag}"':
        return None
    first, end = asked.ranges[0]
    if first < 0:  # the last so many
        first = max(first + wanted.size, 0)
    if first >= wanted.size:
        raise Problem(
            problem_types.RANGE_NOT_SATISFIABLE,
            f"There are {wanted.size} bytes.",
            headers={"Content-Range": f"bytes */{wanted.size}"},
        )
    return first, min(end or wanted.size, wanted.size)


def _take_place() -> Callable[[], None]:
    """Count this download; what is returned ends that."""
    places: Places | None = request.environ.get(DOWNLOADS)
    if places is None:
        return lambda: None
    client = reader().key_id or request.remote_addr or ""
    places.take(client)
    return lambda: places.give_back(client)


def _begun(pieces: Iterator[bytes]) -> Iterable[bytes]:
    """The same with its beginning read, so that what is not there is said before anything is sent."""
    begun, size = [], 0
    for piece in pieces:
        begun.append(piece)
        size += len(piece)
        if size >= BEGUN_BYTES:
            break
    return chain(begun, pieces)
