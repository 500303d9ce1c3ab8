"""A worker that is killed in the midst of a comparison: another one ends it, nothing missing or twice."""

import os
from pathlib import Path

import pytest

from services.atlases import atlases, creation
from services.atlases.atlas_request import AtlasRequest
from services.base.states import AtlasState
from services.comparison import comparisons
from tests.worker_processes import NETWORK, Scene, until

pytestmark = pytest.mark.chaos


@pytest.mark.thorough
def test_a_comparison_whose_worker_is_killed_is_ended_by_the_next(scene: Scene, tmp_path: Path) -> None:
    ids = []
    for steps in (2, 5):
        recipe = {"parameters": {"steps": steps}}
        asked = {"network": NETWORK, "layers": ["output"], "units": "0-19", "recipe": recipe}
        with scene.database.session() as session:
            ids.append(creation.create(session, AtlasRequest.model_validate(asked))[0].id)
    marker = tmp_path / "killed"
    worker = scene.start_child(IMAGO_CRASH_AT="compared", IMAGO_CRASH_ONCE=os.fspath(marker))

    def are_built() -> bool:
        assert worker.running, worker.tail()
        with scene.database.session() as session:
            return all(atlases.get(session, id).state == AtlasState.COMPLETE for id in ids)

    until(are_built, "all pictures are made")
    with scene.database.session() as session:
        assert not comparisons.find(session, *ids).current
    until(lambda: not worker.running, "the worker is killed while it compares")
    assert marker.exists()
    scene.start_child()

    def is_made() -> bool:
        with scene.database.session() as session:
            return comparisons.find(session, *ids).current

    until(is_made, "the next worker has ended it")
    with scene.database.session() as session:
        (layer,) = comparisons.find(session, *ids).layers
    assert layer.figures is not None
    assert layer.figures["matched"] + layer.not_indexed == 20
    assert scene.count("SELECT count(*) FROM compared_units") == layer.figures["matched"]
    assert layer.sheet_object is not None
    assert scene.store.get(layer.sheet_object)
    assert scene.count("SELECT count(*) FROM work WHERE kind = 'compare'") == 0
