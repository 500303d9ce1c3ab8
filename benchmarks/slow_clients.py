"""What 200 slow clients cost everyone else: `make bench-slow-clients`.

A third of them sends the head of a request byte by byte, a third its body, a third reads a picture a few
bytes at a time. Whoever is given up connects again. Beside them, and before them, others read with a new
connection each: their median and the time within which 95 % were answered.
"""

import argparse
import http.client
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import outcome
from benchmarks.reads_scene import Scene, running_servers, served
from infra.local.processes.supervision import interruptible

READ = ("/v1/presets", "/v1/networks")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20, help="of each half (%(default)s)")
    parser.add_argument("--url", help="measure a server that runs instead of ours")
    given = parser.parse_args()
    try:
        with interruptible():
            if given.url:
                rows = _measure(Scene(given.url, ""), given.clients, given.seconds)
            else:
                with tempfile.TemporaryDirectory(prefix="imago-bench-") as folder:
                    Path(folder).chmod(0o711)
                    with (
                        running_servers(Path(folder) / "servers") as (endpoints, digest),
                        served(endpoints) as url,
                    ):
                        rows = _measure(Scene(url, digest), given.clients, given.seconds)
    except KeyboardInterrupt:
        return 130
    outcome.write("slow_clients", {"slow_clients": given.clients, "rows": rows})
    return 0


def _measure(scene: Scene, clients: int, seconds: float) -> list[dict[str, object]]:
    rows = [read(scene, "alone", seconds)]
    stop = threading.Event()
    slow = threading.Thread(target=_be_slow, args=(scene, clients, stop))
    slow.start()
    try:
        time.sleep(2)
        rows.append(read(scene, f"beside {clients} slow clients", seconds))
    finally:
        stop.set()
        slow.join()
    return rows


def read(scene: Scene, what: str, seconds: float) -> dict[str, object]:
    """Read for so long, and print and return how fast that was."""
    took: list[float] = []
    failed = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        began = time.monotonic()
        connection = http.client.HTTPConnection(urlsplit(scene.url).netloc, timeout=10)
        try:
            connection.request("GET", READ[len(took) % len(READ)])
            answer = connection.getresponse()
            answer.read()
            failed += answer.status != 200
        except OSError:
            failed += 1
        finally:
            connection.close()
        took.append(time.monotonic() - began)
        time.sleep(0.01)
    took.sort()
    row: dict[str, object] = {
        "what": what,
        "requests": len(took),
        "failed": failed,
        "p50_ms": round(statistics.median(took) * 1000, 1),
        "p95_ms": round(took[int(len(took) * 0.95)] * 1000, 1),
    }
    print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    return row


def _be_slow(scene: Scene, clients: int, stop: threading.Event) -> None:
    address = (urlsplit(scene.url).hostname or "", urlsplit(scene.url).port or 80)
    held: dict[int, socket.socket] = {}
    while not stop.wait(0.2):
        for number in range(clients):
            try:
                if number not in held:
                    held[number] = _connect(address, number % 3, scene.picture)
                elif number % 3 == 2:
                    if not held[number].recv(64):
                        raise ConnectionError
                else:
                    held[number].send(b" " if number % 3 else b"X-A: b\r\n")
            except BlockingIOError:
                continue
            except OSError:
                if number in held:
                    held.pop(number).close()
    for connection in held.values():
        connection.close()


def _connect(address: tuple[str, int], kind: int, picture: str) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.settimeout(10)
    connection.connect(address)
    head = "Host: slow\r\nContent-Type: application/json\r\n"
    connection.sendall(
        (
            f"GET /v1/presets HTTP/1.1\r\n{head}",
            f"POST /v1/jobs HTTP/1.1\r\n{head}Content-Length: 100000\r\n\r\n{{",
            f"GET {picture} HTTP/1.1\r\n{head}\r\n" * 4,
        )[kind].encode()
    )
    connection.setblocking(False)
    return connection


if __name__ == "__main__":
    sys.exit(main())
