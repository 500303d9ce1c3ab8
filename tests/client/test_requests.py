"""What is no JSON is refused before anything is sent, and lines that are read end at newlines alone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import numpy as np
import pytest

from imago.atlases.atlas import Atlas
from imago.cli.named_values import named_value
from imago.errors import InvalidRequest, Unavailable
from imago.transport import Patience, Transport


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), "caf\udce9", np.int64(3), {1}],
    ids=["nan", "inf", "text", "numpy", "set"],
)
def test_what_is_no_json_is_told_as_a_request_that_cannot_be(value: Any) -> None:
    with (
        Transport("http://127.0.0.1:1", None) as transport,
        pytest.raises(InvalidRequest, match="cannot be written as JSON"),
    ):
        transport.post("/v1/jobs", {"recipe": {"parameters": {"learning_rate": value}}})


def test_a_value_that_is_nested_too_deeply_to_be_json_is_a_text() -> None:
    assert named_value("--param", "a=" + "[" * 100_000, "a=1") == ("a", "[" * 100_000)


def test_a_text_in_a_line_may_have_what_elsewhere_ends_lines() -> None:
    entries = [{"label": f"a{character}b"} for character in "\u2028\u2029\u0085é"]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            whole = b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in entries)
            self.send_response(200)
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            self.wfile.write(whole)

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        answers = Thread(target=server.handle_request)
        answers.start()
        with Transport(f"http://127.0.0.1:{server.server_address[1]}", None) as transport:
            assert [*transport.lines("/v1/lines")] == entries
        answers.join()


@contextmanager
def _busy_once(wait: str, **objects: Any) -> Iterator[tuple[str, list[str]]]:
    """The address of a server that answers the first POST with 503 and `Retry-After: wait`, others with {},
    and a GET with the object of the path's last segment; and the methods that it was asked with."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append("GET")
            self._answer(200, objects[self.path.rpartition("/")[2]])

        def do_POST(self) -> None:
            asked.append("POST")
            self._answer(503 if asked.count("POST") == 1 else 200, {})

        def _answer(self, status: int, body: Any) -> None:
            whole = json.dumps(body).encode()
            self.send_response(status)
            if status == 503:
                self.send_header("Retry-After", wait)
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            self.wfile.write(whole)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_what_may_not_be_sent_twice_is_sent_again_when_the_server_wants_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    with _busy_once("7") as (url, asked), Transport(url, None) as transport:
        monkeypatch.setattr("imago.transport.time.sleep", slept.append)
        assert transport.post_once("/v1/jobs/a/retry", lambda: None) == {}
    assert (slept, asked) == ([7.0], ["POST", "POST"])


def test_what_the_server_wants_later_than_there_is_patience_is_not_sent_again() -> None:
    patience = Patience(seconds=30.0)
    with (
        _busy_once("60") as (url, asked),
        Transport(url, None, patience=patience) as transport,
        pytest.raises(Unavailable) as caught,
    ):
        transport.post_once("/v1/jobs/a/retry", lambda: None)
    assert (caught.value.retry_after, asked) == (60.0, ["POST"])


def test_a_server_that_publishes_at_once_may_lose_the_answer() -> None:
    """One of an earlier release does not say of a version whether it is being published."""
    objects: dict[str, dict[str, Any]] = {
        "a": {"id": "a", "open_version": 1},
        "1": {"number": 1, "published": True},
    }
    with _busy_once("0", **objects) as (url, asked), Transport(url, None) as transport:
        assert Atlas(objects["a"], transport).publish() == objects["1"]
    assert asked.count("POST") == 1
