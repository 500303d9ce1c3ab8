"""A worker that is killed in the midst of a map: another one draws it, and nothing half is shown."""

import hashlib
import os
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from services.atlases import atlases, creation
from services.atlases.atlas_request import AtlasRequest
from services.base.states import AtlasState
from services.maps import maps
from services.maps.maps import ShownMap
from tests.worker_processes import NETWORK, Scene, until

pytestmark = pytest.mark.chaos


def test_a_map_whose_worker_is_killed_is_drawn_by_the_next(scene: Scene, tmp_path: Path) -> None:
    asked = {"network": NETWORK, "layers": ["output"], "units": "0-9", "recipe": {"parameters": {"steps": 5}}}
    with scene.database.session() as session:
        atlas = creation.create(session, AtlasRequest.model_validate(asked))[0].id
    marker = tmp_path / "killed"
    worker = scene.start_child(IMAGO_CRASH_AT="map_stored", IMAGO_CRASH_ONCE=os.fspath(marker))

    def is_built() -> bool:
        assert worker.running, worker.tail()
        with scene.database.session() as session:
            return atlases.get(session, atlas).state == AtlasState.COMPLETE

    def shown(asked: bool = False) -> ShownMap:
        with scene.database.session() as session:
            return maps.find(session, atlas, "open", asked=asked)

    until(is_built, "all pictures are made")
    shown(asked=True)
    until(lambda: not worker.running, "the worker is killed after it put the points")
    assert marker.exists()
    assert shown().map is None
    scene.start_child()

    def is_made() -> bool:
        with scene.database.session() as session:
            session.execute(text("UPDATE work SET not_before = now() WHERE kind = 'map'"))
        return shown().current

    until(is_made, "the next worker has drawn it")
    found = shown().map
    assert found is not None
    assert found.units == 10
    assert hashlib.sha256(scene.store.get(found.points_object)).hexdigest() in found.points_object
    assert scene.count("SELECT count(*) FROM work WHERE kind = 'map'") == 0


def test_the_process_that_draws_does_not_outlive_its_worker(scene: Scene, tmp_path: Path) -> None:
    asked = {"network": NETWORK, "layers": ["output"], "units": "0-9", "recipe": {"parameters": {"steps": 5}}}
    with scene.database.session() as session:
        atlas = creation.create(session, AtlasRequest.model_validate(asked))[0].id
    worker = scene.start_child(IMAGO_CRASH_AT="mid_map", IMAGO_CRASH_HOW="hang")

    def is_built() -> bool:
        assert worker.running, worker.tail()
        with scene.database.session() as session:
            return atlases.get(session, atlas).state == AtlasState.COMPLETE

    def drawing() -> list[psutil.Process]:
        here = os.fspath(scene.settings.cache_folder)
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if "worker.maps.projection" in (process.info["cmdline"] or [])
            and any(part.startswith(here) for part in process.info["cmdline"])
        ]

    until(is_built, "all pictures are made")
    with scene.database.session() as session:
        maps.find(session, atlas, "open", asked=True)
    until(lambda: len(drawing()) == 1, "it is drawn")
    worker.kill()
    until(lambda: drawing() == [], "the process has ended with its worker")
