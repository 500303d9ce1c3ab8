"""The embedded servers: started, killed and started again with the same data, ports and keys."""

import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis

from infra.local import stack
from infra.local.server import ServerError
from infra.local.servers import Servers, running
from services.settings import Settings
from services.storage import ObjectStore


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="imago-servers-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def _store(servers: Servers) -> ObjectStore:
    endpoints = servers.endpoints
    return ObjectStore(
        Settings(
            database_url=endpoints.database_url,
            broker_url=endpoints.broker_url,
            s3_endpoint_url=endpoints.s3_endpoint_url,
            s3_access_key=endpoints.s3_access_key,
            s3_secret_key=endpoints.s3_secret_key,
        )
    )


def test_data_outlive_kills_and_an_orderly_stop(home: Path) -> None:
    with running(home) as servers:
        endpoints = servers.endpoints
        servers.postgres.administer("CREATE DATABASE kept")
        store = _store(servers)
        store.ensure_bucket()
        key = store.put("image", b"some picture", "image/png")
        servers.postgres.restart()
        servers.seaweedfs.restart()
        servers.valkey.restart()
        assert store.get(key) == b"some picture"
        servers.postgres.restart_immediately()
        assert servers.postgres.administer("SELECT 1 FROM pg_database WHERE datname = 'kept'")
        processes = [server.process for server in servers.all]
    assert not any(process.running for process in processes)

    with running(home) as servers:
        assert servers.endpoints == endpoints
        assert servers.postgres.administer("SELECT 1 FROM pg_database WHERE datname = 'kept'")
        assert _store(servers).get(key) == b"some picture"


def test_two_starts_at_once_make_one_set_of_servers(home: Path) -> None:
    first, second = Servers(home, durable=False), Servers(home, durable=False)
    try:
        with ThreadPoolExecutor(2) as pool:
            one, other = pool.map(lambda servers: servers.start(), (first, second))
        assert one == other
        assert [server.process.pid for server in first.all] == [server.process.pid for server in second.all]
    finally:
        first.stop()
    # Each is asked: whoever started them has to bury all three.
    assert not any(server.running for server in second.all)


def test_a_port_taken_since_the_last_start_is_replaced(home: Path) -> None:
    before = Servers(home, durable=False)
    with socket.create_server(("127.0.0.1", before.valkey.port)), running(home, durable=False) as servers:
        assert servers.valkey.port != before.valkey.port
        assert servers.valkey.password == before.valkey.password
        with redis.Redis.from_url(servers.endpoints.broker_url) as broker:
            assert broker.ping()


def test_a_server_that_cannot_start_says_why_and_nothing_is_left(home: Path) -> None:
    with running(home, durable=False) as servers:
        pass
    control = servers.postgres.folder / "data" / "global" / "pg_control"
    control.write_bytes(b"")
    told = pytest.raises(ServerError, match=r"(?s)postgres ended while starting.*pg_control")
    with told, running(home, durable=False):
        pass
    assert not any(server.running for server in servers.all)


def test_a_wrong_password_opens_nothing(servers: Servers) -> None:
    url = servers.endpoints.database_url.replace("+psycopg", "")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.replace(servers.postgres.password, "guessed"))
    wrong = servers.endpoints.broker_url.replace(servers.valkey.password, "guessed")
    with redis.Redis.from_url(wrong) as broker, pytest.raises(redis.AuthenticationError):
        broker.ping()


def test_only_their_owner_can_read_the_keys(servers: Servers) -> None:
    for secret in (
        servers.home / "servers.json",
        servers.seaweedfs.folder / "s3.json",
        servers.valkey.folder / "valkey.conf",
    ):
        assert secret.stat().st_mode & 0o077 == 0


def test_stopping_what_never_started_is_fine(home: Path) -> None:
    assert not stack.stop_all(home)
