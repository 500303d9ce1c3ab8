"""What is no JSON is refused before anything is sent, and lines that are read end at newlines alone."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import numpy as np
import pytest

from imago.cli.named_values import named_value
from imago.errors import InvalidRequest
from imago.transport import Transport


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
