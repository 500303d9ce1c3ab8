"""Headers of every response: which pages of other origins may use it, and what a browser must not do with it.

No cookies are used anywhere, so another origin can read only what it could read by itself: answers to reads
without a key are open to all, for notebooks and dashboards that embed pictures. Pages that send keys or write
are let in by name (`IMAGO_CORS_ORIGINS`).
"""

from flask import Flask, Response, g, request

from api.context import context
from services.base.settings import Settings

_EXPOSED = "Age, ETag, Idempotency-Replayed, Link, Location, Retry-After, X-Request-Id"
_ACCEPTED = "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, X-Request-Id"
_PREFLIGHT_SECONDS = 600
_DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"


def page_policy(settings: Settings) -> str:
    """What a page may load: one stylesheet and modules of our own, pictures of ours, nothing inline.

    `blob:` is a photograph that somebody has dropped on the page. Pictures come from elsewhere only where
    they are redirected to the store.
    """
    elsewhere = " https: http:" if settings.image_delivery == "redirect" else ""
    return (
        f"default-src 'none'; img-src 'self' blob:{elsewhere}; style-src 'self'; script-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def allowed_origin(settings: Settings, method: str, origin: str | None, *, has_key: bool) -> str | None:
    """What `Access-Control-Allow-Origin` says, None for nothing: the origin itself where a setting names it,
    and `*` for what anyone may read.
    """
    if origin is not None and origin in settings.cors_origins:
        return origin
    if method in ("GET", "HEAD") and (origin is None or not has_key):
        return "*"
    return None


def register(app: Flask) -> None:
    """Add these headers to every response."""

    def finish(response: Response) -> Response:
        headers = response.headers
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        headers["Content-Security-Policy"] = (
            page_policy(context().settings) if response.mimetype == "text/html" else _DATA_POLICY
        )
        if g.get("may_be_framed"):
            # The one kind of page that others may frame: a picture with a link, nothing on it acts.
            policy = headers["Content-Security-Policy"]
            headers["Content-Security-Policy"] = policy.replace("frame-ancestors 'none'", "frame-ancestors *")
        _allow_other_origins(response)
        return response

    app.after_request(finish)


def _allow_other_origins(response: Response) -> None:
    settings, headers = context().settings, response.headers
    has_key = "Authorization" in request.headers
    allowed = allowed_origin(settings, request.method, request.headers.get("Origin"), has_key=has_key)
    if settings.cors_origins or has_key:
        # What was answered to one origin must not be given to another by a cache.
        response.vary.add("Origin")
    if request.method in ("GET", "HEAD"):
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    if allowed is None:
        return
    headers["Access-Control-Allow-Origin"] = allowed
    headers["Access-Control-Expose-Headers"] = _EXPOSED
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        headers["Access-Control-Allow-Methods"] = headers.get("Allow", "GET, HEAD, OPTIONS")
        headers["Access-Control-Allow-Headers"] = _ACCEPTED
        headers["Access-Control-Max-Age"] = str(_PREFLIGHT_SECONDS)
