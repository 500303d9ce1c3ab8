"""A map is drawn once of what a version shows: units that want to see alike lie together, below a label."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from services.atlases import changes
from services.base.database import Database
from services.base.errors import NotFound, Unavailable
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.maps import making
from services.maps.maps import Map
from services.maps.subjects import Mapped
from services.pictures import losses
from services.pictures.losses import Subject
from services.queue import chores
from services.upkeep import collection
from tests.integration.atlases.building import carry_out, extend, make, publish
from tests.integration.maps.mapped import Points, built, finish, kind_of, shown, worker
from worker.leasing.held_leases import HeldLeases
from worker.leasing.work_kinds import Tend, WorkKind, nothing
from worker.maps import files, map_turn, placing, projection
from worker.maps.gathering import gather
from worker.maps.map_turn import Maps
from worker.process.stopping import StopFlag


@pytest.fixture
def drawer(staged: Database, store: ObjectStore, settings: Settings) -> Maps:
    return worker(staged, store, settings)


def draw(drawer: Maps) -> int:
    looks = 0
    while drawer.look():
        looks += 1
        assert looks < 20
    return looks


def made(database: Database, id: str, version: str = "open") -> Map:
    found = shown(database, id, version)
    assert found.map is not None, found.problem
    return found.map


def test_units_that_want_to_see_alike_lie_together_below_their_label_each_time_alike(
    staged: Database, store: ObjectStore, drawer: Maps
) -> None:
    id = built(staged)
    before = shown(staged, id)
    assert (before.map, before.coming) == (None, False), "a map of what is being built is made on request"
    assert not drawer.look()
    assert shown(staged, id, asked=True).coming
    assert draw(drawer) == 1
    found = shown(staged, id)
    assert (found.current, found.coming, found.published) == (True, False, False)
    map = made(staged, id)
    assert (map.units, map.fitted, map.unseen, map.pictures) == (112, 112, 0, 112)
    points = Points.read(store.get(map.points_object))
    assert sorted(points.units) == list(range(112))
    assert list(points.units) != list(range(112)), "the order is random, so that any part is a fair sample"
    assert set(points.layers) == {0}
    assert all(0 <= at <= 1 for at in (*points.x, *points.y))
    places = dict(zip(points.units, zip(points.x, points.y, strict=True), strict=True))
    for unit, place in places.items():
        others = sorted((math.dist(place, there), other) for other, there in places.items() if other != unit)
        assert {kind_of(other) for _, other in others[:5]} == {kind_of(unit)}
    with staged.session() as session:
        rows = session.execute(text("SELECT DISTINCT unit % 4, label FROM picture_labels WHERE rank = 1"))
        label_of: dict[int, str] = {row[0]: row[1] for row in rows}
    for level in map.labels:
        assert {label["label"] for label in level} == set(label_of.values())
        assert sum(label["of"] for label in level) == 112
        for label in level:
            nearest = min(places, key=lambda unit: math.dist(places[unit], (label["x"], label["y"])))
            assert label["label"] == label_of[kind_of(nearest)]
    with staged.session() as session:
        session.execute(text("DELETE FROM atlas_maps"))
        session.execute(text("DELETE FROM maps"))
    shown(staged, id, asked=True)
    draw(drawer)
    again = made(staged, id)
    assert (again.name, again.points_object, again.labels) == (map.name, map.points_object, map.labels)


def test_what_two_atlases_show_alike_is_drawn_once_and_goes_with_the_last_of_them(
    staged: Database, store: ObjectStore, drawer: Maps
) -> None:
    id = built(staged, units="0-9")
    shown(staged, id, asked=True)
    draw(drawer)
    first = made(staged, id)
    other = built(staged, units="0-9")
    shown(staged, other, asked=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.delattr(map_turn, "MapProcess")  # nothing is drawn
        draw(drawer)
    assert made(staged, other).name == first.name
    for gone, left in ((id, 1), (other, 0)):
        with staged.session() as session:
            changes.delete(session, gone)
        carry_out(staged, gone)
        with staged.session() as session:
            assert session.execute(text("SELECT count(*) FROM maps")).scalar_one() == left
            kept = collection.pointed_to(session, [first.points_object])
        assert len(kept) == left


def test_publishing_has_the_map_made_and_it_stays(staged: Database, drawer: Maps) -> None:
    id = built(staged, units="0-9")
    publish(staged, id)
    coming = shown(staged, id, "1")
    assert (coming.map, coming.coming, coming.settled) == (None, True, False)
    draw(drawer)
    assert shown(staged, id, "1").settled
    assert draw(drawer) == 0


@pytest.mark.parametrize("units", ["3", "3,4", "0-5"])
def test_few_units_have_a_map_too(staged: Database, store: ObjectStore, drawer: Maps, units: str) -> None:
    id = built(staged, units=units)
    shown(staged, id, asked=True)
    draw(drawer)
    map = made(staged, id)
    points = Points.read(store.get(map.points_object))
    assert map.units > 0
    assert len(points.units) == map.units
    assert len({*zip(points.x, points.y, strict=True)}) == map.units
    assert all(0 <= at <= 1 for at in (*points.x, *points.y))


def test_what_no_picture_clearly_shows_names_no_region(staged: Database, drawer: Maps) -> None:
    id = built(staged, units="0-9")
    with staged.session() as session:
        session.execute(text("UPDATE picture_labels SET probability = 0.09 WHERE rank = 1"))
    shown(staged, id, asked=True)
    draw(drawer)
    assert made(staged, id).labels == [[]]


def test_units_without_an_embedding_are_counted_left_out_and_looked_for_again(
    staged: Database, store: ObjectStore, drawer: Maps
) -> None:
    id = built(staged, units="0-9", without=(3, 7))
    publish(staged, id)
    assert draw(drawer) == 1
    assert shown(staged, id, "1").map is None, "more may be embedded a moment from now"
    with staged.session() as session:
        session.execute(text("UPDATE work SET not_before = now() WHERE kind = 'map'"))
    draw(drawer)
    found = shown(staged, id, "1")
    assert found.map is not None
    assert (found.map.units, found.map.unseen) == (8, 2)
    assert {3, 7}.isdisjoint(Points.read(store.get(found.map.points_object)).units)
    assert (found.current, found.coming, found.settled) == (True, True, False)


def test_an_atlas_without_any_embedding_waits_for_them(staged: Database, drawer: Maps) -> None:
    id = built(staged, units="0-3", without=(0, 1, 2, 3))
    shown(staged, id, asked=True)
    assert draw(drawer) == 1
    found = shown(staged, id)
    assert (found.map, found.coming, found.problem) == (None, True, None)


def test_where_nothing_is_done_there_is_no_map(staged: Database, drawer: Maps) -> None:
    id = make(staged, layers="blocks.4")
    carry_out(staged, id)
    with pytest.raises(NotFound):
        shown(staged, id, asked=True)
    assert not drawer.look()


def test_what_was_mapped_of_the_open_version_is_out_of_date_with_the_next_picture(
    staged: Database, drawer: Maps
) -> None:
    id = built(staged, units="0-4")
    shown(staged, id, asked=True)
    draw(drawer)
    extend(staged, id, units="5-9")
    finish(staged)
    stale = shown(staged, id)
    assert stale.map is not None
    assert (stale.current, stale.map.pictures, stale.pictures) == (False, 5, 10)
    shown(staged, id, asked=True)
    draw(drawer)
    assert (shown(staged, id).current, made(staged, id).units) == (True, 10)


def test_a_process_that_fails_is_tried_again_and_then_given_up_with_a_reason(
    staged: Database, drawer: Maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = built(staged, units="0-9")
    shown(staged, id, asked=True)
    monkeypatch.setenv("IMAGO_CRASH_AT", "mid_map")
    for _ in range(chores.MAX_ATTEMPTS):
        assert draw(drawer) == 1
        with staged.session() as session:
            session.execute(text("UPDATE work SET not_before = now() WHERE NOT given_up"))
    found = shown(staged, id)
    assert found.map is None
    assert not found.coming
    assert "memory" in str(found.problem)
    monkeypatch.delenv("IMAGO_CRASH_AT")
    assert shown(staged, id, asked=True).coming, "asked for again, it is tried again"
    draw(drawer)
    assert shown(staged, id).current


def test_lost_points_have_the_map_made_again(staged: Database, store: ObjectStore, drawer: Maps) -> None:
    id = built(staged, units="0-9")
    shown(staged, id, asked=True)
    draw(drawer)
    map = made(staged, id)
    store.delete(map.points_object)
    lost = Subject("map", map.name)
    with staged.session() as session:
        assert losses.note(session, lost, map.points_object, "missing", "read") is not None
        making.make_again(session, lost)
    assert shown(staged, id).map is None
    draw(drawer)
    assert store.get(made(staged, id).points_object)


def test_a_server_that_is_away_for_a_moment_costs_no_map(
    staged: Database, store: ObjectStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away(WorkKind):
        looks = 0

        def look(self, tend: Tend = nothing) -> bool:
            self.looks += 1
            raise Unavailable("database")

    id, away, stop = built(staged), Away(), StopFlag()
    shown(staged, id, asked=True)
    drawer = Maps(HeldLeases(staged, settings, "tester", stop), store, settings, stop, beside=(away,))
    finishes = making.finish
    leave = iter([False])

    def finish_again(*arguments: Any) -> None:
        if not next(leave, True):
            raise Unavailable("database")
        finishes(*arguments)

    monkeypatch.setattr(making, "finish", finish_again)
    assert drawer.look()
    assert away.looks > 0
    assert made(staged, id).units == 112


def test_a_map_whose_object_is_being_removed_makes_way_for_that_and_is_not_drawn_again(
    staged: Database, store: ObjectStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient(StopFlag):
        def wait(self, seconds: float) -> bool:
            raise AssertionError("the collector cannot have its turn meanwhile")

    id, stop = built(staged), Impatient()
    drawer = Maps(HeldLeases(staged, settings, "tester", stop), store, settings, stop)
    shown(staged, id, asked=True)
    draw(drawer)
    before = made(staged, id)
    with staged.session() as session:
        session.execute(text("DELETE FROM atlas_maps"))
        session.execute(text("DELETE FROM maps"))
        session.execute(text("INSERT INTO collected (key) VALUES (:key)"), {"key": before.points_object})
    shown(staged, id, asked=True)
    assert drawer.look()
    found = shown(staged, id)
    assert (found.map, found.coming, found.problem) == (None, True, None)
    with staged.session() as session:
        session.execute(text("DELETE FROM collected"))
        session.execute(text("UPDATE work SET not_before = now() WHERE kind = 'map'"))
    monkeypatch.delattr(map_turn, "MapProcess")  # nothing is drawn
    assert drawer.look()
    assert made(staged, id).points_object == before.points_object
    assert not [*(settings.cache_folder / "maps").glob("of-*")]


def test_a_sample_is_fitted_and_all_units_are_placed(staged: Database, tmp_path: Path) -> None:
    id = built(staged)
    with staged.session() as session:
        asked = making.wanted(session, Mapped(id, 1))
    assert asked is not None
    gather(staged, asked, tmp_path, lambda: None)
    # So few are fitted that it needs no UMAP.
    projection.project(tmp_path, fitted=placing.NEIGHBOURS - 1)
    points = Points.read((tmp_path / files.POINTS).read_bytes())
    assert sorted(points.units) == list(range(112))
    assert json.loads((tmp_path / files.FACTS).read_text())["fitted"] == placing.NEIGHBOURS - 1


def test_the_facets_of_a_unit_are_one_point(staged: Database, store: ObjectStore, drawer: Maps) -> None:
    id = built(staged, units="0-5", facets=2)
    shown(staged, id, asked=True)
    draw(drawer)
    map = made(staged, id)
    assert (map.units, map.pictures) == (6, 12)


def test_pages_of_any_size_give_the_same(
    staged: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = built(staged, layers="all", units="0-6", facets=2)
    with staged.session() as session:
        asked = making.wanted(session, Mapped(id, 1))
    assert asked is not None
    whole = gather(staged, asked, tmp_path, lambda: None)
    assert (whole.units, whole.layers) == (21, ["features.0", "blocks.4", "classifier"])
    monkeypatch.setattr("worker.maps.gathering._AT_ONCE", 3)
    assert gather(staged, asked, tmp_path, lambda: None) == whole


def test_a_version_that_is_published_while_its_map_is_drawn_gets_one_that_stays(
    staged: Database, drawer: Maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = built(staged)
    shown(staged, id, asked=True)
    monkeypatch.setattr(map_turn, "crash_point", lambda name: publish(staged, id))
    assert drawer.look()
    found = shown(staged, id, "1")
    assert (found.published, found.map, found.coming) == (True, None, True)
    monkeypatch.undo()
    assert draw(drawer) == 1
    assert made(staged, id, "1").units == 112
