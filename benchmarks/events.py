"""What 200 open streams of events cost everyone else: `make bench-events`.

Others read, with a new connection each, alone and beside so many streams: half of them of one job that goes
on (an item a second ends), the others of jobs of their own that wait. Their median and the time within which
95 % were answered.
"""

import argparse
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import outcome
from benchmarks.reads_scene import LAYER, NETWORK, Scene, result, running_servers, served, settings_of
from benchmarks.slow_clients import read
from infra.local.endpoints import Endpoints
from infra.local.processes.supervision import interruptible
from services.base.database import Database
from services.base.storage import ObjectStore
from services.jobs.job_request import JobRequest
from services.jobs.submission import submit
from services.queue import batches


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20, help="of each half (%(default)s)")
    given = parser.parse_args()
    try:
        with interruptible(), tempfile.TemporaryDirectory(prefix="imago-bench-") as folder:
            Path(folder).chmod(0o711)
            with (
                running_servers(Path(folder) / "servers") as (endpoints, digest),
                served(endpoints) as url,
            ):
                measured = _measure(Scene(url, digest), endpoints, given.streams, given.seconds)
    except KeyboardInterrupt:
        return 130
    outcome.write("events", measured)
    return 0


def _measure(scene: Scene, endpoints: Endpoints, streams: int, seconds: float) -> dict[str, object]:
    settings = settings_of(endpoints)
    with Database.opened(settings.database_url, pool_size=2) as database:
        busy = _submit(database, seed=100, units=f"0-{int(4 * seconds) + 60}")
        waiting = [_submit(database, seed=200 + number, units="0") for number in range(streams // 2)]
        # What ends goes on without streams, too, so that only these make the difference.
        with _going_on(database, ObjectStore(settings)):
            rows = [read(scene, "without streams", seconds)]
            with _open(scene, [busy] * (streams - len(waiting)) + waiting) as events:
                time.sleep(3)
                rows.append(read(scene, f"beside {streams} streams", seconds))
            row = {"streams": streams, "events_received": events[0], "rows": rows}
    print(f"{events[0]} events were received")
    return row


def _submit(database: Database, *, seed: int, units: str) -> str:
    body = {"network": NETWORK, "targets": [{"layer": LAYER, "units": units}], "seeds": [seed]}
    with database.session() as session:
        return submit(session, JobRequest.model_validate(body)).job.id


@contextmanager
def _going_on(database: Database, store: ObjectStore) -> Iterator[None]:
    """An item ends each second, as with a worker."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(1):
            with database.session() as session:
                claim = batches.claim(session, "bench", limit=1, lease_seconds=600)
            if claim is not None:
                done = [result(store, one) for one in claim.items]
                with database.session() as session:
                    batches.conclude(session, claim.lease_id, finished=done)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def _open(scene: Scene, jobs: list[str]) -> Iterator[list[int]]:
    """A stream of each job, read by one thread; how many events came, once it is over."""
    address = (urlsplit(scene.url).hostname or "", urlsplit(scene.url).port or 80)
    counted = [0]
    connections = []
    for number, job in enumerate(jobs):
        # From several addresses: one may have only so many.
        connection = socket.create_connection(address, 30, source_address=(f"127.0.0.{2 + number // 50}", 0))
        connection.sendall(f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        head = connection.recv(65536)
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"no stream: {head[:200]!r}")
        connection.setblocking(False)
        connections.append(connection)
    stop = threading.Event()

    def listen() -> None:
        while not stop.wait(0.25):
            for connection in connections:
                try:
                    counted[0] += connection.recv(1 << 20).count(b"event: ")
                except BlockingIOError:
                    continue

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield counted
    finally:
        stop.set()
        thread.join()
        for connection in connections:
            connection.close()


if __name__ == "__main__":
    sys.exit(main())
