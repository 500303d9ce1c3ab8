"""Who asks and whether they may: `Authorization: Bearer imago_…`, or the cookie of a browser that is signed
in (`api.browser`), checked before anything else of the request is read.

An operation declares its scope, a page does with `requires`; a view that declares none needs none (health,
the discovery document). `create_app` refuses to start if a view under /v1 has forgotten to declare.
"""

from collections.abc import Callable
from typing import Literal, TypeVar

from flask import Flask, current_app, g, request

from api.browser import cookies, forgery
from api.context import context
from services.access import browser_sessions, keys
from services.access.keys import Principal
from services.atlases.visibility import ANYONE
from services.base.errors import Forbidden, Unauthenticated
from services.base.settings import Settings

Scope = Literal["authenticated", "read", "jobs:write", "admin"]
"""What a view needs; `authenticated` is any valid key."""
View = TypeVar("View", bound=Callable[..., object])

_ATTRIBUTE = "imago_scope"
PRINCIPAL = "imago.principal"
"""Where the WSGI environment holds who asks, for the server around the application."""
SECURITY_SCHEME = "key"
_READING = ("GET", "HEAD", "OPTIONS")


def requires(scope: Scope) -> Callable[[View], View]:
    """Declare the scope that a view needs. Goes below a route's decorator."""

    def declare(view: View) -> View:
        setattr(view, _ATTRIBUTE, scope)
        return view

    return declare


def scope_of(view: Callable[..., object]) -> Scope | None:
    """The scope that a view declares, None for one that needs none."""
    return getattr(view, _ATTRIBUTE, None)


def principal() -> Principal:
    """Who asks. Only in views whose scope needs a key."""
    who: Principal = g.principal
    return who


def reader() -> Principal:
    """Who asks, also where reading needs no key."""
    return g.principal or ANYONE


def visitor() -> Principal | None:
    """Who asks, None for someone without a key. The answer is for them alone from then on, whatever its view
    says of how long it may be kept: for pages that show who is signed in, or what only some may do."""
    g.is_personal = True
    return (
        _known_by_cookie() if g.principal is None and "Authorization" not in request.headers else g.principal
    )


def seems_known() -> bool:
    """Whether whoever asks has a key. Where nobody has looked whose it is, the cookie of a session is enough,
    which may have ended: no database is asked, so that pages of errors may say it too. The answer is for them
    alone from then on."""
    g.is_personal = True
    if g.get("principal") is not None:
        return True
    return not g.get("cookie_was_read") and cookies.is_sent(request.headers.get("Cookie"), request.scheme)


def session_token() -> str | None:
    """The value of the cookie that stands for a key in this request, None where none does."""
    token: str | None = g.get("session_token")
    return token


def may_read(who: Principal | None, settings: Settings) -> bool:
    """Whether `who`, None for someone without a key, may read what needs the scope `read`."""
    return settings.public_read or (who is not None and not who.scopes.isdisjoint({"read", "admin"}))


def may_submit(who: Principal) -> bool:
    """Whether `who` may submit work, and change what is their own."""
    return not who.scopes.isdisjoint({"jobs:write", "admin"})


def _check() -> None:
    g.principal = None
    if request.method == "OPTIONS":
        # Answered by the routing table alone; browsers send it without a key.
        return
    view = current_app.view_functions.get(request.endpoint or "")
    scope = scope_of(view) if view else None
    # A key that is sent is checked even where none is needed: a typing error in it must not go unnoticed.
    if "Authorization" in request.headers and scope is not None:
        _is_known(_authenticate())
    elif scope is not None:
        _known_by_cookie()
    if scope is None or (scope == "read" and may_read(g.principal, context().settings)):
        return
    if g.principal is None:
        needed = "a key" if scope == "authenticated" else f"a key with the scope {scope!r}"
        raise Unauthenticated(f"This needs {needed}: send `Authorization: Bearer imago_…`.")
    if scope == "authenticated":
        return
    if scope not in g.principal.scopes and "admin" not in g.principal.scopes:
        held = ", ".join(sorted(g.principal.scopes)) or "none"
        raise Forbidden(f"This needs the scope {scope!r}; the key {g.principal.name!r} has: {held}.")


def _authenticate() -> Principal:
    authorization = request.authorization
    if authorization is None or authorization.type != "bearer" or not authorization.token:
        raise Unauthenticated("The Authorization header must be `Bearer` followed by a key.")
    with context().database.session() as session:
        return keys.authenticate(session, authorization.token)


def _known_by_cookie() -> Principal | None:
    """Who is signed in, if anyone is. A cookie whose session has ended is as good as none: it was not typed.
    Raises the 403 problem for a write that may be forged."""
    if g.get("cookie_was_read"):
        known: Principal | None = g.principal
        return known
    g.cookie_was_read = True
    headers = request.headers
    token = cookies.token(
        headers.get("Cookie"),
        request.scheme,
        method=request.method,
        site=headers.get("Sec-Fetch-Site"),
        mode=headers.get("Sec-Fetch-Mode"),
        destination=headers.get("Sec-Fetch-Dest"),
    )
    if token is None:
        return None
    try:
        with context().database.session() as session:
            principal = browser_sessions.authenticate(session, token)
    except Unauthenticated:
        g.cookie_has_ended = True
        return None
    g.session_token = token
    _is_known(principal)
    if request.method not in _READING:
        forgery.check(request, token)
    return principal


def _is_known(principal: Principal) -> None:
    g.principal = principal
    g.key_id = principal.key_id
    request.environ[PRINCIPAL] = principal


def register(app: Flask) -> None:
    """Check the key of every request."""
    app.before_request(_check)


def assert_every_resource_declares(app: Flask) -> None:
    """Fail at start rather than serve a resource to everyone because a line was forgotten."""
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/v1") and scope_of(app.view_functions[rule.endpoint]) is None:
            raise AssertionError(f"{rule.rule} declares no scope: make {rule.endpoint} an operation")
