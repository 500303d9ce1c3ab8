"""What a problem says, as a document for programs and as a page for people, and who gets which."""

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from flask import render_template
from werkzeug.datastructures import MIMEAccept

from api.browser.own_paths import own_path
from api.problems.problem_types import ProblemType


def reads_pages(path: str, accept: MIMEAccept) -> bool:
    """Whether this is a browser at a page: programs get JSON everywhere, and what is under /v1 is for
    programs.
    """
    if path.startswith("/v1/") or path == "/v1":
        return False
    return accept.best_match(["application/json", "text/html"]) == "text/html"


def document_of(kind: ProblemType, detail: str, request_id: str | None) -> dict[str, Any]:
    """The members that every problem has (RFC 9457)."""
    return {
        "type": kind.uri,
        "title": kind.title,
        "status": int(kind.status),
        "detail": detail,
        "request_id": request_id,
    }


def page_of(document: dict[str, Any], advice: str, back: str | None, wanted: str | None = None) -> str:
    """The problem as a page: what happened, and what can be done. `back`: the page that it came from;
    `wanted`: what was asked for, where asking again does no more than show it."""
    return render_template("problem.html", problem=document, advice=advice, back=back, wanted=wanted)


def page_before(referrer: str | None, host: str) -> str | None:
    """The page of this host that a request came from, where the browser tells."""
    try:
        parts = urlsplit(referrer or "")
    except ValueError:
        return None
    if not host or parts.netloc != host:
        return None
    return own_path(urlunsplit(("", "", parts.path or "/", parts.query, "")))
