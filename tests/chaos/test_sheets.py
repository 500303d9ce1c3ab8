"""A worker that is killed in the midst of a sheet or an export: another one ends it, with nothing missing."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from sqlalchemy import text

from services.atlases import atlases, creation, publishing
from services.atlases.atlas_request import AtlasRequest
from services.base.states import AtlasState
from services.exports import exports
from services.exports.tar import ExportTar
from services.sheets import sheets
from services.sheets.layout import Place
from tests.worker_processes import NETWORK, Scene, until

pytestmark = pytest.mark.chaos


def test_what_a_killed_worker_was_making_is_ended_by_the_next(scene: Scene, tmp_path: Path) -> None:
    recipe = {"parameters": {"steps": 5}}
    asked = {"network": NETWORK, "layers": ["output"], "units": "0-39", "recipe": recipe}
    with scene.database.session() as session:
        atlas = creation.create(session, AtlasRequest.model_validate(asked))[0].id
    marker, other = tmp_path / "killed", tmp_path / "killed-too"
    worker = scene.start_child(IMAGO_CRASH_AT="sheet_stored", IMAGO_CRASH_ONCE=os.fspath(marker))

    def is_built() -> bool:
        assert worker.running, worker.tail()
        with scene.database.session() as session:
            return atlases.get(session, atlas).state == AtlasState.COMPLETE

    until(is_built, "all pictures are made")
    with scene.database.session() as session:
        assert sheets.find(session, atlas, "open", "output").sheet is None
    until(lambda: not worker.running, "the worker is killed while it makes the sheet")
    assert marker.exists()
    second = scene.start_child(IMAGO_CRASH_AT="export_stored", IMAGO_CRASH_ONCE=os.fspath(other))

    def is_made() -> bool:
        with scene.database.session() as session:
            session.execute(
                text("UPDATE work SET not_before = now() WHERE not_before > now() AND kind = 'sheet'")
            )
            return sheets.find(session, atlas, "open", "output").current

    until(is_made, "the next worker has ended it")
    with scene.database.session() as session:
        found = sheets.find(session, atlas, "open", "output").sheet
        rows = session.execute(text("SELECT sheet, level, col, row, object FROM sheet_tiles")).all()
    assert found is not None
    layout = found.layout
    assert {Place(row.level, row.col, row.row) for row in rows} == {
        Place(level, col, row)
        for level in range(layout.top + 1)
        for col in range(layout.grid_of(level)[0])
        for row in range(layout.grid_of(level)[1])
    }
    for key in (found.picture_object, *(row.object for row in rows)):
        assert hashlib.sha256(scene.store.get(key)).hexdigest() in key
    assert scene.count("SELECT count(*) FROM work WHERE kind = 'sheet'") == 0

    with scene.database.session() as session:
        publishing.publish(session, atlas)
    publishing.publish_at_once(scene.database, atlas, seconds=60)
    with scene.database.session() as session:  # the export would wait for it
        session.execute(text("DELETE FROM work WHERE kind = 'map'"))
    until(lambda: not second.running, "the worker is killed while it writes the export")
    assert other.exists()
    scene.start_child()
    tars: list[ExportTar] = []

    def is_written() -> bool:
        with scene.database.session() as session:
            session.execute(text("UPDATE work SET not_before = now() WHERE kind = 'export'"))
            found = exports.find(session, atlas, "1").tar
        tars.extend([] if found is None else [found])
        return found is not None

    until(is_written, "the next worker has written it")
    written = b"".join(tars[0].read(0, tars[0].size, lambda stored: scene.store.get(stored.key)))
    assert len(written) == tars[0].size
    manifest = json.loads(scene.store.get(tars[0].manifest.key))
    assert (manifest["entries"], manifest["pictures"]) == (40, 40)
    assert scene.count("SELECT count(*) FROM atlas_export_parts") == 1
