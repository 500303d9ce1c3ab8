"""`imago submit`, `job`, `jobs`, `cancel`, `retry`."""

import functools
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from imago.cli.atlas_watching import show_or_watch
from imago.cli.descriptions import described
from imago.cli.durations import duration, moment
from imago.cli.named_values import named_value
from imago.cli.numbers import counted
from imago.cli.pending import wait_until_inspected
from imago.cli.session import JsonFlag, Limit, Session, session_of, state_style
from imago.cli.watching import show_failures, status_line, watch
from imago.errors import Conflict, FieldError, InvalidRequest
from imago.jobs import Job
from imago.targets import Target, expand_units, parse_target, parse_units


class Lane(StrEnum):
    """The two lanes of the queue."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


Watch = Annotated[
    bool, typer.Option("--watch", "-w", help="Show progress until the job ends. Ctrl-C detaches.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        file_okay=False,
        help="Watch, and write pictures here as they come; of candidates, the best when all are there.",
    ),
]
_ATLAS = "atl_"
JobOrAtlasId = Annotated[
    str,
    typer.Argument(metavar="JOB|ATLAS", help="A job's id, such as job_01…, or an atlas's, such as atl_01…"),
]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="A job's id, such as job_01…")]


def submit(
    context: typer.Context,
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="NETWORK/LAYER/UNITS[@PLACE]…",
            help="The layer may be `output`, or several: blocks, convolutions, all, 'blocks.2.*', joined by"
            " commas. Units are 207, 0-11,207, all, every n-th ::4 or 0-99:4, sample:64@SEED or, of `output`,"
            " the name of a class; a place is @Y,X of the layer's map, or @TOKEN of a transformer's tokens.",
        ),
    ],
    watching: Watch = False,
    out: Out = None,
    seed: Annotated[
        list[int] | None, typer.Option("--seed", help="A seed; repeat it for several pictures.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", metavar="LIST", help="Seeds as a list such as 0-7.")
    ] = None,
    candidates: Annotated[
        int | None, typer.Option("--candidates", metavar="N", help=described("job", "candidates"))
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", help=described("parameters", "steps"))] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param", "-p", metavar="NAME=VALUE", help="A recipe parameter; see `imago techniques`."
        ),
    ] = None,
    technique: Annotated[
        str | None, typer.Option("--technique", help=described("recipe", "technique"))
    ] = None,
    generator: Annotated[
        str | None, typer.Option("--generator", "-g", help=described("job", "generator"))
    ] = None,
    lane: Annotated[Lane | None, typer.Option("--lane", help=described("job", "lane"))] = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask for pictures of units.

    imago submit efficientnet_lite0.imagenet/output/0-11,207 --watch --out pictures
    """
    session = session_of(context, as_json)
    network, wanted = _one_network(targets)
    parameters = dict(named_value("--param", text, "learning_rate=4") for text in param or [])
    if steps is not None:
        parameters["steps"] = steps
    asked = functools.partial(
        session.client.submit,
        network,
        wanted,
        seeds=_seeds(seed or [], seeds),
        candidates=candidates,
        generator=generator,
        technique=technique,
        parameters=parameters,
        lane=lane,
    )
    try:
        job = _submitted(session, network, asked)
    except InvalidRequest as error:
        raise _named(error, targets) from error
    _show_or_watch(session, job, watching, out, submitted=True)


def _submitted(session: Session, network: str, ask: Callable[[], Job]) -> Job:
    """Ask for the job; again once the network is inspected, where it was not yet."""
    try:
        return ask()
    except Conflict:
        if session.client.network(network).state != "pending":
            raise
        wait_until_inspected(session, network)
        return ask()


def show_job(
    context: typer.Context, id: JobId, watching: Watch = False, out: Out = None, as_json: JsonFlag = False
) -> None:
    """Show a job, or watch it to its end."""
    session = session_of(context, as_json)
    _show_or_watch(session, session.client.job(id), watching, out)


