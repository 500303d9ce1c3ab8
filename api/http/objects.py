"""Serve objects of the store: conditional, and streamed or redirected as the settings say.

All bytes that pass through here are checked against the hash that their key names, before the first of them
leaves. What is missing or wrong is noted as lost (`services.pictures.losses`), and nothing else is done about
it here: reading needs no key. What it orders elsewhere is limited in number: sheets and maps by the layers
and versions of public atlases, comparisons by how many may wait.
"""

import io
import os
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Literal
from urllib.parse import quote

import structlog
from flask import Response, request
from werkzeug.http import dump_options_header

from api.context import context
from api.http.caching import FOREVER, MOMENT, Freshness, conditional, is_held_by_client, keep
from api.memory import Memory
from api.problems import problem_types
from api.problems.problems import Problem
from services.base.errors import NotFound, Unavailable
from services.base.storage import Corrupt, sha256_of_key
from services.base.store_errors import WHAT
from services.pictures import losses
from services.pictures.losses import Loss, Reason, Subject

log = structlog.get_logger(__name__)

PRESIGNED_SECONDS = 600
REPAIR_SECONDS = 30
"""After how long it makes sense to ask again for what is lost."""
MEMORY_SECONDS = 3600
"""For how long what never changes is answered from memory."""
_TURN_SECONDS = 1.0
"""How long a request waits for its turn to read from the store; reading one picture takes milliseconds."""
_AT_ONCE = 1024 * 1024
_CHUNK = 64 * 1024


@dataclass(frozen=True)
class StoredObject:
    """Bytes of the store that are to be handed out."""

    key: str
    filename: str
    """What whoever saves it may call it."""
    subject: Subject
    """What points to it."""
    freshness: Freshness = FOREVER
    headers: Mapping[str, str] = field(default_factory=dict)
    part: tuple[int, int] | None = None
    """Where it begins in the object and how many bytes it has, of one of several; None for all of it."""
    media_type: str | None = None
    """Where an operation serves several."""


def object_response(wanted: StoredObject, media_types: Collection[str]) -> Response:
    """The object, or a 304 without asking the store, since its key tells its ETag. A 404 problem if it is
    lost. `media_types`: what the operation serves, one unless the object says its own.
    """
    key, subject, freshness = wanted.key, wanted.subject, wanted.freshness
    media_type = wanted.media_type or next(iter(media_types))
    etag = sha256_of_key(key)
    if wanted.part is not None:
        etag += "-{}-{}".format(*wanted.part)
    # Trainings can be removed with all that they left; pictures stay for ever.
    lasts = freshness.immutable and subject.kind == "visualization"
    if not freshness.is_personal:
        keep(MEMORY_SECONDS if lasts else min(freshness.seconds, MOMENT.seconds))
    if is_held_by_client(etag):
        response = Response()
    elif wanted.part is None and context().settings.image_delivery == "redirect":
        response = _redirected(key, subject)
        response.headers.extend(dict(wanted.headers))
        return response
    else:
        response = _streamed(wanted, media_type)
        name_for_saving(response, "inline", wanted.filename)
    response.headers.extend(dict(wanted.headers))
    return conditional(response, freshness, etag=etag)


def name_for_saving(response: Response, how: Literal["inline", "attachment"], filename: str) -> None:
    """Say what whoever saves the answer may call it. Names hold those of layers, which may have any signs:
    what is not ASCII is said as RFC 6266 has it, beside a plain name (so does `werkzeug.utils.send_file`)."""
    plain = unicodedata.normalize("NFKD", filename).encode("ascii", "ignore").decode()
    said = {"filename": plain}
    if plain != filename:
        said["filename*"] = f"UTF-8''{quote(filename, safe='')}"
    response.headers["Content-Disposition"] = dump_options_header(how, said)


def _redirected(key: str, subject: Subject) -> Response:
    with context().database.session() as session:
        loss = losses.noted_loss(session, subject)
    if loss is not None:
        raise _lost(loss)
    response = Response(status=302)
    response.headers["Location"] = context().store.presigned_get(key, PRESIGNED_SECONDS)
    # The redirect must be forgotten before the address it leads to expires.
    response.headers["Cache-Control"] = f"private, max-age={PRESIGNED_SECONDS // 2}"
    return response


def _streamed(wanted: StoredObject, media_type: str) -> Response:
    file = verified(wanted.key, wanted.subject)
    if wanted.part is not None:
        start, length = wanted.part
        with file:
            file.seek(start)
            return Response(file.read(length), mimetype=media_type)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size <= _AT_ONCE or request.method == "HEAD":
        with file:
            response = Response(file.read(_AT_ONCE), mimetype=media_type)
    else:
        response = Response(_chunks(file), mimetype=media_type)
        response.call_on_close(file.close)
    response.content_length = size
    return response


def verified(key: str, subject: Subject, *, remember: bool = True) -> IO[bytes]:
    """An open file with the object's bytes, which are those that its key names. Raises the 404 problem if the
    object is lost. `remember`: whether somebody may ask for it again soon."""
    memory = context().objects
    held = None if memory is None else memory.get(key)
    if held is not None:
        return io.BytesIO(held)
    try:
        file = _read(key)
        if memory is not None and remember:
            _remember(memory, key, file)
        return file
    except (NotFound, Corrupt) as error:
        reason: Reason = "missing" if isinstance(error, NotFound) else "damaged"
    with context().database.session() as session:
        loss = losses.note(session, subject, key, reason, "read")
    log.error("object_lost", key=key, subject=str(subject), reason=reason)
    raise _lost(loss)


def _read(key: str) -> IO[bytes]:
    """The object from the store. Raises `Unavailable` where too many requests wait for it already."""
    if not context().store_reads.acquire(timeout=_TURN_SECONDS):
        raise Unavailable(WHAT, advice="Many requests wait for it already.")
    try:
        return context().store.verified(key)
    finally:
        context().store_reads.release()


def _remember(memory: Memory[str, bytes], key: str, file: IO[bytes]) -> None:
    """Keep a small object, which has just been checked, so that the store is not asked for it again soon."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size <= _AT_ONCE:
        memory.put(key, file.read(), size)
        file.seek(0)


def _lost(loss: Loss | None) -> Problem:
    if loss is None:
        detail = "The store had lost the bytes; they were replaced a moment ago. Ask again."
        return Problem(problem_types.LOST, detail, headers={"Retry-After": "1"})
    if loss.given_up:
        why = (loss.error or {}).get("message", "no reason is recorded")
        return Problem(
            problem_types.LOST, f"The store has lost the bytes, and they cannot be made again: {why}"
        )
    detail = "The store has lost the bytes. They are made again when their turn comes."
    return Problem(problem_types.LOST, detail, headers={"Retry-After": str(REPAIR_SECONDS)})


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk
