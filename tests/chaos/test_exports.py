"""Atlases as files while the API is killed in the midst of its answers: the same call goes on, with nothing
missing and nothing twice."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import text

import imago
from services.access import keys
from services.base.database import Database
from services.base.storage import ObjectStore
from tests.api_process import ApiProcess
from tests.worker_processes import ROOT

pytestmark = pytest.mark.chaos
SMALL_ATLAS = ROOT / "docs" / "small-atlas"
OnProgress = Callable[[int, int], object]
T = TypeVar("T")


class Api(ApiProcess):
    """One that is killed and started again while it is asked."""

    def restart(self) -> None:
        self.kill()
        self.start()

    def under_fire(self, call: Callable[[OnProgress], T], *shares: float) -> T:
        """Make a call, again where it breaks off, while the API is killed: each time when so large a share of
        it was done."""
        left, restarting = list(shares), threading.Lock()

        def restart() -> None:
            with restarting:
                self.restart()

        def watch(done: int, total: int) -> None:
            if left and done >= left[0] * total:
                left.pop(0)
                threads.append(threading.Thread(target=restart))
                threads[-1].start()

        threads: list[threading.Thread] = []
        while True:
            try:
                found = call(watch)
            except imago.Unreachable:
                time.sleep(0.1)
                continue
            finally:
                for thread in threads:
                    thread.join()
            assert not left
            return found


@pytest.fixture
def api(environment: dict[str, str], store: ObjectStore, tmp_path: Path) -> Iterator[Api]:
    api = Api(environment, "--workers", "1", log=tmp_path / "api.log")
    api.start()
    yield api
    api.kill()


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def count(database: Database, table: str) -> int:
    with database.session() as session:
        return int(session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


@pytest.mark.thorough
def test_an_import_an_export_and_a_site_are_whole_although_the_api_is_killed_in_their_midst(
    api: Api, database: Database, tmp_path: Path
) -> None:
    with database.session() as session:
        _, key = keys.create_key(session, "an operator", ["read", "jobs:write", "admin"])
    with imago.Client(api.url, key) as client, imago.open(SMALL_ATLAS) as theirs:
        units = theirs.manifest["entries"]
        # Of twice as many steps the first half is the check of the files.
        atlas = api.under_fire(lambda watch: client.atlases.load(SMALL_ATLAS, watch), 0.55, 0.8)
        assert [count(database, table) for table in ("atlases", "atlas_entries", "visualizations")] == [
            1,
            units,
            units,
        ]
        assert count(database, "atlas_imports") == 0
        folder = api.under_fire(lambda watch: atlas.export(tmp_path / "mine", on_progress=watch), 0.5)
        with imago.open(folder) as ours:
            ours.check()
            for layer in theirs.layers():
                shown = [[unit.raw["facets"] for unit in each.units(layer.name)] for each in (ours, theirs)]
                assert shown[0] == shown[1]
        sites = tmp_path / "site", tmp_path / "again"
        api.under_fire(lambda watch: atlas.export_site(sites[0], on_progress=watch), 0.5)
        atlas.export_site(sites[1])
        assert files_of(sites[0]) == files_of(sites[1])
