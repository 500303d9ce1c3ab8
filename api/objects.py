"""Bytes from the object store: conditional, and streamed or redirected as the settings say."""

import structlog
from flask import Response, request

from api import problem_types
from api.caching import Freshness, conditional, is_held_by_client
from api.context import context
from api.problems import Problem
from services.errors import NotFound
from services.storage import sha256_of_key

log = structlog.get_logger(__name__)

PRESIGNED_SECONDS = 600


def object_response(key: str, media_type: str, filename: str, freshness: Freshness) -> Response:
    """The object, or a 304 without asking the store, since its key tells its ETag."""
    etag = sha256_of_key(key)
    if is_held_by_client(etag):
        response = Response()
    elif context().settings.image_delivery == "redirect":
        return _redirected(key)
    else:
        response = _streamed(key, media_type)
        response.headers["Content-Disposition"] = f'inline; filename="{filename}"'
    return conditional(response, freshness, etag=etag)


def _redirected(key: str) -> Response:
    response = Response(status=302)
    response.headers["Location"] = context().store.presigned_get(key, PRESIGNED_SECONDS)
    # The redirect must be forgotten before the address it leads to expires.
    response.headers["Cache-Control"] = f"private, max-age={PRESIGNED_SECONDS // 2}"
    return response


def _streamed(key: str, media_type: str) -> Response:
    store = context().store
    try:
        if request.method == "HEAD":
            response = Response(mimetype=media_type)
            response.content_length = store.head(key).size
            return response
        stream = store.stream(key)
    except NotFound:
        # An object is stored before a row points to it and never removed while one does.
        log.exception("object_missing", key=key)
        raise Problem(
            problem_types.INTERNAL, "The picture was made, but its object is missing in the store."
        ) from None
    response = Response(iter(stream), mimetype=media_type)
    response.content_length = stream.head.size
    response.call_on_close(stream.close)
    return response
