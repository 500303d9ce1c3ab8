"""`imago login`, `logout`, `doctor`."""

import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import typer

from imago.cli.exit_codes import ExitCode
from imago.cli.free_text import one_line
from imago.cli.session import JsonFlag, Session, session_of
from imago.connection import Connection, config_file, forget, normalize, remember, resolve
from imago.errors import ImagoError, NotAuthorized, Unreachable
from imago.records import Network
from imago.transport import Transport, path_to
from imago.version import __version__

_UNREADY_SHOWN = 10


def login(
    context: typer.Context,
    url: Annotated[str | None, typer.Argument(metavar="URL", help="The server's address.")] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY", help="The key; without this and --key-stdin you are asked."),
    ] = None,
    key_from_stdin: Annotated[
        bool, typer.Option("--key-stdin", help="Read the key from stdin instead of asking.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Check an address and key with the server, and store them for later."""
    session = session_of(context, as_json)
    address = resolve(url or session.url).url
    key = key or session.key
    if key is None and key_from_stdin:
        key = sys.stdin.readline().strip()
    elif key is None:
        key = typer.prompt(
            f"Key for {address} (empty to only read)",
            hide_input=True,
            default="",
            show_default=False,
            err=True,
        )
    key = key.strip()
    with Transport(address, key or None) as transport:
        name = transport.get(path_to("me")).get("name") if key else None
        if not key:
            transport.get("/")
    path = remember(address, key or None)
    if session.as_json:
        session.emit({"url": address, "key_name": name, "stored_in": str(path)})
    else:
        who = f"as {name}" if name else "with the key" if key else "without a key"
        session.say(f"{address} is the server from now on, {who}.")
        # Windows has no such mode: who may read a file there is inherited from its folder.
        alone = "" if sys.platform == "win32" else ", readable by you alone"
        session.remark(f"Stored in {path}{alone}.")


def logout(
    context: typer.Context,
    url: Annotated[str | None, typer.Argument(metavar="URL", help="The server's address.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Forget a server's address and key."""
    session = session_of(context, as_json)
    address = normalize(url) if url else resolve(session.url).url
    known = forget(address)
    if session.as_json:
        session.emit({"url": address, "forgotten": known})
    else:
        session.say(f"{address} is forgotten." if known else f"{address} was not stored.")


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report; `code` is what a failure ends the command with."""

    name: str
    verdict: Literal["ok", "warning", "failed"]
    detail: str
    code: ExitCode = ExitCode.OK


def doctor(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Check the address, the key, the server's parts and the versions."""
    session = session_of(context, as_json)
    findings = []
    for finding in examine(resolve(session.url, session.key)):
        findings.append(finding)
        if not session.as_json:
            _tell(session, finding)
    code = next((finding.code for finding in findings if finding.verdict == "failed"), ExitCode.OK)
    if session.as_json:
        checks = [
            {name: value for name, value in asdict(each).items() if name != "code"} for each in findings
        ]
        session.emit({"healthy": code == ExitCode.OK, "checks": checks})
    raise typer.Exit(code)


def examine(connection: Connection) -> Iterator[Finding]:
    """The checks, in the order in which one rests on the other; ends early where the rest makes no sense."""
    yield Finding("client", "ok", f"imago {__version__}, Python {sys.version.split()[0]}")
    yield from _config()
    host = urlsplit(connection.url).hostname or ""
    open_wire = (
        connection.key and connection.url.startswith("http://") and not host.startswith(("127.", "localhost"))
    )
    yield Finding(
        "address",
        "warning" if open_wire else "ok",
        f"{connection.url} ({connection.url_from})" + ("; the key travels unencrypted" if open_wire else ""),
    )
    try:
        transport = Transport(connection.url, connection.key, key_from=connection.key_from, timeout=10.0)
    except NotAuthorized as error:
        yield Finding("key", "failed", error.message, ExitCode.NOT_AUTHORIZED)
        return
    with transport:
        yield from _examine_server(transport, connection)


def _examine_server(transport: Transport, connection: Connection) -> Iterator[Finding]:
    try:
        status, about = transport.probe("/")
        healthy, _ = transport.probe("/healthz")
    except Unreachable as error:
        yield Finding("server", "failed", error.message, ExitCode.UNREACHABLE)
        return
    if status != 200 or healthy != 200 or "version" not in about:
        detail = f"{connection.url} answers, but not as imago does (/ {status}, /healthz {healthy})"
        yield Finding("server", "failed", detail, ExitCode.UNREACHABLE)
        return
    yield _versions(str(about["version"]))
    yield _readiness(transport)
    yield _key(transport, connection)
    yield from _work(transport)


def _config() -> Iterator[Finding]:
    if sys.platform == "win32":  # where a mode tells nothing of who can read
        return
    path = config_file()
    if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield Finding("stored keys", "warning", f"others can read {path}: chmod 600 {path}")


def _versions(server: str) -> Finding:
    same = server.split(".")[:2] == __version__.split(".")[:2]
    return Finding(
        "server",
        "ok" if same else "warning",
        f"imago {server}" + ("" if same else f"; this client is {__version__}, install the server's version"),
    )


def _readiness(transport: Transport) -> Finding:
    status, body = transport.probe("/readyz")
    checks: dict[str, Any] = body.get("checks") or {}
    parts = ", ".join(
        f"{name} ok" if check.get("ok") else f"{name}: {check.get('detail', 'not ready')}"
        for name, check in checks.items()
    )
    if status == 200:
        return Finding("readiness", "ok", parts or "ready")
    return Finding("readiness", "failed", parts or str(body.get("detail") or status), ExitCode.UNREACHABLE)


def _key(transport: Transport, connection: Connection) -> Finding:
    if connection.key is None:
        return Finding("key", "warning", "none: you can read but not submit; `imago login` stores one")
    try:
        me = transport.get(path_to("me"))
    except NotAuthorized as error:
        return Finding("key", "failed", f"{error.message} ({connection.key_from})", ExitCode.NOT_AUTHORIZED)
    except ImagoError as error:
        return Finding("key", "failed", error.message, ExitCode.FAILED)
    scopes = ", ".join(me.get("scopes") or []) or "no scopes"
    return Finding("key", "ok", f"{me.get('name') or me.get('id')}: {scopes} ({connection.key_from})")


def _work(transport: Transport) -> Iterator[Finding]:
    try:
        queue = transport.get(path_to("queue"))
        networks = [Network.read(raw) for raw in transport.entries(path_to("networks"))]
    except ImagoError as error:
        yield Finding("work", "failed", error.message, ExitCode.FAILED)
        return
    workers = queue["workers"]
    yield Finding(
        "workers", "ok" if workers else "warning", f"{workers} alive" if workers else "none is alive"
    )
    for worker in queue.get("worker_states", []):
        if worker["reason"] and worker["state"] != "lost":
            yield Finding(f"worker {worker['id']}", "warning", f"{worker['state']}: {worker['reason']}")
    ready = sum(network.state == "ready" for network in networks)
    detail = f"{ready} ready of {len(networks)}" if networks else "none yet: imago networks add ID --wait"
    yield Finding("networks", "ok" if ready else "warning", detail)
    yield from _unready(networks)


def _unready(networks: Sequence[Network]) -> Iterator[Finding]:
    """Those of which no pictures can be asked for now, and why."""
    found = [
        (network.id, f"failed: {one_line(network.error or 'for no reason that is known')}")
        if network.state == "failed"
        else (network.id, "still to be inspected by a worker")
        for network in networks
        if network.state == "failed" or network.awaits_inspection
    ]
    for id, detail in found[:_UNREADY_SHOWN]:
        yield Finding(f"network {id}", "warning", detail)
    if len(found) > _UNREADY_SHOWN:
        more = len(found) - _UNREADY_SHOWN
        yield Finding("more networks", "warning", f"{more} are not ready either: imago networks")


def _tell(session: Session, finding: Finding) -> None:
    mark, style = {"ok": ("ok", "green"), "warning": ("!!", "yellow"), "failed": ("no", "bold red")}[
        finding.verdict
    ]
    session.say(f"{mark}  {finding.name}: {finding.detail}", style)
