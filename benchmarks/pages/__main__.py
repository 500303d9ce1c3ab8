"""How long each page takes with a million units in the database, and what it weighs: `make bench-pages`.

Networks with so many units are written with all that belongs to their pictures (rows over a few shared
images), and beside them what a service has that is used: jobs, a queue, atlases, trainings. Then each page is
asked for over one connection, units and layers chosen at random: p50 and p95, and the weight of its document,
styles and scripts. The servers' data stay below `--home`, so that a second run measures at once; stopped
anywhere, the same command goes on.

    python -m benchmarks.pages --units 100000
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from benchmarks import outcome
from benchmarks.atlas.account import Account
from benchmarks.atlas.loading import build_indexes, drop_indexes
from benchmarks.grid.scene import have_thumbnails_made
from benchmarks.pages import crowd, scene
from benchmarks.pages.visiting import Visitor, pages
from benchmarks.reads_scene import served, settings_of, stage
from infra.local.endpoints import Endpoints
from infra.local.processes.supervision import interruptible
from infra.local.servers import Servers
from services.base.database import Database, migrate
from services.base.storage import ObjectStore

UNITS, READS = 1_000_000, 60


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, default=Path(".imago/bench-pages"))
    parser.add_argument("--units", type=int, default=UNITS, help="in the database (%(default)s)")
    parser.add_argument("--reads", type=int, default=READS, help="of each page (%(default)s)")
    parser.add_argument("--only", help="pages whose names hold this; nothing is written then")
    given = parser.parse_args()
    os.environ.setdefault("IMAGO_LOG_LEVEL", "warning")
    home = (given.home / str(given.units)).resolve()
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o711)
    try:
        with interruptible(), _servers(home) as endpoints:
            account = Account(home / "bench.json")
            _load(endpoints, account, given.units)
            found = _measured(endpoints, account, given.units, given.reads, given.only or "")
    except KeyboardInterrupt:
        print("Stopped; the same command goes on.")
        return 130
    if not given.only:
        load = round(os.getloadavg()[0], 1)
        outcome.write("pages", {"units": given.units, "cores": os.cpu_count(), "load": load, "pages": found})
    return 0


def _load(endpoints: Endpoints, account: Account, units: int) -> None:
    """Write what is not there yet, into tables as they are now."""
    settings = settings_of(endpoints)
    migrate(settings.database_url)
    if "loaded" in account.facts:
        return
    began = time.monotonic()
    if "staged" not in account.facts:
        stage(endpoints)
        account.note(staged=True)
    large, small = scene.large(units), list(scene.small(units))
    with Database.opened(settings.database_url) as database:
        if "thumbnails" not in account.facts:
            with served(endpoints) as url:
                have_thumbnails_made(database, url)
            account.note(thumbnails=True)
        if "indexes" not in account.facts:
            with database.session() as session:
                account.note(indexes=scene.index_definitions(session))
        if "filled" not in account.facts:
            drop_indexes(database)
            for shown in (*small, large):
                scene.fill(database, shown, lambda said: print(f"  {said}", flush=True))
            account.note(filled=True)
        steps: dict[str, Callable[[Session], object]] = {
            "queue": lambda session: crowd.queue(session, units),
            "key": crowd.key,
            "jobs": lambda session: crowd.jobs(session, large),
            "atlases": lambda session: crowd.atlases(session, small),
            "trainings": lambda session: crowd.generators_and_trainings(session, ObjectStore(settings)),
            "scan": lambda session: crowd.scan(session, large),
            "map": lambda session: crowd.a_map(session, large),
        }
        for name, step in steps.items():
            _once(database, account, name, step)
        with _told("indexes"):
            build_indexes(database, account.facts["indexes"])
        _once(database, account, "comparison", lambda session: crowd.comparison(session, large))
        with _told("vacuum"):
            _settle(database)
    account.note(loaded=round(account.facts.get("seconds", 0) + time.monotonic() - began))


def _once(database: Database, account: Account, name: str, step: Callable[[Session], object]) -> None:
    if name in account.facts:
        return
    with _told(name), database.session() as session:
        session.execute(text("SET LOCAL statement_timeout = 0"))
        made = step(session)
    account.note(**{name: made if isinstance(made, str) else True})


def _settle(database: Database) -> None:
    """What autovacuum does in the hours that it has."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM (ANALYZE)"))
        connection.execute(text("CHECKPOINT"))


def _measured(
    endpoints: Endpoints, account: Account, units: int, reads: int, only: str
) -> list[dict[str, Any]]:
    found = []
    with served(endpoints) as url:
        visitor = Visitor(url, account.facts["key"])
        for page, path in pages(scene.large(units), list(scene.small(units))).items():
            if only in page:
                row = {"page": page, **visitor.visited(path, reads)}
                took = f"{row['p50_ms']:>7.1f} {row['p95_ms']:>7.1f} ms"
                print(f"  {page:<40} {took} {row['weight_kb']:>6.1f} KB", flush=True)
                found.append(row)
    return found


@contextmanager
def _servers(home: Path) -> Iterator[Endpoints]:
    servers = Servers(home, durable=False)
    started = [server for server in servers.all if not server.running]
    try:
        yield servers.start(owned=True)
    finally:
        servers.stop(started)


@contextmanager
def _told(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
