"""The whole imago on this machine: the three servers, the API and one worker."""

import os
import signal
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy.orm import Session

from infra.local import ports
from infra.local.endpoints import Endpoints
from infra.local.processes.process import Process, ProcessError
from infra.local.processes.revival import Revival
from infra.local.processes.supervision import (
    GRACE_SECONDS,
    SUPERVISOR,
    Group,
    end_all,
    member,
    uninterrupted,
)
from infra.local.server import Server
from infra.local.servers import Servers
from services.access import keys
from services.base.database import Database, migrate
from services.base.errors import Unauthenticated
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.catalog.shipped_generator import register_shipped_generator

_CHECKOUT = Path(__file__).resolve().parents[2]
_API_PORT = 8000
_UNPROXIED = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""A proxy of the environment would look for our addresses on its own machine."""
_FIRST_NETWORK = "efficientnet_lite0.imagenet"
"""Registered from the start: its weights come with the requirements, so it works without a download."""
API = ("api", "serve")
WORKER = ("worker",)
"""The modules of our processes, with arguments: what `python -m` runs here and in the containers."""


class Stack:
    """Everything that a user of this machine needs, for the time of a `with` block.

    What already runs under the home (`make up` in another terminal) is used and left running; what the
    block starts it also stops, whatever happens. Raises ProcessError with the end of a log when something
    does not start. What a killed command has left running is ended first.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self._started: list[Server] = []
        self._servers = Servers(self.home)
        self._exit = ExitStack()
        self._group: Group | None = None
        self._api_port = 0
        self.key = ""
        """The token of an API key with all scopes."""

    @property
    def endpoints(self) -> Endpoints:
        """Where the servers are, and the keys that they want."""
        return self._servers.endpoints

    @property
    def api_url(self) -> str:
        """The address of the API."""
        return f"http://127.0.0.1:{self._api_port}"

    @property
    def weights_folder(self) -> str:
        """Where the worker looks for files of networks."""
        return environment_of(self._servers)["IMAGO_WEIGHTS_FOLDER"]

    @property
    def data_root(self) -> str:
        """Where the worker looks for pictures to train generators on."""
        return environment_of(self._servers)["IMAGO_DATA_ROOT"]

    def __enter__(self) -> Self:
        # ExitStack.close() runs whatever has been registered when a later step fails.
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def follow(self) -> None:
        """Show the logs of API and worker until Ctrl-C, and bring back whatever ends meanwhile.

        Raises ProcessError when something ends that another command had started, and that one is gone too.
        """
        group = self._group
        assert group is not None
        own = [
            *(Revival(each.process, partial(self._servers.revive, each), _say) for each in self._started),
            *(Revival(each, partial(group.spawn, each), _say) for each in group.own),
        ]
        names = {revival.process.name for revival in own}
        others = [process for process in processes_of(self._servers) if process.name not in names]
        supervisor = member(self.home, SUPERVISOR)

        def tend() -> None:
            for revival in own:
                revival.tend()
            for process in others:
                if not process.running and supervisor.pid in (None, os.getpid()):
                    raise ProcessError(f"{process.name}, which another command had started, has ended")

        if not supervisor.running:
            supervisor.remember(os.getpid())
        try:
            group.follow(tend=tend)
        finally:
            if supervisor.pid == os.getpid():
                supervisor.record.unlink(missing_ok=True)

    def _start(self) -> None:
        end_orphans(self._servers)
        self._started = [server for server in self._servers.all if not server.running]
        self._exit.callback(self._servers.stop, self._started)
        self._servers.start(owned=True)
        settings = settings_of(self._servers)
        migrate(settings.database_url)
        self._prepare(settings)

        environment = {**environment_of(self._servers), "PYTHONUNBUFFERED": "1"}
        group = Group(self.home, folder=_CHECKOUT, environment=environment)
        self._group = group
        # Registered last, so stopped first: before the servers that these processes use.
        self._exit.callback(group.stop)
        group.start("worker", [sys.executable, "-m", *WORKER])
        with ports.choosing():
            self._api_port = self._choose_port()
            address = ["--host", "127.0.0.1", "--port", str(self._api_port)]
            group.start("api", [sys.executable, "-m", *API, *address])
            group.wait_until(lambda: answers(self.api_url), "the start of the API", timeout=60)

    def _stop(self) -> None:
        with uninterrupted():
            self._exit.close()

    def _prepare(self, settings: Settings) -> None:
        """Register what comes with the code and make sure of a key.

        The worker registers the shipped generator too, but takes longer to start than the API: until then the
        first jobs would be made with the default one of an earlier release.
        """
        store = ObjectStore(settings)
        store.ensure_bucket()
        database = Database(settings.database_url)
        try:
            register_shipped_generator(database, store, settings.generator_path)
            with database.session() as session:
                register_network(session, RegisterNetwork(id=_FIRST_NETWORK))
                self.key = self._known_key(session) or self._new_key(session)
        finally:
            database.dispose()

    def _known_key(self, session: Session) -> str | None:
        """The remembered token, if the database still knows it."""
        try:
            token = self._key_file.read_text().strip()
            keys.authenticate(session, token)
        except (FileNotFoundError, Unauthenticated):
            return None
        return token

    def _new_key(self, session: Session) -> str:
        _, token = keys.create_key(session, "local", keys.SCOPES)
        self._key_file.touch(mode=0o600)
        self._key_file.write_text(f"{token}\n")
        return token

    @property
    def _key_file(self) -> Path:
        return self.home / "key"

    def _choose_port(self) -> int:
        """The port of a running API; else the last one, 8000 or any, whichever is free first."""
        file = self.home / "api_port"
        last = _remembered_port(file)
        if member(self.home, "api").running:
            if last is None:
                raise ProcessError(f"The API runs, and {file} does not tell where: stop it first, make down.")
            return last
        free = [port for port in (last, _API_PORT) if port and ports.is_free(port)]
        port = free[0] if free else ports.pick(1)[0]
        fresh = file.with_suffix(".new")  # a command that is killed here leaves no half of it
        fresh.write_text(f"{port}\n")
        fresh.replace(file)
        return port


