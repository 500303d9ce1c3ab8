"""Every answer that is not a success is a problem document (RFC 9457); `_problem_for` says which error of
the domain becomes which.

`errors` names fields: `in` is the part of the request, `pointer` a JSON pointer (RFC 6901) into it,
`detail` what would be accepted. `request_id` is in the log too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from flask import Flask, Response, current_app, g, json, request
from werkzeug.exceptions import HTTPException

from api.browser import cookies
from api.browser.own_paths import sign_in_path
from api.problems import problem_types
from api.problems.documents import document_of, page_before, page_of, reads_pages
from api.problems.field_errors import ERRORS_SHOWN, Part
from api.problems.problem_types import ProblemType
from services.base.errors import (
    Conflict,
    FieldError,
    Forbidden,
    IdempotencyKeyReused,
    ImagoError,
    Invalid,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from services.search.neighbours import NotIndexed

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
"""After how long it makes sense to ask an absent server again."""
INDEXED_SECONDS = 30
"""About how long a picture that was made elsewhere waits for its embedding where workers are idle."""

_BY_STATUS = {kind.status: kind for kind in reversed(problem_types.PROBLEM_TYPES)}
"""The kind that a status alone tells of: the first of those that have it, which says the least."""


@dataclass(eq=False)
class Problem(Exception):
    """An answer other than success, raised where a view has nothing else to say."""

    kind: ProblemType
    detail: str
    errors: Sequence[Mapping[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, Any] = field(default_factory=dict)
    """Further members of the document (RFC 9457 §3.2)."""


def fields_problem(part: Part, errors: Sequence[FieldError]) -> Problem:
    """`errors` of one part of the request; the first of them are named."""
    named = [
        {"in": part, "pointer": error.pointer, "detail": error.detail} for error in errors[:ERRORS_SHOWN]
    ]
    detail = "; ".join(f"{error['pointer'].lstrip('/') or part}: {error['detail']}" for error in named[:3])
    if len(errors) > 3:
        detail += f"; and {len(errors) - 3} more" if len(errors) <= ERRORS_SHOWN else "; and many more"
    return Problem(problem_types.INVALID, detail, errors=named)


def render_problem(problem: Problem) -> Response:
    """The problem as JSON, or as a page for someone who reads pages."""
    kind = problem.kind
    if kind is problem_types.UNAUTHENTICATED and _may_sign_in():
        return _without_the_cookie_that_ended(_to_the_sign_in_page())
    document = document_of(kind, problem.detail, g.get("request_id")) | dict(problem.members)
    if problem.errors:
        document["errors"] = [dict(error) for error in problem.errors]
    if _reads_pages():
        is_form = request.method not in ("GET", "HEAD")
        back = page_before(request.referrer, request.host) if is_form else None
        wanted = None if is_form else _own_address()
        response = Response(page_of(document, kind.advice, back, wanted), mimetype="text/html")
    else:
        response = Response(json.dumps(document), mimetype=MEDIA_TYPE)
    response.status_code = int(kind.status)
    response.headers["Cache-Control"] = "no-store"
    response.headers.extend(dict(problem.headers))
    return _without_the_cookie_that_ended(response) if kind is problem_types.UNAUTHENTICATED else response


def _may_sign_in() -> bool:
    """Whether this is a person at a browser who looks at something and has sent no key."""
    if request.method not in ("GET", "HEAD") or "Authorization" in request.headers:
        return False
    # A picture or JSON under /v1 that was opened by a link, and not by a script.
    is_opened = request.headers.get("Sec-Fetch-Mode") == "navigate" and request.accept_mimetypes.accept_html
    return _reads_pages() or is_opened


def _own_address() -> str:
    """The path of this request with its query."""
    path = quote(request.path, safe="/:@!$&'()*+,;=~")
    return f"{path}?{request.query_string.decode('latin-1')}" if request.query_string else path


def _to_the_sign_in_page() -> Response:
    response = Response(status=HTTPStatus.SEE_OTHER)
    response.headers["Location"] = sign_in_path(_own_address())
    response.headers["Cache-Control"] = "no-store"
    return response


def _without_the_cookie_that_ended(response: Response) -> Response:
    if g.get("cookie_has_ended"):
        cookies.take_back(response, request.scheme)
    return response


def _reads_pages() -> bool:
    return reads_pages(request.path, request.accept_mimetypes)


def _invalid(error: Invalid) -> Problem:
    """What the services refuse is in the body where there is one, else in the path, where that has a part of
    the name, or in the query.
    """
    if request.method not in ("GET", "HEAD"):
        return fields_problem("body", error.errors)
    in_path = {f"/{name}" for name in request.view_args or {}}
    is_of_path = all(each.pointer in in_path for each in error.errors)
    return fields_problem("path" if is_of_path else "query", error.errors)


def _problem_for(error: ImagoError) -> Problem:
    match error:
        case Invalid():
            return _invalid(error)
        case NotIndexed():
            later = {"Retry-After": str(INDEXED_SECONDS)}
            return Problem(problem_types.NOT_INDEXED, str(error), headers=later)
        case NotFound():
            return Problem(problem_types.NOT_FOUND, str(error))
        case IdempotencyKeyReused():
            # 422, not 409: nothing that the client waits for will make this request possible.
            return fields_problem("header", [FieldError("/Idempotency-Key", str(error))])
        case Conflict():
            return Problem(problem_types.CONFLICT, str(error))
        case Unauthenticated():
            return Problem(
                problem_types.UNAUTHENTICATED,
                str(error),
                headers={"WWW-Authenticate": 'Bearer realm="imago"'},
            )
        case Forbidden():
            return Problem(problem_types.FORBIDDEN, str(error))
        case Unavailable():
            log.warning("service_unavailable", reason=str(error))
            return Problem(
                problem_types.UNAVAILABLE, error.for_anyone, headers={"Retry-After": str(RETRY_SECONDS)}
            )
        case _:
            log.error("domain_error_without_problem_type", error=type(error).__name__, exc_info=error)
            return Problem(problem_types.INTERNAL, "An unexpected error occurred.")


def _from_http(error: HTTPException) -> Response:
    """Errors of routing and parsing: werkzeug raises them itself."""
    status = HTTPStatus(error.code or 500)
    headers = {
        name: value
        for name, value in error.get_headers()
        if name.lower() not in ("content-type", "content-length")
    }
    slug = status.phrase.lower().replace(" ", "-")
    kind = _BY_STATUS.get(status) or ProblemType(slug, status, status.phrase, "See RFC 9110.")
    match status:
        case HTTPStatus.NOT_FOUND:
            detail = f"Nothing is served at {request.path}; /docs lists what is."
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = headers.get("Allow", "nothing")
            detail = f"{request.method} is not possible at {request.path}; allowed: {allowed}."
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            detail = f"The body may have at most {current_app.config['MAX_CONTENT_LENGTH']} bytes."
        case _:
            detail = error.description or status.phrase
    return render_problem(Problem(kind, detail, headers=headers))


def _from_bug(error: Exception) -> Response:
    log.error("request_failed", method=request.method, path=request.path, exc_info=error)
    return render_problem(Problem(problem_types.INTERNAL, "An unexpected error occurred."))


def register(app: Flask) -> None:
    """Answer every error with a problem document."""
    app.register_error_handler(Problem, render_problem)
    app.register_error_handler(ImagoError, lambda error: render_problem(_problem_for(error)))
    app.register_error_handler(HTTPException, _from_http)
    app.register_error_handler(Exception, _from_bug)
