"""The map of an atlas in Python, on the command line, and in exports."""

import io
import json
import tarfile
import threading
import time
from pathlib import Path

import pytest
from pyarrow import parquet
from sqlalchemy import text

import imago
from imago.atlases.atlas_map import read_points
from services.queue import chores
from services.search import indexing
from tests.api.of_atlases.test_export_tar import make_exports
from tests.api.of_atlases.test_maps import make_maps
from tests.client.conftest import NETWORK, Run, Service
from tests.client.exports.test_downloaded import download
from tests.client.test_atlases import carry_out
from tests.drawn_map import draw_map
from tests.integration.search.indexed import direction


@pytest.fixture
def atlas(service: Service, client: imago.Client) -> imago.Atlas:
    """Ten classes, of which one has no embedding."""
    atlas = client.atlases.create(NETWORK, layers=["output"], units="0-9")
    carry_out(service, atlas.id)
    service.work()
    with service.database.session() as session:
        digests = session.scalars(text("SELECT digest FROM visualizations WHERE unit <> 7"))
        indexing.add(session, {digest: direction(digest) for digest in digests})
    return atlas.refresh()


def test_a_map_is_asked_for_waited_for_and_read(
    service: Service, client: imago.Client, atlas: imago.Atlas
) -> None:
    map = atlas.map("open")
    assert (map.made, map.coming, map.current) == (False, False, False)
    with pytest.raises(imago.ImagoError, match="wait"):
        map.points()
    with pytest.raises(imago.WaitTimeout):
        map.wait(timeout=0)
    assert map.coming
    make_maps(service.database, service.store, service.settings)
    map.wait()
    assert map.current
    assert (map.facts["units"], map.facts["unseen"], map.layers) == (9, 1, ("classifier",))
    points = map.points()
    assert len(points) == 9
    assert {(point.layer, point.unit) for point in points} == {("classifier", n) for n in range(10) if n != 7}
    assert all(0 <= point.x <= 1 and 0 <= point.y <= 1 for point in points)
    for level in map.labels:
        assert all(label.units <= label.of <= 9 for label in level)
    with pytest.raises(imago.ImagoError, match="no points"):
        read_points(b"something else entirely", ())


def test_points_are_those_of_the_map_that_is_shown_and_of_no_other(
    service: Service, client: imago.Client, atlas: imago.Atlas
) -> None:
    draw_map(service.database, service.store, atlas.id, 1, "goldfish")
    map = atlas.map("open")
    assert len(map.points()) == 10
    draw_map(service.database, service.store, atlas.id, 1, "tench", "e" * 64)
    with pytest.raises(imago.NotFound, match="another map by now"):
        map.points()
    assert len(map.refresh().points()) == 10


def test_the_map_has_a_command(service: Service, run: Run, atlas: imago.Atlas, tmp_path: Path) -> None:
    assert "--make" in run("map", atlas.id).stdout
    atlas.map().make()
    assert "being made" in run("map", atlas.id).stdout
    make_maps(service.database, service.store, service.settings)
    shown = run("map", atlas.id, "--out", str(tmp_path / "map.csv")).stdout
    assert "9 units of 1 layers" in shown
    rows = (tmp_path / "map.csv").read_text().splitlines()
    assert (rows[0], len(rows)) == ("layer,unit,x,y", 10)
    assert json.loads(run("map", atlas.id, "--json").stdout)["map"]["units"] == 9


@pytest.mark.parametrize("table", ["parquet", "jsonl"])
def test_an_export_tells_where_units_lie_where_there_is_a_map(
    service: Service, atlas: imago.Atlas, tmp_path: Path, table: str
) -> None:
    def rows(folder: Path) -> list[dict[str, object]]:
        if table == "parquet":
            return list(parquet.read_table(folder / "metadata.parquet").to_pylist())
        return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]

    atlas.publish()
    without = atlas.export(tmp_path / "without", table=table)  # type: ignore[arg-type]
    assert "projection_x" not in rows(without)[0]
    make_maps(service.database, service.store, service.settings)
    with service.database.session() as session:  # it waits a minute for the picture that is not embedded
        session.execute(text("UPDATE work SET not_before = now() WHERE kind = 'map'"))
    make_maps(service.database, service.store, service.settings)
    folder = atlas.export(tmp_path / "with", table=table)  # type: ignore[arg-type]
    places = {point.unit: (point.x, point.y) for point in atlas.map().points()}
    found = rows(folder)
    assert len(found) == 10
    for row in found:
        at = places.get(int(str(row["unit"])), (None, None))
        assert (row["projection_x"], row["projection_y"]) == at
    assert len([*imago.open(folder).units("classifier")]) == 10
    assert (folder / "units.jsonl").read_bytes() == (without / "units.jsonl").read_bytes()
    if table == "jsonl":
        make_exports(service.database, service.store, service.settings)
        with tarfile.open(fileobj=io.BytesIO(download(service, atlas, service.key))) as opened:
            opened.extractall(tmp_path / "theirs", filter="data")
        assert (tmp_path / "theirs" / "metadata.jsonl").read_text() == (folder / "metadata.jsonl").read_text()


def test_where_the_map_is_out_of_date_the_command_waits_for_the_next_one(
    service: Service, run: Run, atlas: imago.Atlas
) -> None:
    draw_map(service.database, service.store, atlas.id, 1, "goldfish")
    atlas.extend(units="10-11")
    carry_out(service, atlas.id)
    service.work()

    def draw() -> None:
        claim = None
        while claim is None:
            time.sleep(0.02)
            with service.database.session() as session:
                claim = chores.claim(session, "map", "tester", lease_seconds=60)
        draw_map(service.database, service.store, atlas.id, 1, "tench", "e" * 64)
        with service.database.session() as session:
            chores.done(session, claim.lease_id, [claim.tasks[0].subject])

    worker = threading.Thread(target=draw)
    worker.start()
    made = json.loads(run("map", atlas.id, "--make", "--json").stdout)
    worker.join()
    assert (made["current"], made["map"]["name"], made["map"]["units"]) == (True, "e" * 64, 12)


def test_points_of_a_map_that_is_not_made_are_refused_with_the_command_that_makes_it(
    run: Run, atlas: imago.Atlas, tmp_path: Path
) -> None:
    refused = run("map", atlas.id, "--out", str(tmp_path / "map.csv"), expect=1)
    assert f"imago map {atlas.id} --version 1 --make" in refused.stderr
    assert not (tmp_path / "map.csv").exists()
