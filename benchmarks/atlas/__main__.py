"""What an atlas of a million units costs: `make bench-atlas`.

For each size an atlas of so many units is planned as the service does, its pictures are done without being
computed (rows over 10,000 shared images, embeddings drawn around real ones), its version is published, and
then every read of the API is measured, one at a time over one connection: p95 of 100. Runs on servers of its
own below `--home`; stopped anywhere, the same command goes on. What was measured is removed, unless `--keep`.

    python -m benchmarks.atlas --units 10000
"""

import argparse
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import quantiles
from typing import Any

import psutil

from benchmarks import outcome
from benchmarks.atlas import measuring
from benchmarks.atlas.account import Account
from benchmarks.atlas.comparing import compared, copied
from benchmarks.atlas.loading import build_indexes, drop_indexes, load
from benchmarks.atlas.pictures import put_images, real_pictures, seen
from benchmarks.atlas.planning import NETWORK, OTHER, claim_ms, planned, stage
from infra.local.endpoints import Endpoints
from infra.local.processes.supervision import interruptible
from infra.local.servers import Servers
from services.base.database import Database, migrate
from services.base.settings import Settings
from services.base.storage import ObjectStore

SIZES = (100_000, 1_000_000)
IMAGES = 10_000


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, default=Path(".imago/bench-atlas"))
    parser.add_argument("--units", type=int, nargs="+", default=SIZES, help="sizes (10^5 and 10^6)")
    parser.add_argument("--images", type=int, default=IMAGES, help="that pictures share (%(default)s)")
    parser.add_argument("--reads", type=int, default=100, help="of each endpoint (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave the servers' data where they are")
    given = parser.parse_args()
    os.environ.setdefault("IMAGO_LOG_LEVEL", "warning")
    try:
        with interruptible():
            for units in given.units:
                home = (given.home / str(units)).resolve()
                found = _size(home, units, given.images, given.reads)
                _show(found)
                _write(found)
                if not given.keep:
                    shutil.rmtree(home)
    except KeyboardInterrupt:
        print("Stopped; the same command goes on.")
        return 130
    return 0


def _size(home: Path, units: int, images: int, reads: int) -> dict[str, Any]:
    account = Account(home / "bench.json")
    if home.exists() and "planned" not in account.facts:
        # Half a planning cannot be timed.
        shutil.rmtree(home)
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o711)
    with _servers(home) as (servers, endpoints):
        names = endpoints.environment()
        settings = Settings(**{name.removeprefix("IMAGO_").lower(): value for name, value in names.items()})
        migrate(settings.database_url)
        with Database.opened(settings.database_url) as database:
            _plan(database, account, servers, units, reads)
            _fill(database, account, ObjectStore(settings), images)
            atlas = account.facts["planned"]["atlas"]
            _compare(database, account, atlas, units)
            other = account.facts["compared"]
            measured = measuring.measure(database, endpoints, atlas, other, units, reads)
    rows = [*account.facts["rows"], *measured.pop("endpoints")]
    return {"units": units, "endpoints": rows, **account.facts["figures"], **measured}


def _plan(database: Database, account: Account, servers: Servers, units: int, reads: int) -> None:
    if "planned" in account.facts:
        return
    with _told("planning"):
        stage(database, units)
        found = planned(database, NETWORK, _processes(servers))
    claims = claim_ms(database)
    figures = {
        "planning_s": round(found.seconds, 1),
        "planning_cpu_s": round(found.cpu_s, 1),
        "planning_transaction_s": round(found.transaction_s, 2),
        "planning_grown_mb": round(found.grown_mb),
        "claim_ms": round(quantiles(claims, n=20)[-1], 1),
    }
    rows = measuring.while_built(servers.endpoints, found.atlas, reads)
    account.note(planned=asdict(found), figures=figures, rows=rows)


def _fill(database: Database, account: Account, store: ObjectStore, images: int) -> None:
    if "filled" in account.facts:
        return
    began = time.monotonic()
    planned(database, OTHER)
    if "images" not in account.facts:
        with _told("images"):
            store.ensure_bucket()
            account.note(images=put_images(store, real_pictures(), images))
    with _told("embeddings of real pictures"):
        real = seen(real_pictures())
    if "indexes" not in account.facts:
        account.note(indexes=dict(drop_indexes(database)))
    drop_indexes(database)
    with _told("rows"):
        for network in (NETWORK, OTHER):
            load(database, network, account.facts["images"], real, _left)
    with _told("indexes"):
        build_indexes(database, account.facts["indexes"])
    with _told("publication"):
        figures = measuring.published(database, account.facts["planned"]["atlas"])
    with _told("vacuum"):
        measuring.settle(database)
    loading = account.facts.get("loading_s", 0.0) + time.monotonic() - began
    account.note(filled=True, figures={**account.facts["figures"], **figures, "loading_s": round(loading)})


def _compare(database: Database, account: Account, atlas: str, units: int) -> None:
    if "compared" in account.facts:
        return
    taken = {"bytes_a_unit": measuring.database_bytes(database) // units}
    with _told("a second atlas"):
        other = copied(database, atlas)
    with _told("comparison"):
        figures = compared(database, atlas, other)
    with _told("vacuum"):
        measuring.settle(database)
    account.note(compared=other, figures={**account.facts["figures"], **taken, **figures})


@contextmanager
def _servers(home: Path) -> Iterator[tuple[Servers, Endpoints]]:
    servers = Servers(home)
    started = [server for server in servers.all if not server.running]
    try:
        yield servers, servers.start(owned=True)
    finally:
        servers.stop(started)


def _processes(servers: Servers) -> list[psutil.Process]:
    """Those of PostgreSQL that are there now."""
    pid = servers.postgres.process.pid
    if pid is None:
        return []
    server = psutil.Process(pid)
    return [server, *server.children(recursive=True)]


@contextmanager
def _told(what: str) -> Iterator[None]:
    began = time.monotonic()
    print(f"{what} …", flush=True)
    yield
    print(f"{what}: {time.monotonic() - began:.0f} s", flush=True)


def _left(done: int, layers: int) -> None:
    if done % 25 == 0:
        print(f"  layer {done} of {layers}", flush=True)


def _show(found: dict[str, Any]) -> None:
    print(f"\n{found['units']} units")
    for row in found["endpoints"]:
        print(f"  {row['what']:<36} {row['p95_ms']:>8.1f} ms")
    for name, value in found.items():
        if name not in ("endpoints", "units"):
            print(f"  {name:<36} {value:>8}")


def _write(found: dict[str, Any]) -> None:
    """Into the results, in place of what was there of the same size."""
    path = outcome.FOLDER / "atlas.json"
    before = json.loads(path.read_text())["sizes"] if path.exists() else []
    sizes = [size for size in before if size["units"] != found["units"]]
    outcome.write("atlas", {"sizes": sorted([*sizes, found], key=lambda size: int(size["units"]))})


if __name__ == "__main__":
    raise SystemExit(main())
