"""What can happen to a store: objects that vanish or rot, and answers that fail on their way."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from typing import Literal
from urllib.parse import urlsplit

import boto3

from services.base.settings import Settings
from services.base.storage import ObjectStore

Fault = Literal["none", "500", "503", "cut", "closed"]


def lose(store: ObjectStore, key: str) -> None:
    """Remove an object behind everyone's back."""
    assert store.has(key)
    store.delete(key)


def damage(settings: Settings, key: str, data: bytes | None = None) -> bytes:
    """Put other bytes in the place of an object's own; returns them. By default one bit differs."""
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key,
        aws_secret_access_key=settings.s3_secret_key.get_secret_value(),
    )
    if data is None:
        rotten = bytearray(client.get_object(Bucket=settings.s3_bucket, Key=key)["Body"].read())
        rotten[len(rotten) // 2] ^= 1
        data = bytes(rotten)
    client.put_object(Bucket=settings.s3_bucket, Key=key, Body=data)
    client.close()
    return data


class FaultyStore:
    """A relay in front of the real store. `fault` says what becomes of its answers from now on."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.target = (parts.hostname, parts.port)
        self.fault: Fault = "none"
        self.requests = 0


@contextmanager
def faulty_store(settings: Settings) -> Iterator[tuple[FaultyStore, Settings]]:
    """The relay, and settings that lead through it."""
    relay = FaultyStore(settings.s3_endpoint_url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _relay(self) -> None:
            relay.requests += 1
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if relay.fault in ("500", "503"):
                self.send_response(int(relay.fault))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if relay.fault == "closed":
                self.close_connection = True
                return
            connection = HTTPConnection(*relay.target)
            # The host is part of what is signed.
            connection.request(self.command, self.path, body or None, dict(self.headers))
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            if relay.fault == "cut":
                data, self.close_connection = data[: len(data) // 2], True
            self.wfile.write(data)

        do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = _relay

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    class Relay(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Whoever has gone away needs no answer."""

    with Relay(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        yield relay, settings.model_copy(update={"s3_endpoint_url": url})
        server.shutdown()
        thread.join()
