"""The table of an export tells where the map shows each unit, if there is a map when it is written: it waits
for one that a worker draws."""

import io
import json
import tarfile
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.exports import parts
from services.queue import workers
from services.search import indexing
from tests.api.of_atlases.test_export_tar import make_exports
from tests.api.of_atlases.test_maps import built, make_maps
from tests.integration.maps.mapped import Points
from tests.integration.search.indexed import direction
from tests.store_faults import lose

UNITS = 12
"""So few that no UMAP is fitted, which takes long the first time on a machine."""


class Scene:
    """A published version of an atlas, and what workers do for it."""

    def __init__(self, client: FlaskClient, database: Database, store: ObjectStore, settings: Settings):
        self._client, self._database, self._store, self._settings = client, database, store, settings
        self.atlas = built(client, database, store, visibility="public")
        assert client.post(f"{self.atlas}/publish").status_code == 200

    def register(self, *, draws_maps: bool) -> None:
        with self._database.session() as session:
            workers.register(session, "w", host="here", device="cpu", draws_maps=draws_maps)

    def run(self, statement: str) -> Any:
        with self._database.session() as session:
            return session.execute(sa.text(statement))

    def embedded(self, *, units: int) -> None:
        """The index has pictures of so many units."""
        query = sa.text("SELECT digest, layer || unit FROM visualizations ORDER BY layer, unit")
        with self._database.session() as session:
            pictures = session.execute(query).all()
            indexing.forget(session, [row.digest for row in pictures])
            indexing.add(session, {row.digest: direction(row.digest) for row in pictures[:units]})

    def work(self) -> None:
        """Do all that is planned, also what was put off."""
        self.run("UPDATE work SET not_before = now()")
        make_maps(self._database, self._store, self._settings)
        make_exports(self._database, self._store, self._settings)

    def lose_points(self) -> None:
        with self._database.session() as session:
            lose(self._store, session.execute(sa.text("SELECT points_object FROM maps")).scalar_one())

    def rows(self) -> list[dict[str, Any]] | None:
        """Those of the table; None while the export is not written."""
        answer = self._client.get(f"{self.atlas}/versions/1/export.tar")
        if answer.status_code == 404:
            assert answer.get_json()["type"] == "/docs#problem-not-written"
            return None
        with tarfile.open(fileobj=io.BytesIO(answer.data), mode="r:") as opened:
            table = opened.extractfile("metadata.jsonl")
            assert table is not None
            return [json.loads(line) for line in table]

    @property
    def points(self) -> dict[tuple[str, int], tuple[float, float]]:
        map = self._client.get(f"{self.atlas}/versions/1/map").get_json()
        points = Points.read(self._client.get(map["links"]["points"]).data)
        names = map["map"]["layers"]
        columns = zip(points.layers, points.units, points.x, points.y, strict=True)
        return {(names[layer], unit): (x, y) for layer, unit, x, y in columns}


@pytest.fixture
def scene(
    client: FlaskClient,
    database: Database,
    store: ObjectStore,
    settings: Settings,
    network: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Scene:
    """Its export has several parts."""
    monkeypatch.setattr(parts, "AT_ONCE", 5)
    return Scene(client, database, store, settings)


def test_an_export_waits_for_the_map_that_a_worker_draws_and_has_its_places(scene: Scene) -> None:
    scene.register(draws_maps=True)
    scene.embedded(units=0)
    scene.work()
    assert scene.rows() is None
    scene.embedded(units=UNITS - 1)
    scene.work()
    assert scene.rows() is None, "a map waits while more pictures are indexed"
    scene.work()
    scene.work()
    rows, points = scene.rows(), scene.points
    assert rows is not None
    assert (len(rows), len(points)) == (UNITS, UNITS - 1)
    for row in rows:
        place = points.get((row["layer"], row["unit"]), (None, None))
        assert (row["projection_x"], row["projection_y"]) == place


def test_where_no_worker_draws_maps_an_export_is_written_at_once_and_stays_as_it_is(scene: Scene) -> None:
    scene.register(draws_maps=False)
    scene.embedded(units=0)
    scene.work()
    before = scene.rows()
    assert before is not None
    assert "projection_x" not in before[0]
    scene.register(draws_maps=True)
    scene.embedded(units=UNITS)
    scene.work()
    scene.work()
    assert len(scene.points) == UNITS
    assert scene.rows() == before


def test_an_export_does_not_wait_long_for_a_map_that_nobody_begins(scene: Scene) -> None:
    scene.register(draws_maps=True)
    scene.embedded(units=0)
    scene.work()
    assert scene.rows() is None
    scene.run("UPDATE atlas_versions SET published_at = published_at - interval '1 hour'")
    scene.work()
    rows = scene.rows()
    assert rows is not None
    assert "projection_x" not in rows[0]


def test_where_points_are_lost_in_the_midst_the_export_is_begun_again_with_another_map(scene: Scene) -> None:
    scene.register(draws_maps=True)
    scene.embedded(units=UNITS)
    scene.work()
    before = scene.rows()
    scene.run("DELETE FROM atlas_exports")
    scene.lose_points()
    assert scene.rows() is None, "asked for, it is planned again"
    scene.work()
    assert scene.rows() is None
    scene.work()
    assert before is not None
    assert scene.rows() == before
