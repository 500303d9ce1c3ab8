"""How fast an atlas comes by one address, and what that costs everyone else: `make bench-exports`.

An atlas of so many pictures of noise is written down by what workers do, and downloaded once, with the
memory of the API watched. Then others read, with a new connection each, alone and beside 200 clients that
want to download it, of which each takes what it gets a few times a second.
"""

import argparse
import http.client
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from benchmarks import outcome
from benchmarks.reads_scene import NETWORK, Scene, running_servers, served, settings_of, work_off
from benchmarks.slow_clients import read
from infra.local.endpoints import Endpoints
from infra.local.processes.supervision import interruptible
from services.atlases import creation, publishing
from services.atlases.atlas_request import AtlasRequest
from services.atlases.building import steps
from services.atlases.building.steps import JobCursor
from services.base.database import Database
from services.base.storage import ObjectStore
from worker.exports.export_turn import Exports
from worker.leasing.held_leases import HeldLeases
from worker.process.stopping import StopFlag

_FACETS = 4
_MIB = 1 << 20
_OF_ONE_ADDRESS = 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=2400)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20, help="of each half (%(default)s)")
    given = parser.parse_args()
    try:
        with interruptible(), tempfile.TemporaryDirectory(prefix="imago-bench-") as folder:
            Path(folder).chmod(0o711)
            with running_servers(Path(folder) / "servers") as (endpoints, digest):
                path, row = _written(endpoints, given.pictures)
                with served(endpoints) as url:
                    row |= _downloaded(url, path)
                    row |= _beside(Scene(url, digest), path, given.clients, given.seconds)
    except KeyboardInterrupt:
        return 130
    outcome.write("exports", row)
    return 0


def _written(endpoints: Endpoints, pictures: int) -> tuple[str, dict[str, object]]:
    """The address of the export of an atlas, and what writing it down took."""
    settings = settings_of(endpoints)
    store, stop = ObjectStore(settings), StopFlag()
    with Database.opened(settings.database_url, pool_size=2) as database:
        atlas = _published(database, store, pictures)
        worker = Exports(HeldLeases(database, settings, "bench", stop), store, stop, alternating=False)
        began, turns = time.monotonic(), 0
        while worker.look():
            turns += 1
        seconds = time.monotonic() - began
    print(f"written down in {turns} turns, {seconds:.1f} s")
    path = f"/v1/atlases/{atlas}/versions/1/export.tar"
    return path, {"pictures": pictures, "writing_s": round(seconds, 1)}


def _published(database: Database, store: ObjectStore, pictures: int) -> str:
    asked = {"network": NETWORK, "layers": ["output"], "units": f"0-{pictures // _FACETS - 1}"}
    request = AtlasRequest.model_validate({**asked, "facets": _FACETS, "visibility": "public"})
    with database.session() as session:
        atlas = creation.create(session, request)[0].id
    cursor, goes_on = JobCursor(), True
    while goes_on:
        with database.session() as session:
            step = steps.step(session, atlas, cursor)
        cursor, goes_on = step.cursor, step.follows_at_once
    work_off(database, store)
    with database.session() as session:
        publishing.publish(session, atlas)
    publishing.publish_at_once(database, atlas, seconds=600)
    return atlas


def _downloaded(url: str, path: str) -> dict[str, object]:
    """All of it once."""
    api = _process_at(url)
    before = most = api.memory_info().rss
    worked = sum(api.cpu_times()[:2])
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    began, size = time.monotonic(), 0
    connection.request("GET", path)
    answer = connection.getresponse()
    if answer.status != 200:
        raise SystemExit(f"no export: {answer.read(500)!r}")
    while piece := answer.read(_MIB):
        size += len(piece)
        most = max(most, api.memory_info().rss)
    seconds, worked = time.monotonic() - began, sum(api.cpu_times()[:2]) - worked
    connection.close()
    print(f"{size / 1e6:.0f} MB in {seconds:.1f} s, {worked:.1f} s of them the API's own")
    print(f"the API had {before // _MIB} MiB, then {most // _MIB}")
    return {
        "mb": round(size / 1e6, 1),
        "seconds": round(seconds, 1),
        "api_processor_s": round(worked, 1),
        "mb_a_second": round(size / 1e6 / seconds, 1),
        "api_mib_before": before // _MIB,
        "api_mib_most": most // _MIB,
    }


def _process_at(url: str) -> psutil.Process:
    """The process of ours that listens there."""
    port = urlsplit(url).port
    for process in psutil.Process().children(recursive=True):
        listening = [each for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
        if any(each.laddr.port == port for each in listening):
            return process
    raise SystemExit("the API's process was not found")


def _beside(scene: Scene, path: str, clients: int, seconds: float) -> dict[str, object]:
    api = _process_at(scene.url)
    rows = [read(scene, "alone", seconds)]
    with _downloading(scene, path, clients) as told:
        rows.append(read(scene, f"beside {clients} downloads", seconds))
        memory = api.memory_info().rss // _MIB
    begun, refused = told
    print(f"{begun} had begun, {refused} were told to wait; the API has {memory} MiB")
    return {"downloads": begun, "told_to_wait": refused, "api_mib_beside": memory, "rows": rows}


@contextmanager
def _downloading(scene: Scene, path: str, clients: int) -> Iterator[tuple[int, int]]:
    """So many clients that begin to download, read by one thread; how many of them may, and may not."""
    address = (urlsplit(scene.url).hostname or "", urlsplit(scene.url).port or 80)
    open_ones: list[socket.socket] = []
    stop = threading.Event()

    def take() -> None:
        while not stop.wait(0.25):
            for connection in tuple(open_ones):
                try:
                    connection.recv(1 << 18)
                except BlockingIOError:
                    continue

    # From the first one on: who takes nothing is given up.
    thread = threading.Thread(target=take)
    thread.start()
    refused = 0
    for number in range(clients):
        # From several addresses: one may have only so many.
        source = (f"127.0.0.{2 + number // _OF_ONE_ADDRESS}", 0)
        connection = socket.create_connection(address, 60, source_address=source)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        if connection.recv(4096).startswith(b"HTTP/1.1 200"):
            connection.setblocking(False)
            open_ones.append(connection)
        else:
            refused += 1
            connection.close()
    try:
        yield len(open_ones), refused
    finally:
        stop.set()
        thread.join()
        for connection in open_ones:
            connection.close()


if __name__ == "__main__":
    sys.exit(main())
