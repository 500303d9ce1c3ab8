"""`imago exemplars`, `scans`, `scan`: real pictures that excite units most."""

from typing import Annotated

import typer
from rich.text import Text

from imago.cli.descriptions import described
from imago.cli.durations import duration, moment, rate
from imago.cli.exit_codes import ExitCode
from imago.cli.numbers import counted
from imago.cli.session import JsonFlag, Limit, Session, session_of, state_style
from imago.cli.watching import explain_error, follow
from imago.exemplars.scans import Scan

Watch = Annotated[
    bool, typer.Option("--watch", "-w", help="Show how far it is until it ends. Ctrl-C detaches.")
]


def exemplars(
    context: typer.Context,
    network: Annotated[str, typer.Argument(metavar="NETWORK", help="Id of a network.")],
    sources: Annotated[list[str], typer.Argument(metavar="SOURCES…", help=described("scan", "sources"))],
    layers: Annotated[
        str | None, typer.Option("--layers", "-l", metavar="WORDS", help=described("scan", "layers"))
    ] = None,
    keep: Annotated[
        int | None, typer.Option("--keep", metavar="K", help=described("scan", "exemplars"))
    ] = None,
    input_size: Annotated[
        int | None, typer.Option("--input-size", metavar="PIXELS", help=described("scan", "input_size"))
    ] = None,
    watching: Watch = False,
    as_json: JsonFlag = False,
) -> None:
    """Find the real pictures that excite each unit most, and how strongly real pictures excite it.

    imago exemplars efficientnet_lite0.imagenet photographs --watch
    """
    session = session_of(context, as_json)
    scan = session.client.scan_pictures(
        network, sources, layers=layers, exemplars=keep, input_size=input_size
    )
    if watching and not session.as_json:
        session.remark(f"Submitted {scan.id}.")
    _show_or_watch(session, scan, watching)


def list_scans(
    context: typer.Context,
    network: Annotated[str | None, typer.Option("--network", help="Only scans with this network.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="Only scans in this state.")] = None,
    limit: Limit = 20,
    as_json: JsonFlag = False,
) -> None:
    """List scans of real pictures, newest first."""
    session = session_of(context, as_json)
    session.listing(
        session.client.scans(network=network, state=state, limit=limit),
        ["SCAN", "NETWORK", "STATE", "PICTURES", "EXEMPLARS", "CREATED"],
        lambda scan: (
            scan.id,
            scan.network,
            scan.state,
            f"{scan.pictures:,}",
            f"{scan.crops:,}",
            moment(scan.created_at),
        ),
    )


def show_scan(
    context: typer.Context,
    id: Annotated[str, typer.Argument(metavar="SCAN", help="A scan's id, such as scn_01…")],
    watching: Watch = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Stop it; nothing of it is shown.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show a scan, watch it, or cancel it."""
    session = session_of(context, as_json)
    scan = session.client.scan(id)
    if cancel:
        scan.cancel()
    _show_or_watch(session, scan, watching)


def _show_or_watch(session: Session, scan: Scan, watching: bool) -> None:
    if watching:
        _watch(session, scan)
    elif session.as_json:
        session.emit(scan.raw)
    else:
        session.say(f"{scan.id} {_status(scan)}", state_style(scan.state))
        _explain_end(session, scan)
        if not scan.finished:
            session.remark(f"Watch it: imago scan {scan.id} --watch")


def _watch(session: Session, scan: Scan) -> None:
    follow(session, scan, "scan", line=_status, drawn=_line)
    if not session.as_json:
        session.say(f"{scan.id} {_status(scan)}", state_style(scan.state))
        _explain_end(session, scan)
    if scan.state != "succeeded":
        raise typer.Exit(ExitCode.FAILED)


def _explain_end(session: Session, scan: Scan) -> None:
    explain_error(session, scan)
    for line in scan.raw["progress"]["left_out_first"]:
        session.remark(f"  left out: {line}", "yellow")
    if scan.state == "succeeded":
        session.remark(f"Look at a unit: imago unit {scan.network}/{scan.layers[-1]}/0")


def _line(scan: Scan) -> Text:
    return Text(f"{scan.id} {_status(scan)}", style=state_style(scan.state))


def _status(scan: Scan) -> str:
    """What it does now, in one line."""
    parts = [scan.phase or scan.state, counted(scan.pictures, "picture")]
    if scan.left_out:
        parts.append(f"{scan.left_out:,} left out")
    if scan.crops:
        parts.append(f"{scan.crops:,} exemplars")
    if scan.rate:
        parts.append(rate(scan.rate))
    if scan.eta_seconds is not None:
        parts.append(f"{duration(scan.eta_seconds)} left")
    return ", ".join(parts)
