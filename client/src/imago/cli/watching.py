"""Watching jobs and others: live in a terminal, one line a change elsewhere, JSON objects with --json."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from imago.cli.durations import duration, rate, time_left
from imago.cli.exit_codes import ExitCode
from imago.cli.free_text import one_line
from imago.cli.session import Session, state_style
from imago.cli.shortened import shortened
from imago.jobs import Job
from imago.saving import Lost, Outcome, PictureSaver, Saved
from imago.visualizations import Visualization
from imago.watched import PictureRun

W = TypeVar("W", bound=PictureRun)
_FAILURES_SHOWN = 10


def watch(session: Session, job: Job, folder: Path | None = None) -> None:
    """Follow a job to its end; with a folder, its pictures are written there as they come.

    Ctrl-C stops the watching and not the job. Ends the command with FAILED unless the job succeeds and all
    its pictures could be written.
    """
    try:
        lost = (_stream if session.as_json else _show)(session, job, folder)
    except KeyboardInterrupt:
        again = f" --out {folder}" if folder else ""
        raise detached(
            session, job.id, attach=f"imago job {job.id} --watch{again}", stop=f"imago cancel {job.id}"
        ) from None
    if lost or job.state != "succeeded":
        raise typer.Exit(ExitCode.FAILED)


def follow(
    session: Session,
    watched: W,
    what: str,
    *,
    line: Callable[[W], str],
    drawn: Callable[[W], RenderableType],
) -> None:
    """Follow a scan or a training to its end. Ctrl-C stops the watching and not what is watched.

    what: its command and its name in JSON; line: what it does now, said whenever it changes, with what it
    waits for; drawn: the same for a terminal.
    """

    def shown(seen: W) -> RenderableType:
        why = _why_it_waits(seen)
        return Group(drawn(seen), Text(f"  {why}", style="yellow")) if why else drawn(seen)

    try:
        if session.as_json:
            for seen in watched.polls():
                session.emit_line({"event": "end" if seen.finished else "progress", what: seen.raw})
        elif session.out.is_terminal:
            with Live(shown(watched), console=session.out, transient=True) as live:
                for seen in watched.polls():
                    live.update(shown(seen))
        else:
            last = ""
            for seen in watched.polls():
                why = _why_it_waits(seen)
                now = f"{line(seen)}, waits: {why}" if why else line(seen)
                if now != last:
                    session.say(f"{time.strftime('%H:%M:%S')} {seen.id} {now}")
                    last = now
    except KeyboardInterrupt:
        again = f"imago {what} {watched.id}"
        raise detached(session, watched.id, attach=f"{again} --watch", stop=f"{again} --cancel") from None


def explain_error(session: Session, run: PictureRun) -> None:
    """Why a scan or a training failed, or what it waits for."""
    if run.error:
        session.remark(f"  {run.error}", "red" if run.finished else "yellow")


def _why_it_waits(run: PictureRun) -> str | None:
    """Why the last worker to try could not go on with it, on one line."""
    return one_line(run.error) if run.error and not run.finished else None


def detached(session: Session, id: str, *, attach: str, stop: str) -> typer.Exit:
    """The end of a command whose watching was interrupted; says that what was watched goes on."""
    session.remark(f"\nDetached; {id} goes on.", "yellow")
    session.remark(f"Re-attach: {attach}\nStop it:   {stop}", "")
    return typer.Exit(ExitCode.DETACHED)


def status_line(job: Job) -> str:
    """What a job does now, in one line."""
    parts = _status(job)
    if not job.finished and job.rate:
        parts.append(rate(job.rate))
    if not job.finished and job.eta_seconds is not None:
        parts.append(f"{time_left(job.eta_seconds, job.eta_range)} left")
    return ", ".join(parts)


def _status(job: Job) -> list[str]:
    """What is said of a job but for its speed and the time left, which always change."""
    units = job.units
    parts = [job.state, f"{units.settled} of {units.total}"]
    parts += [
        f"{count} {name}"
        for name, count in (
            ("failed", units.failed),
            ("unreachable", units.unreachable),
            ("canceled", units.canceled),
            ("from the cache", units.cached),
        )
        if count
    ]
    if job.state == "queued" and job.place:
        parts.append(f"number {job.place.position} in the queue")
        if job.place.ahead_units:
            parts.append(f"{job.place.ahead_units} units ahead")
    if job.look:
        parts.append(f"looks at the network first: {job.look.seen} of {job.look.codes} pictures")
    return parts


def _seen_of(job: Job) -> object:
    """What makes an object of its own with --json when it changes. Not the speed and the time left."""
    return job.state, job.units, job.place, job.look


def _stream(session: Session, job: Job, folder: Path | None) -> list[Lost]:
    """Returns the pictures that could not be had."""
    last: object = None
    lost: list[Lost] = []
    with PictureSaver(folder) as saver:
        for event in job.follow():
            if isinstance(event, Visualization):
                if folder is None:
                    session.emit_line({"event": "visualization", "visualization": event.raw})
                elif event.state == "done":
                    _add(saver, job, event)
                else:
                    session.emit_line({"event": "visualization", "visualization": event.raw, "path": None})
            elif (now := _seen_of(event)) != last:
                last = now
                session.emit_line({"event": "progress", "job": event.raw})
            lost += _emit_outcomes(session, saver.ready())
        _add_best(saver, job, folder)
        lost += _emit_outcomes(session, saver.finish())
    session.emit_line({"event": "end", "job": job.raw})
    return lost


def _add(saver: PictureSaver, job: Job, picture: Visualization) -> None:
    """Write a picture as it comes. Which of several candidates to write is known at the end."""
    if job.candidates == 1:
        saver.add(picture)


def _add_best(saver: PictureSaver, job: Job, folder: Path | None) -> None:
    if folder is not None and job.candidates > 1:
        for picture in job.items(best=True):
            saver.add(picture)


def _emit_outcomes(session: Session, outcomes: list[Outcome]) -> list[Lost]:
    lost: list[Lost] = []
    for each in outcomes:
        if isinstance(each, Saved):
            told: dict[str, object] = {"visualization": each.raw, "path": str(each.path)}
        else:
            lost.append(each)
            told = {"visualization": each.picture.raw, "path": None, "reason": each.reason}
        session.emit_line({"event": "visualization", **told})
    return lost


def _show(session: Session, job: Job, folder: Path | None) -> list[Lost]:
    """Returns the pictures that could not be had."""
    began = time.monotonic()
    outcomes: list[Outcome] = []
    with PictureSaver(folder) as saver:
        if session.out.is_terminal:
            with Live(
                bar(job, session.out.width), console=session.out, transient=True, refresh_per_second=8
            ) as live:
                for event in job.follow() if folder else job.polls():
                    if isinstance(event, Visualization):
                        _add(saver, job, event)
                    else:
                        live.update(bar(event, session.out.width))
                    outcomes += saver.ready()
        else:
            last: object = None
            for event in job.follow() if folder else job.polls():
                if isinstance(event, Visualization):
                    _add(saver, job, event)
                elif (now := _status(event)) != last:
                    last = now
                    session.say(f"{time.strftime('%H:%M:%S')} {job.id} {status_line(event)}")
                outcomes += saver.ready()
        _add_best(saver, job, folder)
        outcomes += saver.finish()
    summarize(session, job, time.monotonic() - began)
    lost = [each for each in outcomes if isinstance(each, Lost)]
    if folder:
        written = len(outcomes) - len(lost)
        session.say(f"{written} picture{'' if written == 1 else 's'} in {folder}")
        if lost:
            session.remark(f"Without a picture: {shortened([str(each) for each in lost])}", "yellow")
    elif job.units.done:
        session.remark(f"Get the pictures: imago get {job.id} --out DIR")
    return lost


def summarize(session: Session, job: Job, watched_seconds: float) -> None:
    """How a finished job ended, and why items failed."""
    units = job.units
    seconds = watched_seconds
    if job.created_at and job.finished_at:
        seconds = (job.finished_at - job.created_at).total_seconds()
    counts = [f"{units.done} done"]
    counts += [
        f"{getattr(units, name)} {name}"
        for name in ("failed", "unreachable", "canceled")
        if getattr(units, name)
    ]
    if units.cached:
        counts.append(f"{units.cached} from the cache")
    session.say(
        f"{job.id} {job.state} after {duration(seconds)}: {', '.join(counts)}", state_style(job.state)
    )
    show_failures(session, job)
    if units.failed:
        session.remark(f"Try them again: imago retry {job.id} --watch")


def show_failures(session: Session, job: Job) -> None:
    """Why items failed, the first few of them."""
    if not job.units.failed:
        return
    for item in itertools.islice(job.items("failed"), _FAILURES_SHOWN):
        session.remark(f"  {item.title}: {item.error.message if item.error else 'no reason given'}", "red")
    if job.units.failed > _FAILURES_SHOWN:
        session.remark(f"  … and {job.units.failed - _FAILURES_SHOWN} more.", "red")


def bar(job: Job, columns: int) -> Table:
    """A bar of what is done, and what the job does now, on one line of a terminal that is so wide."""
    units, text = job.units, status_line(job)
    grid = Table.grid(padding=(0, 1))
    width = min(40, max(8, columns - len(text) - 2))
    bar = ProgressBar(total=max(units.total, 1), completed=units.done, width=width)
    grid.add_row(bar, Text(text, style=state_style(job.state), no_wrap=True, overflow="ellipsis"))
    return grid