def list_jobs(
    context: typer.Context,
    state: Annotated[str | None, typer.Option("--state", help="Only jobs in this state.")] = None,
    limit: Limit = 20,
    as_json: JsonFlag = False,
) -> None:
    """List jobs, newest first."""
    session = session_of(context, as_json)
    session.listing(
        session.client.jobs(state=state, limit=limit),
        ["JOB", "STATE", "SETTLED", "FAILED", "NETWORK", "CREATED"],
        lambda job: (
            job.id,
            job.state,
            f"{job.units.settled}/{job.units.total}",
            job.units.failed or "",
            job.network,
            moment(job.created_at),
        ),
    )


def cancel(context: typer.Context, id: JobOrAtlasId, as_json: JsonFlag = False) -> None:
    """Cancel a job or an atlas. Pictures that are done stay; those that another job wants are still made."""
    session = session_of(context, as_json)
    if id.startswith(_ATLAS):
        show_or_watch(session, session.client.atlases.get(id).cancel(), False)
        return
    _show_or_watch(session, session.client.job(id).cancel(), False, None)


def retry(
    context: typer.Context,
    id: JobOrAtlasId,
    watching: Watch = False,
    out: Out = None,
    as_json: JsonFlag = False,
) -> None:
    """Queue what failed of a job or an atlas anew, and what was canceled of a job."""
    session = session_of(context, as_json)
    if id.startswith(_ATLAS):
        if out is not None:
            raise typer.BadParameter(f"{id} is an atlas, which has no --out: imago export {id} DIR")
        show_or_watch(session, session.client.atlases.get(id).retry(), watching)
        return
    _show_or_watch(session, session.client.job(id).retry(), watching, out)


def _show_or_watch(
    session: Session, job: Job, watching: bool, out: Path | None, *, submitted: bool = False
) -> None:
    if watching or out is not None:
        if submitted and not session.as_json:
            session.remark(f"Submitted {job.id}: {_counted(job)}.")
        watch(session, job, out)
    elif session.as_json:
        session.emit(job.raw)
    else:
        session.say(f"{job.id} {status_line(job)}", state_style(job.state))
        show_failures(session, job)
        if job.finished and job.created_at and job.finished_at:
            session.remark(f"Took {duration((job.finished_at - job.created_at).total_seconds())}.")
        if job.finished and job.units.done:
            session.remark(f"Get the pictures: imago get {job.id} --out DIR")
        elif not job.finished:
            session.remark(f"Watch it: imago job {job.id} --watch")


def _counted(job: Job) -> str:
    total, cached = job.units.total, job.units.cached
    pictures = counted(total, "picture")
    return f"{pictures}, {cached} of them made already" if cached else pictures


def _one_network(texts: list[str]) -> tuple[str, list[Target]]:
    parsed = [parse_target(text) for text in texts]
    networks = list(dict.fromkeys(network for network, _ in parsed))
    if len(networks) > 1:
        raise InvalidRequest(
            f"One job explains one network; submit {' and '.join(networks)} one after the other."
        )
    return networks[0], [target for _, target in parsed]


def _seeds(single: list[int], listed: str | None) -> list[int]:
    several = expand_units(parse_units(listed, where=f"--seeds {listed}")) if listed else []
    return list(dict.fromkeys([*single, *several])) or [0]


def _named(error: InvalidRequest, targets: list[str]) -> InvalidRequest:
    """The error with `targets[2].units` replaced by what the person typed as the third target."""
    fields = []
    for wrong in error.errors:
        parts = wrong.pointer.split("/")
        typed = (
            len(parts) > 2 and parts[1] == "targets" and parts[2].isdecimal() and int(parts[2]) < len(targets)
        )
        detail = f"{targets[int(parts[2])]}: {wrong.detail}" if typed else wrong.detail
        fields.append(FieldError(wrong.pointer, detail))
    return InvalidRequest(error.message, status=error.status, errors=fields, request_id=error.request_id)
