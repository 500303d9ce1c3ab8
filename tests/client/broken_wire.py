"""A wire between client and server that breaks when a test says so: a TCP relay in front of the real API."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class BrokenWire:
    """Carries one request a connection. The first `lose` answers are lost, of all requests or of those that
    begin with `to`, such as a method: read from the server and thrown away or, with `keep`, cut after about
    so many bytes."""

    def __init__(self, url: str, *, lose: int, to: str = "", keep: int = 0) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = (parts.hostname, parts.port)
        self._left, self._to, self._keep = lose, to.encode(), keep
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._relays: list[threading.Thread] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @contextmanager
    def carrying(self) -> Iterator["BrokenWire"]:
        self._thread.start()
        try:
            yield self
        finally:
            # Wakes the accept, which closing alone does not.
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._thread.join()
            for relay in self._relays:
                relay.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            relay = threading.Thread(target=self._carry, args=(connection,))
            self._relays.append(relay)
            relay.start()

    def _carry(self, connection: socket.socket) -> None:
        # Who has gone away needs no answer.
        with connection, suppress(ConnectionError):
            self._relay(connection)

    def _relay(self, connection: socket.socket) -> None:
        request = _read_message(connection)
        if not request:
            return
        is_lost = self._left > 0 and request.startswith(self._to)
        self._left -= is_lost
        carried = 0
        with socket.create_connection(self._target) as server:
            server.sendall(_closing(request))
            while chunk := server.recv(65536):
                if is_lost and carried >= self._keep:
                    if self._keep:
                        return
                    continue
                connection.sendall(chunk)
                carried += len(chunk)


def _read_message(connection: socket.socket) -> bytes:
    """One HTTP/1.1 request: its head, and as much of a body as Content-Length says."""
    data = bytearray()
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return b""
        data += chunk
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def _closing(request: bytes) -> bytes:
    """The request with `Connection: close`, so that the end of the answer is the end of the connection."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body
