"""The three servers together: one folder, one set of ports and keys, started and stopped at once."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.local import ports
from infra.local.endpoints import Endpoints
from infra.local.postgres import PostgreSQL
from infra.local.seaweedfs import SeaweedFS
from infra.local.server import Server, ServerError
from infra.local.valkey import Valkey

_PORTS = ("postgres", "valkey", "s3", "weed_master", "weed_volume", "weed_filer")
_KEYS = ("postgres", "valkey", "s3_access", "s3_secret")


class Servers:
    """The servers whose data lie in `home`. Making the object starts nothing.

    Ports and keys are chosen once and kept in `home/servers.json`; every object on the same home, in this
    process or another, speaks of the same servers. Raises ServerError where the folder cannot be written, or
    that file is damaged.
    """

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        """durable: writes survive a power cut. Tests do without, which makes them several times quicker."""
        self.home = home.resolve()
        self._durable = durable
        with self._locked():
            self._connect(self._remembered() or self._choose())

    def _connect(self, chosen: dict[str, Any]) -> None:
        port, key = chosen["ports"], chosen["keys"]
        self.postgres = PostgreSQL(
            self.home, port=port["postgres"], password=key["postgres"], durable=self._durable
        )
        self.valkey = Valkey(self.home, port=port["valkey"], password=key["valkey"])
        self.seaweedfs = SeaweedFS(
            self.home,
            s3=port["s3"],
            master=port["weed_master"],
            volume=port["weed_volume"],
            filer=port["weed_filer"],
            access_key=key["s3_access"],
            secret_key=key["s3_secret"],
            durable=self._durable,
        )

    @property
    def all(self) -> tuple[Server, ...]:
        """The three servers."""
        return (self.postgres, self.valkey, self.seaweedfs)

    @property
    def endpoints(self) -> Endpoints:
        """Where they are, and the keys that they want."""
        return Endpoints(
            database_url=self.postgres.url,
            broker_url=self.valkey.url,
            s3_endpoint_url=self.seaweedfs.url,
            s3_access_key=self.seaweedfs.access_key,
            s3_secret_key=self.seaweedfs.secret_key,
        )

    @property
    def running(self) -> bool:
        """Whether all three processes run."""
        return all(server.running for server in self.all)

    def start(self, *, owned: bool = False) -> Endpoints:
        """Start what does not run and wait until everything answers. Raises ServerError, stopping nothing.

        owned: what is started is to end with this command.
        """
        with self._locked():
            if not any(server.running for server in self.all) and not self._ports_free():
                self._connect(self._choose())
            with ThreadPoolExecutor(len(self.all)) as pool:
                list(pool.map(lambda server: _bring_up(server, owned), self.all))
        return self.endpoints

    def revive(self, server: Server) -> None:
        """Start one of them again that has ended; it may take some time until it answers."""
        with self._locked():
            server.start(owned=True)

    def stop(self, servers: Sequence[Server] | None = None) -> None:
        """Stop the three (or some of them) at once, in good order. Does nothing to what does not run."""
        with self._locked(), ThreadPoolExecutor(len(self.all)) as pool:
            list(pool.map(lambda server: server.stop(), self.all if servers is None else servers))

    def _ports_free(self) -> bool:
        """Whether the remembered ports are still to be had: anybody may have taken one since."""
        chosen = self._remembered() or {}
        return all(ports.is_free(port) for port in chosen["ports"].values())

    def _remembered(self) -> dict[str, Any] | None:
        try:
            chosen = json.loads(self._file.read_text())
            return {
                "ports": {name: ports.checked(chosen["ports"][name]) for name in _PORTS},
                "keys": {name: _key(chosen["keys"][name]) for name in _KEYS},
            }
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise ServerError(
                f"{self._file} is damaged. The keys of the data in {self.home} are in it: bring it back, or "
                "choose another folder."
            ) from error

    def _choose(self) -> dict[str, Any]:
        """New ports; the keys stay as they are, for the data know them."""
        old = self._remembered()
        keys = old["keys"] if old else {
            "postgres": secrets.token_urlsafe(18),
            "valkey": secrets.token_urlsafe(18),
            "s3_access": "imago",
            "s3_secret": secrets.token_urlsafe(24),
        }  # fmt: skip
        chosen = {"ports": dict(zip(_PORTS, ports.pick(len(_PORTS)), strict=True)), "keys": keys}
        fresh = self._file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(chosen, indent=1))
        fresh.replace(self._file)
        return chosen

    @property
    def _file(self) -> Path:
        return self.home / "servers.json"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One command at a time on a home: two starts at once would make two clusters."""
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.home / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise ServerError(f"The folder {self.home} cannot be written: {error.strerror}.") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _key(value: object) -> str:
    """Raises ValueError, which does not show it, for what is no key."""
    if not isinstance(value, str) or not value:
        raise ValueError("a key is no text")
    return value


def _bring_up(server: Server, owned: bool) -> None:
    server.start(owned=owned)
    server.wait_ready()


def start(home: Path, *, durable: bool = True) -> Endpoints:
    """Start the servers of `home` unless they run, wait until they answer, and say where they are."""
    return Servers(home, durable=durable).start()


def stop(home: Path) -> None:
    """Stop the servers of `home`; nothing happens when there are none."""
    if (home / "servers.json").exists():
        Servers(home).stop()


@contextmanager
def running(home: Path, *, durable: bool = True) -> Iterator[Servers]:
    """The servers of `home`, started for the block and stopped after it, also when their start fails."""
    servers = Servers(home, durable=durable)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()
