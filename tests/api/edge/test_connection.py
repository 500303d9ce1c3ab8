"""What a client can do to the server with connections alone, on the real server with shorter limits."""

import http.client
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from infra.local.servers import Servers
from services.base.database import Database
from services.base.settings import Settings
from tests.api.small_catalog import job_body, with_key
from tests.api_process import ApiProcess
from tests.own_settings import own_variables

LIMITS = {"HEAD_SECONDS": 3.0, "BODY_SECONDS": 3.0, "READER_SECONDS": 3.0, "CONNECTIONS": 240}
"""Shorter and fewer than the server's own, so that the tests need not wait for those."""
SLOW = 200


class Server(ApiProcess):
    """One with the limits above, in one process with four threads."""

    def __init__(self, settings: Settings, servers: Servers) -> None:
        shorter = "; ".join(f"limits.{name} = {seconds}" for name, seconds in LIMITS.items())
        main = "import sys; from api.__main__ import main; main(sys.argv[1:])"
        environment = {**own_variables(servers.endpoints, settings), "IMAGO_LOG_LEVEL": "warning"}
        super().__init__(
            environment, "--threads", "4", command=("-c", f"from api.edge import limits; {shorter}; {main}")
        )

    def connect(self, buffer: int | None = None) -> socket.socket:
        """A connection, of a client that takes no more than `buffer` bytes unless it reads."""
        made = socket.socket()
        if buffer is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        made.settimeout(60)
        made.connect(("127.0.0.1", self.port))
        return made

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def server(shared_settings: Settings, servers: Servers) -> Iterator[Server]:
    made = Server(shared_settings, servers)
    try:
        made.start()
        yield made
    finally:
        made.kill()


