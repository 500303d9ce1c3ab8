"""The embedded servers: started, killed and started again with the same data, ports and keys."""

import socket
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis

from imago_engine.artifacts import ArtifactKind
from infra.local import stack
from infra.local.server import ServerError
from infra.local.servers import Servers, running
from services.base.settings import Settings
from services.base.storage import ObjectStore


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
        key = store.put(ArtifactKind.IMAGE, b"some picture", "image/png")
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
        servers.seaweedfs.folder / "security.toml",
        servers.seaweedfs.folder / "tls" / "key.pem",
        servers.valkey.folder / "valkey.conf",
    ):
        assert secret.stat().st_mode & 0o077 == 0


def _asked(method: str, port: int, path: str) -> int:
    """The status of a request without any key."""
    address = f"http://127.0.0.1:{port}{path}"
    body = b"something" if method in ("PUT", "POST") else None
    try:
        with urllib.request.urlopen(
            urllib.request.Request(address, body, method=method), timeout=30
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_without_a_key_nobody_reads_or_changes_what_the_store_holds(servers: Servers) -> None:
    store = _store(servers)
    store.ensure_bucket()
    key = store.put(ArtifactKind.IMAGE, b"a picture that nobody may touch", "image/png")
    weed = servers.seaweedfs
    (volume,) = (int(path.stem.split("_")[-1]) for path in (weed.folder / "data").glob("imago_*.dat"))
    object_path = f"/buckets/imago/{key}"
    needle = f"/{volume},01a2b3c4d5"
    methods = {
        weed.filer: [
            *((method, object_path) for method in ("GET", "HEAD", "PUT", "POST", "DELETE")),
            ("DELETE", "/buckets/imago?recursive=true&ignoreRecursiveError=true"),
            ("GET", "/"),
            ("POST", "/tmp/x"),
        ],
        weed.master: [
            *(("GET", path) for path in ("/dir/assign", "/dir/lookup?volumeId=1", "/dir/status")),
            *(("GET", path) for path in ("/vol/grow?count=1", "/vol/vacuum", "/col/delete?collection=imago")),
            *(("POST", path) for path in ("/submit", "/dir/assign", "/vol/grow?count=1", "/vol/vacuum")),
            ("POST", "/col/delete?collection=imago"),
            ("DELETE", "/col/delete?collection=imago"),
        ],
        weed.volume: [(method, needle) for method in ("GET", "HEAD", "PUT", "POST", "DELETE")],
        weed.s3: [(method, f"/imago/{key}") for method in ("GET", "HEAD", "PUT", "DELETE")],
    }
    for port, requests in methods.items():
        for method, path in requests:
            assert _asked(method, port, path) in (401, 403, 404, 405), f"{method} {path}"
    assert store.get(key) == b"a picture that nobody may touch"
    assert store.get(store.put(ArtifactKind.IMAGE, b"another", "image/png")) == b"another"


HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


def test_without_a_certificate_nobody_commands_the_store(servers: Servers) -> None:
    weed = servers.seaweedfs
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    for port in (weed.s3, weed.master, weed.volume, weed.filer):
        with socket.create_connection(("127.0.0.1", port + 10_000), timeout=30) as plain:
            plain.sendall(HTTP2)
            assert plain.recv(100) == b"", f"gRPC of port {port} answers without TLS"
        with (
            socket.create_connection(("127.0.0.1", port + 10_000), timeout=30) as plain,
            context.wrap_socket(plain) as encrypted,
            pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
        ):
            _talk(encrypted)
    for path in Path("/tmp").glob(f"seaweedfs-*-{weed.filer + 10_000}.sock"):
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(30)
            plain.connect(str(path))
            plain.sendall(HTTP2)
            assert plain.recv(100) == b""


def _talk(connection: ssl.SSLSocket) -> None:
    connection.sendall(HTTP2)
    connection.recv(100)


def test_no_password_is_among_the_arguments(servers: Servers) -> None:
    keys = (servers.postgres.password, servers.valkey.password, servers.seaweedfs.secret_key)
    for server in servers.all:
        process = server.process.find()
        assert process is not None
        for each in (process, *process.children(recursive=True)):
            assert not [key for key in keys if key in " ".join(each.cmdline())]


def test_stopping_what_never_started_is_fine(home: Path) -> None:
    assert not stack.stop_all(home)
