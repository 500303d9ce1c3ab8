"""Pages for people: server-rendered, no scripts. They show what the API shows, by the same models."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, make_response, render_template, request
from markupsafe import Markup

from api.auth import reader, requires
from api.context import context
from api.operations.pagination import next_path
from api.problems.problem_types import PROBLEM_TYPES
from api.schemas.jobs import Job, Progress
from api.schemas.networks import Network
from api.schemas.visualizations import JobItem
from services.base.states import State
from services.catalog.networks import list_networks
from services.jobs import jobs

_ABOUT = 1.7
"""Bounds that are no further apart are one figure to people."""
_LONGEST_UNITS = 60
_UNITS = (("s", 1, 100), ("min", 60, 100 * 60), ("h", 3600, 48 * 3600))

blueprint = Blueprint(
    "pages", __name__, template_folder="templates", static_folder="static", static_url_path="/static"
)

PICTURES_A_PAGE = 120
JOBS_AT_HOME = 10


def home() -> Response:
    """The networks, the latest jobs, and how to submit one. Without the lists where reading needs a key."""
    networks: list[Network] = []
    recent: list[Job] = []
    public = context().settings.public_read
    if public:
        with context().database.session() as session:
            networks = [
                Network.of(network, with_labels=False) for network in list_networks(session, limit=100).data
            ]
            recent = [Job.of(job) for job in jobs.list(session, limit=JOBS_AT_HOME).data]
    return _page(
        "home.html", networks=networks, jobs=recent, public=public, origin=request.host_url.rstrip("/")
    )


@blueprint.get("/jobs/<job>")
@requires("read")
def job_gallery(job: str) -> Response:
    """A job's pictures, as they come."""
    cursor, only_best = request.args.get("cursor"), request.args.get("best") == "true"
    with context().database.session() as session:
        found = jobs.get(session, job, by=reader())
        best = True if only_best else None
        page = jobs.items(session, job, cursor=cursor, limit=PICTURES_A_PAGE, best=best, by=reader())
    return _page(
        "job.html",
        job=Job.of(found),
        items=[JobItem.of(item) for item in page.data],
        candidates=found.request.get("candidates", 1),
        only_best=only_best,
        finished=found.ended,
        next=next_path(page.next_cursor) if page.next_cursor else None,
    )


def reference(document: dict[str, Any]) -> Response:
    """The contract in short, operations by tag."""
    groups = []
    for tag in document["tags"]:
        operations = [
            {**operation, "path": path, "method": method.upper()}
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if tag["name"] in operation["tags"]
        ]
        groups.append((tag, operations))
    return make_response(
        render_template("docs.html", document=document, groups=groups, problem_types=PROBLEM_TYPES)
    )


@blueprint.app_template_filter("with_code")
def with_code(text: str) -> Markup:
    """What the contract sets between backticks, as code."""
    pieces = re.split(r"`([^`]+)`", text)
    return Markup().join(
        Markup("<code>{}</code>").format(piece) if number % 2 else piece
        for number, piece in enumerate(pieces)
    )


@blueprint.app_template_filter("explained")
def explained(item: JobItem) -> str:
    """Why there is no picture, in few words."""
    match item.state:
        case State.FAILED:
            return item.error.message if item.error else "failed"
        case State.UNREACHABLE:
            return "unreachable: nothing that is done to a picture moves this unit"
        case State.LEASED:
            return "being computed"
        case State.QUEUED:
            return "waiting"
        case _:
            return str(item.state)


@blueprint.app_template_filter("at_place")
def at_place(shown: Any) -> str:
    """The place of a target or an item as targets are written, `@3,5` or `@7`; nothing for the usual one."""
    position, token = (
        (shown.get("position"), shown.get("token"))
        if isinstance(shown, Mapping)
        else (shown.position, shown.token)
    )
    if position is not None:
        return f"@{position[0]},{position[1]}"
    return "" if token is None else f"@{token}"


@blueprint.app_template_filter("named_units")
def named_units(units: str | Sequence[int]) -> str:
    """Units as a target has them, in short."""
    text = units if isinstance(units, str) else ",".join(map(str, units))
    return text if len(text) <= _LONGEST_UNITS else f"{text[:_LONGEST_UNITS]}…"


@blueprint.app_template_filter("duration")
def duration(seconds: float) -> str:
    """As people say it: 45 s, 12 min, 3 h 20 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


@blueprint.app_template_filter("time_left")
def time_left(progress: Progress) -> str:
    """What is known of the time to the end: `about 4 min`, or `4 to 12 min` where it is not known well."""
    likely, between = progress.eta_seconds or 0.0, progress.eta_range
    low, high = (between.low, between.high) if between else (likely, likely)
    if high <= _ABOUT * low or round(high) <= 1:
        return f"about {duration(likely)}"
    unit, size = next(((unit, size) for unit, size, most in _UNITS if high < most), ("days", 86_400))
    least, most = int(low / size), math.ceil(high / size)
    return f"{least} to {most} {unit}" if least else f"up to {most} {unit}"


def _page(template: str, **shown: object) -> Response:
    response = make_response(render_template(template, **shown))
    response.headers["Cache-Control"] = "no-store"
    return response
