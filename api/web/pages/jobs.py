"""Jobs and their pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import Response, request
from sqlalchemy.orm import Session

from api.auth import may_submit, principal, reader, requires
from api.context import context
from api.operations.pagination import next_path
from api.schemas.jobs import Job
from api.schemas.visualizations import JobItem
from api.web import choices
from api.web.addresses import ServerAddresses
from api.web.filters import at_place, first_name, named_units
from api.web.site import blueprint, page, see
from api.web.small_pictures import small_among
from services.access.keys import Principal
from services.access.ownership import may_change
from services.atlases.visibility import atlas_row, whole_of
from services.base.errors import Invalid, NotFound
from services.base.states import LIVE_JOBS, JobState
from services.catalog import removal
from services.jobs import jobs
from services.jobs.progress import JobView

PICTURES_A_PAGE, JOBS_A_PAGE = 96, 50
_SHOWN = ("best", "done", "failed", "unreachable", "canceled")


@dataclass
class Recipe:
    """How the pictures of some targets are made."""

    technique: str
    parameters: Mapping[str, Any]
    targets: list[str] = field(default_factory=list)

    def is_of(self, recipe: Mapping[str, Any]) -> bool:
        """Whether it is this one, as requests have it."""
        return (self.technique, self.parameters) == (recipe["technique"], recipe.get("parameters", {}))


@blueprint.get("/jobs")
@requires("read")
def list_of_jobs() -> Response:
    """Jobs, the newest first: in a `state`, those that build an `atlas`, or one's own (`owner=me`)."""
    state, atlas = request.args.get("state"), request.args.get("atlas")
    cursor, owner = request.args.get("cursor"), choices.owner()
    with context().database.session() as session:
        found = jobs.list(
            session,
            cursor=cursor,
            limit=JOBS_A_PAGE,
            state=state,
            atlas_no=None if atlas is None else atlas_row(session, atlas, reader()).no,
            owner=None if owner is None else owner.key_id,
        )
        shown = [Job.of(job) for job in found.data]
    address = ServerAddresses()
    return page(
        "jobs/jobs.html",
        section="jobs",
        jobs=shown,
        chosen=state,
        of_atlas=atlas,
        owner=owner,
        choices=choices.states(
            JobState,
            state,
            lambda value: address.page("jobs", state=value, atlas=atlas, owner=choices.ME if owner else None),
        ),
        is_later_page=cursor is not None,
        next=next_path(found.next_cursor) if found.next_cursor else None,
    )


@blueprint.get("/jobs/<job>")
@requires("read")
def job_gallery(job: str) -> Response:
    """A job: what was asked for, how far it is, what may be done with it, and its pictures as they come."""
    cursor, chosen = request.args.get("cursor"), request.args.get("show")
    if chosen not in (None, *_SHOWN):
        raise Invalid.field("/show", f"must be one of {', '.join(_SHOWN)}; got {chosen!r}")
    with context().database.session() as session:
        found = jobs.get(session, job, by=reader())
        items = jobs.items(
            session,
            job,
            cursor=cursor,
            limit=PICTURES_A_PAGE,
            best=True if chosen == "best" else None,
            state=None if chosen == "best" else chosen,
            by=reader(),
        )
        atlas = whole_of(session, found.atlas_no)
        small = small_among(session, [item.digest for item in items.data])
    address = ServerAddresses()
    return page(
        "jobs/job.html",
        section="jobs",
        job=Job.of(found),
        items=[(item.ordinal, JobItem.of(item)) for item in items.data],
        only=_only(items.data, found.units.total),
        small=small,
        candidates=found.request.get("candidates", 1),
        recipes=_recipes(found),
        atlas=atlas,
        finished=found.ended,
        actions=_offered(found),
        may_remove=found.ended and _may_change(found),
        chosen=chosen,
        choices=[
            (said, address.job(job, show=value), value == chosen) for said, value in _choices(found, chosen)
        ],
        is_later_page=cursor is not None,
        next=address.job(job, show=chosen, cursor=items.next_cursor) if items.next_cursor else None,
    )


@blueprint.post("/jobs/<job>/<action>")
@requires("jobs:write")
def change_job(job: str, action: str) -> Response:
    """Do what a button of the job's page says, and show the page again."""
    act = _ACTIONS.get(action)
    if act is None:
        raise NotFound("action", action, f"There are: {', '.join(_ACTIONS)}.")
    with context().database.session() as session:
        view = act(session, job, principal())
    if view is not None and not view.ended:
        context().doorbell.ring(view.lane)
    address = ServerAddresses()
    return see(address.page("jobs") if view is None else address.job(job))


def _cancel(session: Session, id: str, by: Principal) -> JobView | None:
    return jobs.cancel(session, id, by=by)


def _retry(session: Session, id: str, by: Principal) -> JobView | None:
    return jobs.retry(session, id, by=by)


def _delete(session: Session, id: str, by: Principal) -> JobView | None:
    removal.remove_job(session, id, by=by)
    return None


_ACTIONS: Mapping[str, Callable[[Session, str, Principal], JobView | None]] = {
    "cancel": _cancel,
    "retry": _retry,
    "delete": _delete,
}


def _may_change(found: JobView) -> bool:
    """Whether buttons are for who looks; the parts of an atlas are changed with that alone."""
    return found.atlas_no is None and may_submit(reader()) and may_change(found.owner_key_id, reader())


def _offered(found: JobView) -> list[tuple[str, str]]:
    """What makes sense now: pairs of an action and what its button says."""
    if not _may_change(found):
        return []
    offered = [("cancel", "Cancel")] if found.state in LIVE_JOBS else []
    again = found.units.failed + found.units.canceled
    if again and found.state != JobState.CANCELING:
        offered.append(("retry", f"Try {again} again"))
    return offered


def _choices(found: JobView, chosen: str | None) -> list[tuple[str, str | None]]:
    """Views of the pictures that show something: pairs of a name and the parameter `show`."""
    units = found.units
    choices: list[tuple[str, str | None]] = [(f"all {units.total}", None)]
    if found.request.get("candidates", 1) > 1:
        choices.append(("the best alone" if found.ended else "the best so far", "best"))
    for state in ("done", "failed", "unreachable", "canceled"):
        there = getattr(units, state)
        if 0 < there < units.total or chosen == state:
            choices.append((f"{there} {state}", state))
    return choices if len(choices) > 1 else []


def _only(items: Sequence[jobs.JobItem], total: int) -> str | None:
    """What the unit is called that all `total` pictures of a job are of; None where they are of several, or
    not all among `items`."""
    if len(items) != total or len({(item.layer, item.unit) for item in items}) != 1:
        return None
    return first_name(items[0].label) if items[0].label else f"{items[0].layer}/{items[0].unit}"


def _recipes(found: JobView) -> list[Recipe]:
    """How its pictures are made: one recipe, with the targets that share it, after the other."""
    asked = found.request["recipe"]
    recipes: list[Recipe] = []
    for target in found.request["targets"]:
        recipe = target.get("recipe") or asked
        same = next((known for known in recipes if known.is_of(recipe)), None)
        if same is None:
            same = Recipe(recipe["technique"], recipe.get("parameters", {}))
            recipes.append(same)
        same.targets.append(f"{target['layer']}/{named_units(target['units'])}{at_place(target)}")
    return recipes