def _remembered_port(file: Path) -> int | None:
    """The port that a file names; None where there is no such file, or no port in it."""
    try:
        return ports.checked(int(file.read_text()))
    except (FileNotFoundError, ValueError):
        return None


def answers(api_url: str) -> bool:
    """Whether an API is there and has what it needs."""
    try:
        _UNPROXIED.open(f"{api_url}/readyz", timeout=5).close()
    except (urllib.error.URLError, OSError):
        return False
    return True


def environment_of(servers: Servers) -> dict[str, str]:
    """The variables for processes of ours; what the shell says about anything but addresses is kept."""
    folders = {
        name: Path(os.environ.get(name, servers.home / folder))
        for name, folder in (
            ("IMAGO_WEIGHTS_FOLDER", "weights"),
            ("IMAGO_CACHE_FOLDER", "cache"),
            ("IMAGO_DATA_ROOT", "data"),
        )
    }
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    return {
        "IMAGO_STORE_FOLDER": str(servers.seaweedfs.data),
        "IMAGO_LOG_FORMAT": os.environ.get("IMAGO_LOG_FORMAT", "console"),
        **{name: str(folder) for name, folder in folders.items()},
        **servers.endpoints.environment(),
    }


def settings_of(servers: Servers) -> Settings:
    """The same as settings of this process."""
    names = environment_of(servers)
    return Settings(**{name.removeprefix("IMAGO_").lower(): value for name, value in names.items()})


def stop_all(home: Path) -> bool:
    """Stop everything that runs under `home`, whoever started it; whether anything did."""
    home = home.resolve()
    if not (home / "servers.json").exists():
        return False
    servers = Servers(home)
    with uninterrupted():
        found = any(process.running for process in processes_of(servers))
        supervisor = member(home, SUPERVISOR)
        # It goes first, for it would bring back whatever is ended; it takes along what it has started.
        supervisor.send(signal.SIGTERM)
        if not supervisor.wait(2 * GRACE_SECONDS):
            supervisor.send(signal.SIGKILL)
        end_all([process for process in _ours(home) if process.running])
        servers.stop()
        for process in processes_of(servers):
            process.clear()
    return found


def processes_of(servers: Servers) -> list[Process]:
    """The five processes of a home, running or not."""
    return [*(server.process for server in servers.all), *_ours(servers.home)]


def end_orphans(servers: Servers) -> None:
    """End what runs on although the command that it was to end with was killed, and what killed processes
    have left behind.
    """
    end_all([process for process in _ours(servers.home) if process.orphaned])
    servers.stop([server for server in servers.all if server.process.orphaned])
    for process in processes_of(servers):
        process.clear()


def _ours(home: Path) -> list[Process]:
    return [member(home, name) for name in ("api", "worker")]


def _say(line: str) -> None:
    print(f"── {line}", flush=True)
