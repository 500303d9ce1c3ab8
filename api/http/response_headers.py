"""Headers of every response: which pages of other origins may use it, and what a browser must not do with it.

Another origin can read only what it could read by itself: answers to reads without a key are open to all, for
notebooks and dashboards that embed pictures. Pages that send keys or write are let in by name
(`IMAGO_CORS_ORIGINS`). No origin is let in with a visitor's cookie: `Access-Control-Allow-Credentials` is
never sent, an answer to a request with the cookie names no origin at all, and what not everyone may read is
not to be embedded elsewhere (`Cross-Origin-Resource-Policy`) or given to somebody else by a cache (`Vary`).
"""

from flask import Flask, Response, g, request

from api.browser import cookies
from api.context import context
from api.http.caching import KEPT_SECONDS
from services.base.settings import Settings

_EXPOSED = (
    "Accept-Ranges, Age, Content-Range, ETag, Idempotency-Replayed, Link, Location, Retry-After, X-Request-Id"
)
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


def page_headers(settings: Settings) -> dict[str, str]:
    """What every page says of where its reader's browser may go."""
    # With `no-referrer` browsers would send forms with `Origin: null`, as if from somewhere else.
    return {"Referrer-Policy": "same-origin", "Content-Security-Policy": page_policy(settings)}


def allowed_origin(
    settings: Settings, method: str, origin: str | None, *, has_key: bool, by_cookie: bool = False
) -> str | None:
    """What `Access-Control-Allow-Origin` says, None for nothing: the origin itself where a setting names it,
    and `*` for what anyone may read; nothing where the cookie is sent that stands for a key.
    """
    if by_cookie:
        return None
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
        if response.mimetype == "text/html":
            headers.update(page_headers(context().settings))
        else:
            headers["Referrer-Policy"] = "no-referrer"
            headers["Content-Security-Policy"] = _DATA_POLICY
        if g.get("may_be_framed"):
            # The one kind of page that others may frame: a picture with a link, nothing on it acts.
            policy = headers["Content-Security-Policy"]
            headers["Content-Security-Policy"] = policy.replace("frame-ancestors 'none'", "frame-ancestors *")
        _keep_to_its_reader(response)
        _allow_other_origins(response)
        return response

    app.after_request(finish)


def _keep_to_its_reader(response: Response) -> None:
    """See that an answer that not everyone may have is given to nobody else by a cache."""
    cache = response.cache_control
    if g.get("is_personal"):
        request.environ.pop(KEPT_SECONDS, None)
    with_cookie = cookies.is_sent(request.headers.get("Cookie"), request.scheme)
    if not cache.no_store and (g.get("is_personal") or (with_cookie and cache.private)):
        # Asked about before each use: Chromium's cache does not look at `Vary: Cookie`, and would show what
        # was kept to whoever sits there after the visitor has signed out.
        cache.public, cache.max_age, cache.immutable = False, None, False
        cache.private, cache.no_cache = True, True
    if cache.private:
        # A browser keeps answers too, and whoever sits there next may be signed in with another key, or not.
        response.vary.add("Cookie")


def _allow_other_origins(response: Response) -> None:
    settings, headers = context().settings, response.headers
    by_cookie = cookies.is_sent(request.headers.get("Cookie"), request.scheme)
    has_key = "Authorization" in request.headers
    allowed = allowed_origin(
        settings, request.method, request.headers.get("Origin"), has_key=has_key, by_cookie=by_cookie
    )
    if settings.cors_origins or has_key or by_cookie:
        # What was answered to one origin must not be given to another by a cache.
        response.vary.add("Origin")
    if request.method in ("GET", "HEAD"):
        is_open = settings.public_read and (response.cache_control.public or not by_cookie)
        headers["Cross-Origin-Resource-Policy"] = "cross-origin" if is_open else "same-origin"
    if allowed is None:
        return
    headers["Access-Control-Allow-Origin"] = allowed
    headers["Access-Control-Expose-Headers"] = _EXPOSED
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        headers["Access-Control-Allow-Methods"] = headers.get("Allow", "GET, HEAD, OPTIONS")
        headers["Access-Control-Allow-Headers"] = _ACCEPTED
        headers["Access-Control-Max-Age"] = str(_PREFLIGHT_SECONDS)
