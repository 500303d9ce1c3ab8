import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread

import pytest

from imago_engine.importing.errors import GeneratorImportError
from imago_engine.importing.fetching import HUB, Open, Response, _OnlyHttps, address_of, fetched, open_https

CONTENT = bytes(range(256)) * 9000
FC6 = "hf:binxu/DeePSim_DosovitskiyBrox2016/upconvGAN_fc6.pt"


class Hub(BaseHTTPRequestHandler):
    """What the hub answers: one file, one without a length, one that breaks off."""

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[-1]
        if not self.path.startswith("/binxu/DeePSim_DosovitskiyBrox2016/resolve/main/"):
            self.send_error(404)
            return
        self.send_response(200)
        if name != "unmeasured.pt":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        with suppress(ConnectionError):  # whoever asked may have had enough
            self.wfile.write(CONTENT[: 1 << 20] if name == "broken.pt" else CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def open_url() -> Iterator[Open]:
    """Opens the hub's https addresses at a loopback server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()

    def opened(url: str) -> AbstractContextManager[Response]:
        assert url.startswith(HUB + "/")
        loopback = url.replace(HUB, f"http://127.0.0.1:{server.server_port}")
        response: AbstractContextManager[Response] = urllib.request.urlopen(loopback, timeout=10)
        return response

    yield opened
    server.shutdown()
    server.server_close()


def test_a_local_file_is_used_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "g.pt"
    path.write_bytes(b"x")
    with fetched(str(path)) as found:
        assert found == path
    assert path.exists()


def test_a_file_of_the_hub_arrives_whole_with_progress_and_is_removed_afterwards(open_url: Open) -> None:
    seen: list[tuple[int, int | None]] = []
    with fetched(FC6, open_url=open_url, on_progress=lambda done, total: seen.append((done, total))) as path:
        assert path.name == "upconvGAN_fc6.pt"
        assert path.read_bytes() == CONTENT
    assert not path.exists()
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert len(seen) > 2


def test_a_file_of_unknown_length_arrives_whole(open_url: Open) -> None:
    with fetched(FC6.replace("upconvGAN_fc6", "unmeasured"), open_url=open_url) as path:
        assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["upconvGAN_fc6.pt", "unmeasured.pt"])
def test_more_than_the_limit_is_refused_announced_or_not(open_url: Open, name: str) -> None:
    source = FC6.replace("upconvGAN_fc6.pt", name)
    with (
        pytest.raises(GeneratorImportError, match="the limit of 100,000"),
        fetched(source, open_url=open_url, limit=100_000),
    ):
        pass


def test_a_download_that_breaks_off_is_refused(open_url: Open) -> None:
    source = FC6.replace("upconvGAN_fc6", "broken")
    with (
        pytest.raises(GeneratorImportError, match="cut off: expected 2,304,000 bytes, got 1,048,576"),
        fetched(source, open_url=open_url),
    ):
        pass


def test_what_the_server_does_not_have_is_named_with_its_answer(open_url: Open) -> None:
    with (
        pytest.raises(
            GeneratorImportError, match=r"huggingface\.co/nobody/nothing/.* could not be fetched: .*404"
        ),
        fetched("hf:nobody/nothing/x.pt", open_url=open_url),
    ):
        pass


@pytest.mark.parametrize(
    ("source", "address"),
    [
        (FC6, f"{HUB}/binxu/DeePSim_DosovitskiyBrox2016/resolve/main/upconvGAN_fc6.pt"),
        ("hf:binxu/DeePSim@v2/weights/fc 6.pt", f"{HUB}/binxu/DeePSim/resolve/v2/weights/fc%206.pt"),
        ("https://example.org/g.pt", "https://example.org/g.pt"),
        ("folder/g.pt", None),
    ],
)
def test_a_sources_address(source: str, address: str | None) -> None:
    assert address_of(source) == address


@pytest.mark.parametrize("source", ["hf:binxu", "hf:binxu/repo", "hf:binxu/repo/", "hf://x"])
def test_a_hub_source_without_a_file_is_refused(source: str) -> None:
    with pytest.raises(GeneratorImportError, match="expected hf:OWNER/NAME/FILE"):
        address_of(source)


@pytest.mark.parametrize(
    "source", ["http://example.org/g.pt", "ftp://example.org/g.pt", "file:///etc/passwd", "https:///g.pt"]
)
def test_only_https_is_fetched(source: str) -> None:
    with pytest.raises(GeneratorImportError, match="only https"), fetched(source):
        pass
    with pytest.raises(GeneratorImportError, match="only https"):
        open_https(source)


def test_a_redirect_away_from_https_is_not_followed() -> None:
    request = urllib.request.Request("https://example.org/g.pt")
    with pytest.raises(GeneratorImportError, match="only https is followed"):
        _OnlyHttps().redirect_request(
            request, BytesIO(), 302, "Found", HTTPMessage(), "http://127.0.0.1/g.pt"
        )
    followed = _OnlyHttps().redirect_request(
        request, BytesIO(), 302, "Found", HTTPMessage(), "https://cdn.example.org/g.pt"
    )
    assert followed is not None
    assert followed.full_url == "https://cdn.example.org/g.pt"


def test_a_missing_file_says_what_would_be_accepted(tmp_path: Path) -> None:
    with (
        pytest.raises(GeneratorImportError, match=r"no such file; expected a file, an https address or hf:"),
        fetched(str(tmp_path / "nothing.pt")),
    ):
        pass
