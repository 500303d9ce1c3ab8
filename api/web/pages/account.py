"""Pages of access: signing in with a key, signing out, and what the key has done.

Their forms are sent from these pages alone (`api.browser.forgery`). Signing in, for which there is no session
yet, needs the browser's word that the form is ours, so that nobody is signed in with another one's key
unawares.
"""

from http import HTTPStatus

from flask import Response, current_app, request

from api import auth
from api.auth import principal, requires, session_token, visitor
from api.browser import cookies, forgery
from api.browser.attempts import Attempts
from api.browser.own_paths import own_path
from api.context import context
from api.problems import problem_types
from api.problems.problems import Problem
from api.schemas.atlases import Atlas
from api.schemas.jobs import Job
from api.web.site import blueprint, page, see
from services.access import browser_sessions, keys
from services.access.browser_sessions import BrowserSession
from services.access.keys import Principal
from services.atlases import atlases
from services.base.errors import Forbidden, Unauthenticated
from services.jobs import jobs

SHOWN = 20
_LONGEST_KEY = 200
_ATTEMPTS = "imago.attempts"


@blueprint.get("/signin")
def sign_in_page() -> Response:
    """A form that takes a key."""
    return _sign_in_page(request.args.get("next"))


@blueprint.post("/signin")
def sign_in() -> Response:
    """Begin a session with the key of the form, and go back to where it was needed."""
    forgery.check_origin(request)
    back_to = request.form.get("next")
    attempts, address = _attempts(), request.remote_addr or ""
    if wait := attempts.wait_of(address):
        detail = f"Too many keys were refused. Try again in {wait} s."
        raise Problem(problem_types.TOO_MANY_REQUESTS, detail, headers={"Retry-After": str(wait)})
    try:
        begun = _begin(request.form.get("key", ""))
    except Unauthenticated as error:
        attempts.note_failure(address)
        return _sign_in_page(back_to, refused=str(error))
    attempts.forget(address)
    response = see(own_path(back_to, "/account"))
    cookies.give(response, begun.token, request.scheme, begun.lasts)
    return response


@blueprint.post("/signout")
def sign_out() -> Response:
    """End the session of this browser, or of all others too."""
    who = visitor()
    response = see("/signin")
    token = session_token()
    if who is None or token is None:
        return response  # it has ended already
    with context().database.session() as session:
        browser_sessions.end(session, token)
    cookies.take_back(response, request.scheme)
    return response


@blueprint.post("/account/signout-others")
@requires("authenticated")
def sign_out_elsewhere() -> Response:
    """End all other sessions of the key."""
    with context().database.session() as session:
        browser_sessions.end_others(session, principal().key_id, session_token())
    return see("/account")


@blueprint.get("/account")
@requires("authenticated")
def account_page() -> Response:
    """The key that is signed in, what it has asked for, and for admins all keys."""
    who = visitor()
    assert who is not None
    with context().database.session() as session:
        mine = keys.get_key(session, who.key_id)
        others = keys.list_keys(session) if "admin" in who.scopes else ()
        shown_jobs = jobs.list(session, owner=who.key_id, limit=SHOWN)
        shown_atlases = atlases.list(session, by=who, owner=who.key_id, limit=SHOWN)
        sessions = browser_sessions.count(session, who.key_id)
    return page(
        "account/account.html",
        section="account",
        key=mine,
        keys=[key for key in others if key.id != mine.id],
        is_admin="admin" in who.scopes,
        jobs=[Job.of(job) for job in shown_jobs.data],
        has_more_jobs=shown_jobs.next_cursor is not None,
        atlases=[Atlas.of(atlas) for atlas in shown_atlases.data],
        has_more_atlases=shown_atlases.next_cursor is not None,
        sessions=sessions,
        signed_in=session_token() is not None,
    )


@blueprint.post("/account/keys/<key>/revoke")
@requires("authenticated")
def revoke(key: str) -> Response:
    """Revoke one's own key, or any as an admin."""
    who = principal()
    if key != who.key_id and "admin" not in who.scopes:
        raise Forbidden(f"Only the key itself and keys with the scope 'admin' may revoke {key!r}.")
    with context().database.session() as session:
        keys.revoke_key(session, key)
    if key != who.key_id:
        return see("/account")
    response = see("/signin")
    cookies.take_back(response, request.scheme)
    return response


def _begin(key: str) -> BrowserSession:
    if len(key) > _LONGEST_KEY:
        raise Unauthenticated("This is too long for a key.")
    replaced = _token_of_this_browser()
    with context().database.session() as session:
        begun = browser_sessions.begin(session, key.strip())
        if replaced is not None:
            browser_sessions.end(session, replaced)
    return begun


def _token_of_this_browser() -> str | None:
    return cookies.token(request.headers.get("Cookie"), request.scheme, method="GET")


def _sign_in_page(back_to: str | None, refused: str | None = None) -> Response:
    who: Principal | None = None if request.method == "POST" else visitor()
    response = page(
        "account/signin.html",
        section="account",
        back_to=own_path(back_to, "/account"),
        refused=refused,
        who=who,
        is_plain=request.scheme == "http" and not _is_loopback(request.host),
        public_read=context().settings.public_read,
    )
    if refused is not None:
        response.status_code = HTTPStatus.UNAUTHORIZED
        response.headers["WWW-Authenticate"] = 'Bearer realm="imago"'
    return response


def _is_loopback(host: str) -> bool:
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return name in ("localhost", "[::1]") or name.startswith("127.") or name.endswith(".localhost")


def _attempts() -> Attempts:
    found: Attempts = current_app.extensions.setdefault(_ATTEMPTS, Attempts())
    return found


@blueprint.app_template_global("csrf_token")
def csrf_token() -> str:
    """The forgery token for forms and scripts of the page that is made, empty where nobody is signed in.
    Makes the page the visitor's own."""
    visitor()
    token = session_token()
    return "" if token is None else forgery.token_of(token)


@blueprint.app_template_global("is_known")
def is_known() -> bool:
    """Whether the bar leads to an account, or to signing in; makes the page the visitor's own."""
    return auth.seems_known()


@blueprint.app_template_global("visitor")
def shown_visitor() -> Principal | None:
    """Who is signed in; makes the page the visitor's own."""
    return auth.visitor()