def answered(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """The answer, and that the connection then ends."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    body = answer.read()
    assert connection.recv(1) == b"", "the connection does not end"
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


HOST = b"Host: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        (b"GET /" + b"a" * 50_000, 414),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X-Large: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X-Large: " + b"a" * 400_000, 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: a\r\n" % n for n in range(200)) + b"\r\n", 431),
        (b"POST /v1/jobs HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 1048577\r\n\r\n{", 413),
        (
            b"POST /v1/jobs HTTP/1.1\r\n" + HOST + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
            b"200000\r\n" + b" " * 0x200000 + b"\r\n0\r\n\r\n",
            413,
        ),
        (b"GET / HTTP/1.1\r\n" + HOST, 408),
        (b"POST /v1/jobs HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 10\r\n\r\n{", 408),
        (b"POST /v1/jobs HTTP/1.1\r\n" + HOST + JSON + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", 408),
        (b"hello\r\n\r\n", 400),
        (b"FOO / HTTP/1.1\r\n" + HOST + b"\r\n", 501),
        (b"GETS /v1/jobs HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 1\r\n\r\n{", 501),
        (b"FOO BAR BAZ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: many\r\n\r\n", 400),
    ],
)
def test_what_cannot_be_a_request_is_refused_by_a_problem_and_the_connection_ends(
    server: Server, sent: bytes, status: int
) -> None:
    with server.connect() as connection:
        connection.sendall(sent)
        found, headers, body = answered(connection)
    assert (found, headers["content-type"]) == (status, "application/problem+json")
    assert headers["connection"] == "close"
    problem = json.loads(body)
    assert (problem["status"], problem["request_id"]) == (status, headers["x-request-id"])
    assert problem["type"].startswith("/docs#problem-")
    # What it points to is there.
    assert f'id="{problem["type"].partition("#")[2]}"'.encode() in server.get("/docs")[1]


BROWSER = (
    b"Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nReferer: http://localhost/search?q=cat\r\n\r\n"
)


@pytest.mark.parametrize(
    ("sent", "status", "advice"),
    [
        (b"GET /compare?a=" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + BROWSER, 414, b"write less"),
        (b"GET /compare?a=" + b"a" * 500_000 + b" HTTP/1.1\r\n" + HOST + BROWSER, 414, b"write less"),
        # Chromium says how long the body is before it says what it takes.
        (
            b"POST /search HTTP/1.1\r\n" + HOST + b"Content-Length: 3000000\r\n" + BROWSER + b"a" * 3_000_000,
            413,
            b"make it smaller",
        ),
        (
            b"POST /search HTTP/1.1\r\n"
            + HOST
            + b"Transfer-Encoding: chunked\r\n"
            + BROWSER
            + b"200000\r\n"
            + b" " * 0x200000
            + b"\r\n0\r\n\r\n",
            413,
            b"make it smaller",
        ),
        (
            b"POST /search HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n" + BROWSER + b"a",
            408,
            b"send it again",
        ),
        (
            b"GET / HTTP/1.1\r\n" + HOST + BROWSER[:-2] + b"X-Large: " + b"a" * 40_000 + b"\r\n\r\n",
            431,
            b"cookies",
        ),
        (b"GET / HTTP/1.1\r\n" + HOST + BROWSER[:-2] + b"A: b\r\nno header\r\n\r\n", 400, b"Open the page"),
        (b"FOO /compare?a=b HTTP/1.1\r\n" + HOST + BROWSER, 501, b"Open the page"),
    ],
)
def test_a_browser_is_refused_by_a_page_that_says_what_happened_and_what_to_do(
    server: Server, sent: bytes, status: int, advice: bytes
) -> None:
    with server.connect() as connection:
        connection.sendall(sent)
        found, headers, body = answered(connection)
    assert (found, headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert "default-src 'none'" in headers["content-security-policy"]
    for part in (b'<nav class="sections"', b"<h1>", advice, headers["x-request-id"].encode()):
        assert part in body
    assert b'href="/search?q=cat">Back to the page' in body


def test_what_is_for_programs_is_refused_by_a_document_whoever_asks(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /v1/jobs?a=" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + BROWSER)
        found, headers, _ = answered(connection)
    assert (found, headers["content-type"]) == (414, "application/problem+json")


@pytest.mark.parametrize("accept", [BROWSER, b"\r\n"])
def test_a_refusal_of_head_has_no_body(server: Server, accept: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(b"HEAD /search?q=" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + accept)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    assert received.startswith(b"HTTP/1.1 414 ")
    assert b"\r\nContent-Length: " in received
    assert received.endswith(b"\r\n\r\n")


def test_a_connection_too_many_is_told_to_come_again_as_it_can_read_it(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(int(LIMITS["CONNECTIONS"])):
            idle = stack.enter_context(server.connect())  # one that has asked for something may stay a while
            idle.sendall(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
            assert idle.recv(65536).startswith(b"HTTP/1.1 200")
        for accept, kind in ((BROWSER, "text/html; charset=utf-8"), (b"\r\n", "application/problem+json")):
            with server.connect() as connection:
                connection.sendall(b"GET / HTTP/1.1\r\n" + HOST + accept)
                found, headers, body = answered(connection)
            assert (found, headers["content-type"], headers["retry-after"]) == (503, kind, "5")
            assert b"too many connections" in body


def test_a_connection_carries_requests_one_after_the_other_and_sent_ahead(server: Server) -> None:
    request = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    with server.connect() as connection:
        for count in (1, 3):
            connection.sendall(request * count)
            received = b""
            while received.count(b'{"status":"ok"}') < count:
                received += connection.recv(65536)
            assert received.count(b"HTTP/1.1 200 OK") == count
        connection.sendall(b"GET /docs HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        assert answered(connection)[0] == 200


def test_two_hundred_slow_heads_bodies_and_readers_leave_the_others_their_answers(server: Server) -> None:
    head = b"GET /openapi.json HTTP/1.1\r\n" + HOST
    body = b"POST /v1/jobs HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 1000\r\n\r\n{"
    with ExitStack() as stack:
        slow = []
        for number in range(SLOW):
            connection = stack.enter_context(server.connect(2048))
            connection.sendall((head, body, (head + b"\r\n") * 2)[number % 3])
            slow.append(connection)
        stop = threading.Event()

        def drip() -> None:
            """As slow clients do: a byte now and then, so that no connection is ever idle."""
            while not stop.wait(0.5):
                for number, connection in enumerate(slow):
                    try:
                        if number % 3 == 2:
                            connection.recv(16)
                        else:
                            connection.send(b" " if number % 3 else b"X-A: b\r\n")
                    except OSError:
                        pass

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            for _ in range(20):
                # Waits for a minute: far more than it takes, and a server whose threads are held takes more.
                assert server.get("/v1/presets")[0] == 200
            # They are not kept for ever either.
            for number, connection in enumerate(slow):
                if number % 3 != 2:
                    assert _status_of(connection) == 408
        finally:
            stop.set()
            dripping.join()


def _status_of(connection: socket.socket) -> int:
    answer = http.client.HTTPResponse(connection)
    try:
        answer.begin()
    except ConnectionError:
        # It sent a byte after the server had given it up, and the reset has overtaken the answer.
        return 408
    return answer.status


def test_a_stop_answers_who_waits_and_does_not_wait_for_who_is_slow(
    shared_settings: Settings, servers: Servers, app: object, database: Database, network: str
) -> None:
    from flask import Flask

    assert isinstance(app, Flask)
    job = with_key(app, database, "jobs:write").post("/v1/jobs", json=job_body("0-3")).get_json()
    server = Server(shared_settings, servers)
    try:
        server.start()
        with server.connect() as waiting, server.connect() as slow_head, server.connect() as slow_body:
            slow_head.sendall(b"GET / HTTP/1.1\r\n" + HOST)
            slow_body.sendall(b"POST /v1/jobs HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 9\r\n\r\n{")
            path = job["links"]["self"].encode()
            waiting.sendall(b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"Prefer: wait=60\r\n\r\n")
            time.sleep(1)
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            status, headers, body = answered(waiting)
            assert (status, json.loads(body)["state"]) == (200, "queued")
            assert headers["connection"] == "close"
            assert server.process.wait(timeout=60) == 0
            assert time.monotonic() - began < 50  # of the 60 s that the client would have waited
    finally:
        server.kill()


def test_a_trailer_does_not_pass_for_a_header(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(
            b"GET /healthz HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            b"0\r\nX-Request-Id: from-the-trailer\r\n\r\n"
        )
        status, headers, _ = answered(connection)
    assert status == 200
    assert headers["x-request-id"] != "from-the-trailer"
