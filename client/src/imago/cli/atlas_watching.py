"""Watching an atlas: a live bar in a terminal, one line a change elsewhere, one JSON object with --json."""

import time

import typer
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from imago.atlases.atlas import Atlas
from imago.cli.durations import rate, time_left
from imago.cli.exit_codes import ExitCode
from imago.cli.session import Session, state_style
from imago.cli.watching import detached


def show_or_watch(session: Session, atlas: Atlas, watching: bool) -> None:
    """How far an atlas is now, or until nothing of it goes on."""
    if watching:
        watch(session, atlas)
    elif session.as_json:
        session.emit(atlas.raw)
    else:
        session.say(f"{atlas.id} {status_line(atlas)}", state_style(atlas.state))
        for error in atlas.errors:
            session.remark(f"  {error['count']} × {error['message']}", "red")
        if not atlas.finished:
            session.remark(f"Watch it: imago atlas {atlas.id} --watch")


def watch(session: Session, atlas: Atlas) -> None:
    """Follow an atlas until nothing of it goes on. Ctrl-C stops the watching and not the atlas.

    Ends the command with FAILED unless it is complete and nothing of it failed.
    """
    try:
        _follow(session, atlas)
    except KeyboardInterrupt:
        raise detached(
            session, atlas.id, attach=f"imago atlas {atlas.id} --watch", stop=f"imago cancel {atlas.id}"
        ) from None
    if session.as_json:
        session.emit_line({"event": "end", "atlas": atlas.raw})
    else:
        session.say(f"{atlas.id} {status_line(atlas)}", state_style(atlas.state))
        for error in atlas.errors:
            session.remark(f"  {error['count']} × {error['message']}", "red")
        if atlas.pictures.failed:
            session.remark(f"Try them again: imago retry {atlas.id}")
    if atlas.state != "complete" or atlas.pictures.failed:
        raise typer.Exit(ExitCode.FAILED)


def status_line(atlas: Atlas) -> str:
    """How far an atlas is, in one line."""
    pictures = atlas.pictures
    parts = [atlas.state, f"{pictures.settled} of {pictures.total}"]
    parts += [
        f"{count} {name}"
        for name, count in (("failed", pictures.failed), ("unreachable", pictures.unreachable))
        if count
    ]
    if not atlas.finished and atlas.rate:
        parts.append(rate(atlas.rate))
    if not atlas.finished and atlas.eta_seconds is not None:
        parts.append(f"{time_left(atlas.eta_seconds, atlas.eta_range)} left")
    return ", ".join(parts)


def _follow(session: Session, atlas: Atlas) -> None:
    if session.as_json or not session.out.is_terminal:
        last: object = None
        for now in atlas.polls():
            seen = now.state, now.pictures
            if seen == last:
                continue
            last = seen
            if session.as_json:
                session.emit_line({"event": "progress", "atlas": now.raw})
            else:
                session.say(f"{time.strftime('%H:%M:%S')} {now.id} {status_line(now)}")
        return
    width = session.out.width
    with Live(_bar(atlas, width), console=session.out, transient=True, refresh_per_second=8) as live:
        for now in atlas.polls():
            live.update(_bar(now, width))


def _bar(atlas: Atlas, columns: int) -> Table:
    """A bar of what is done, and how far it is, on one line of a terminal that is so wide."""
    pictures, text = atlas.pictures, status_line(atlas)
    grid = Table.grid(padding=(0, 1))
    width = min(40, max(8, columns - len(text) - 2))
    bar = ProgressBar(total=max(pictures.total, 1), completed=pictures.settled, width=width)
    grid.add_row(bar, Text(text, style=state_style(atlas.state), no_wrap=True, overflow="ellipsis"))
    return grid
