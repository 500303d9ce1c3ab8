"""Objects are named by their bytes; what the store cannot do is said in one way."""

import hashlib
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from imago_engine.artifacts import ArtifactKind
from services.base.errors import NotFound, Unavailable
from services.base.settings import Settings
from services.base.storage import ObjectStore, key_of, sha256_of_key


def test_an_object_is_named_by_its_bytes_and_comes_back_whole(store: ObjectStore) -> None:
    data = bytes(range(256)) * 1000
    key = store.put(ArtifactKind.IMAGE, data, "image/png")
    name = hashlib.sha256(data).hexdigest()
    assert key == f"objects/{name[:2]}/{name}.png" == key_of(ArtifactKind.IMAGE, data)
    assert sha256_of_key(key) == name
    assert store.put(ArtifactKind.IMAGE, data, "image/png") == key
    assert store.get(key) == data
    head = store.head(key)
    assert (head.size, head.content_type) == (256_000, "image/png")
    with store.stream(key) as stream:
        assert stream.head == head
        chunks = list(stream)
    assert len(chunks) > 1
    assert b"".join(chunks) == data


def test_what_is_not_there_is_not_found(store: ObjectStore) -> None:
    key = key_of(ArtifactKind.CODE, b"never stored")
    for ask in (store.get, store.head, store.stream):
        with pytest.raises(NotFound):
            ask(key)


def test_a_signed_address_lets_anyone_read_one_object(store: ObjectStore, settings: Settings) -> None:
    key = store.put(ArtifactKind.TRACE, b"1234", "application/octet-stream")
    with urlopen(store.presigned_get(key, 60)) as answer:
        assert answer.read() == b"1234"
    with (
        pytest.raises(HTTPError) as raised,
        urlopen(f"{settings.s3_endpoint_url}/{settings.s3_bucket}/{key}"),
    ):
        pass
    raised.value.close()
    assert raised.value.code == 403
    with pytest.raises(ValueError, match="between 1 and 900"):
        store.presigned_get(key, 901)


def test_addresses_are_signed_for_where_clients_reach_the_store(settings: Settings) -> None:
    public = ObjectStore(
        settings.model_copy(update={"s3_public_endpoint_url": "https://pictures.example.org"})
    )
    assert public.presigned_get("objects/ab/x.png").startswith("https://pictures.example.org/")


def test_the_bucket_is_made_once(settings: Settings) -> None:
    store = ObjectStore(settings)
    with pytest.raises(Unavailable, match="no bucket"):
        store.ping()
    store.ensure_bucket()
    store.ensure_bucket()
    store.ping()


def test_a_proxy_is_never_asked_for_a_store_on_this_machine(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    store = ObjectStore(settings)
    store.ensure_bucket()
    store.probe(write=True)
    elsewhere = settings.model_copy(update={"s3_endpoint_url": "http://store.example.org"})
    with pytest.raises(Unavailable, match="proxy"):
        ObjectStore(elsewhere, attempts=1).ping()


def test_an_absent_store_is_unavailable(settings: Settings, tmp_path: Path) -> None:
    store = ObjectStore(settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"}))
    for ask in (
        store.ping,
        lambda: store.put(ArtifactKind.CODE, b"x", "application/octet-stream"),
        lambda: store.get("x"),
    ):
        with pytest.raises(Unavailable, match="The object store does not answer"):
            ask()


@pytest.mark.parametrize("key", ["objects/ab/../x.png", "x", "objects/AB/" + "a" * 64 + ".png"])
def test_what_is_no_key_has_no_hash(key: str) -> None:
    with pytest.raises(ValueError, match="not the key"):
        sha256_of_key(key)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that reads what has arrived, says so much and hangs up; its address."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 100 Continue\r\n",
        b"HTTP/1.1 100 Continue\r\nX-Name: value\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
    ],
)
def test_an_answer_that_breaks_off_anywhere_ends_as_unavailable(
    settings: Settings, tmp_path: Path, answer: bytes
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"data")
    with answering(answer) as address:
        store = ObjectStore(settings.model_copy(update={"s3_endpoint_url": address}))
        for use in (
            lambda: store.get("objects/00/" + "0" * 64 + ".png"),
            lambda: store.head("objects/00/" + "0" * 64 + ".png"),
            lambda: store.age_seconds("objects/00/" + "0" * 64 + ".png"),
            lambda: store.list("", None, 10),
            lambda: store.put(ArtifactKind.IMAGE, b"picture", "image/png"),
            lambda: store.put_file("generators/" + "0" * 64 + ".safetensors", file),
            lambda: store.probe(write=True),
        ):
            with pytest.raises(Unavailable):
                use()
