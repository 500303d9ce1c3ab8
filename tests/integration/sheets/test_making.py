"""Sheets are made once of what a version shows, in slices, by any number of workers that may die."""

import hashlib
import io

import pytest
from PIL import Image
from sqlalchemy import text

from imago_engine.artifacts import Artifact, ArtifactKind
from services.access.keys import Principal
from services.atlases import changes
from services.base.database import Database
from services.base.errors import NotFound
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.pictures import losses
from services.pictures.artifacts import put
from services.pictures.losses import Subject
from services.queue import batches, chores
from services.sheets import making, sheets
from services.sheets.layout import TILE, Place
from services.sheets.sheets import ShownSheet
from services.sheets.subjects import POSTER, Sheeted, plan
from services.upkeep import collection
from tests.integration.atlases.building import carry_out, make, publish
from tests.integration.staging import picture
from worker.leasing import chore_turns
from worker.leasing.held_leases import HeldLeases
from worker.process.stopping import StopFlag
from worker.sheets import sheet_turn
from worker.sheets.sheet_turn import Sheets

LAYER = "blocks.4"


def colour(digest: str) -> tuple[int, int, int]:
    return int(digest[:2], 16), int(digest[2:4], 16), int(digest[4:6], 16)


def finish(database: Database, store: ObjectStore, most: int = 10_000) -> None:
    """Do what a worker does, with pictures in a colour of their own."""
    while most > 0:
        with database.session() as session:
            claim = batches.claim(session, "tester", limit=min(most, 64), lease_seconds=60)
        if claim is None:
            return
        results = []
        for work in claim.items:
            file = io.BytesIO()
            Image.new("RGB", (128, 128), colour(work.digest)).save(file, "PNG")
            made = put(store, Artifact(ArtifactKind.IMAGE, "image/png", file.getvalue(), 128, 128))
            results.append(vars(picture(work.digest)) | {"artifacts": [made]})
        with database.session() as session:
            batches.conclude(
                session, claim.lease_id, finished=[batches.Finished(**result) for result in results]
            )
        most -= len(results)


@pytest.fixture
def atlas(staged: Database, store: ObjectStore) -> str:
    """An atlas of one layer of 112 units, all done."""
    id = make(staged, layers=LAYER, visibility="public")
    carry_out(staged, id)
    finish(staged, store)
    return id


@pytest.fixture
def worker(staged: Database, store: ObjectStore, settings: Settings) -> Sheets:
    stop = StopFlag()
    return Sheets(HeldLeases(staged, settings, "tester", stop), store, stop, alternating=False)


def shown(database: Database, id: str, version: str = "open", layer: str | None = LAYER) -> ShownSheet:
    with database.session() as session:
        return sheets.find(session, id, version, layer)


def work(worker: Sheets) -> int:
    slices = 0
    while worker.look():
        slices += 1
        assert slices < 1000
    return slices


def tiles(database: Database) -> dict[tuple[str, int, int, int], str]:
    with database.session() as session:
        rows = session.execute(text("SELECT sheet, level, col, row, object FROM sheet_tiles")).all()
    return {(row.sheet, row.level, row.col, row.row): row.object for row in rows}


def assert_whole(database: Database, store: ObjectStore, found: ShownSheet) -> None:
    """Every tile is there with the size that it should have, and every unit in its place."""
    assert found.sheet is not None
    layout = found.sheet.layout
    expected = {
        Place(level, col, row)
        for level in range(layout.top + 1)
        for col in range(layout.grid_of(level)[0])
        for row in range(layout.grid_of(level)[1])
    }
    there = {
        Place(*place): key for (name, *place), key in tiles(database).items() if name == found.sheet.name
    }
    assert there.keys() == expected
    opened = {place: Image.open(io.BytesIO(store.get(key))) for place, key in there.items()}
    for place, image in opened.items():
        assert image.size == layout.size_of_tile(place)
    whole = Image.open(io.BytesIO(store.get(found.sheet.picture_object)))
    assert whole.size == found.sheet.picture_size
    with database.session() as session:
        digests = list(
            session.scalars(
                text("SELECT digest FROM atlas_entries WHERE until IS NULL ORDER BY layer_no, unit")
            )
        )
    for row in range(layout.rows):
        for col in range(layout.columns):
            cell = layout.cell_at(col, row)
            if cell is not None:
                tile = opened[Place(layout.top, col * 128 // TILE, row * 128 // TILE)]
                seen = tile.getpixel((col * 128 % TILE + 64, row * 128 % TILE + 64))
                assert isinstance(seen, tuple)
                wanted = colour(digests[cell])
                assert all(abs(one - other) <= 6 for one, other in zip(seen, wanted, strict=True))


def test_a_sheet_shows_every_unit_in_its_place(
    staged: Database, store: ObjectStore, atlas: str, worker: Sheets
) -> None:
    before = shown(staged, atlas)
    assert (before.sheet, before.current) == (None, False)
    work(worker)
    after = shown(staged, atlas)
    assert after.current
    assert_whole(staged, store, after)
    assert work(worker) == 0


def test_a_poster_shows_each_layer_below_its_name(
    staged: Database, store: ObjectStore, worker: Sheets
) -> None:
    id = make(staged, layers="all", units="0-9")
    carry_out(staged, id)
    finish(staged, store)
    shown(staged, id, layer=None)
    work(worker)
    found = shown(staged, id, layer=None)
    assert found.sheet is not None
    assert [(strip.title, strip.cells) for strip in found.sheet.layout.strips] == [
        ("features.0", 8),
        ("blocks.4", 10),
        ("classifier", 10),
    ]
    assert_whole(staged, store, found)


def test_a_sheet_is_made_in_slices_with_nothing_missing_and_nothing_twice(
    staged: Database, store: ObjectStore, atlas: str, worker: Sheets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chore_turns, "SLICE_SECONDS", 0.0)
    listed: list[Place] = []
    add = making.add_tiles

    def watched(session, name, found):  # type: ignore[no-untyped-def]
        listed.extend(tile.place for tile in found)
        add(session, name, found)

    monkeypatch.setattr(making, "add_tiles", watched)
    shown(staged, atlas)
    assert work(worker) == len(tiles(staged)) + 1
    assert len(listed) == len({*listed})
    assert_whole(staged, store, shown(staged, atlas))


def test_it_is_made_again_only_where_something_changed(
    staged: Database, store: ObjectStore, worker: Sheets
) -> None:
    id = make(staged, layers=LAYER)
    carry_out(staged, id)
    finish(staged, store, 30)
    shown(staged, id)
    work(worker)
    first = shown(staged, id)
    assert first.current
    finish(staged, store, 20)
    stale = shown(staged, id)
    assert (stale.sheet, stale.current) == (first.sheet, False)
    assert work(worker) == 0
    with staged.session() as session:
        session.execute(text("UPDATE work SET not_before = now()"))
    work(worker)
    second = shown(staged, id)
    assert second.sheet is not None
    assert second.sheet != first.sheet
    assert {name for name, *_ in tiles(staged)} == {second.sheet.name}
    publish(staged, id)
    assert shown(staged, id, "1").sheet is None
    objects = tiles(staged)
    work(worker)
    published = shown(staged, id, "1")
    assert published.settled
    assert published.sheet is not None
    # What is published has only the units that are done; those that wait have moved on.
    assert published.sheet.layout.cells == 50
    assert tiles(staged).keys() != objects.keys()


def test_what_two_atlases_show_alike_is_made_once_and_goes_with_the_last_of_them(
    staged: Database, store: ObjectStore, atlas: str, worker: Sheets
) -> None:
    shown(staged, atlas)
    work(worker)
    made = tiles(staged)
    other = make(staged, layers=LAYER)
    carry_out(staged, other)
    shown(staged, other)
    assert work(worker) == 1
    assert tiles(staged) == made
    for id, left in ((atlas, made), (other, {})):
        with staged.session() as session:
            changes.delete(session, id)
        carry_out(staged, id)
        assert tiles(staged) == left
    with staged.session() as session:
        assert session.execute(text("SELECT count(*) FROM sheets")).scalar_one() == 0
        assert collection.pointed_to(session, list(made.values())) == set()


def test_all_that_a_sheet_consists_of_is_kept_by_the_collector(
    staged: Database, store: ObjectStore, atlas: str, worker: Sheets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chore_turns, "SLICE_SECONDS", 0.0)
    shown(staged, atlas)
    worker.look()
    with staged.session() as session:
        begun = session.execute(text("SELECT plan_object FROM sheets")).scalar_one()
        assert collection.pointed_to(session, [begun]) == {begun}
    work(worker)
    found = shown(staged, atlas).sheet
    assert found is not None
    keys = {found.picture_object, *tiles(staged).values()}
    with staged.session() as session:
        assert collection.pointed_to(session, [*keys, begun]) == keys


def test_a_lost_tile_has_the_sheet_made_again(
    staged: Database, store: ObjectStore, atlas: str, worker: Sheets
) -> None:
    shown(staged, atlas)
    work(worker)
    found = shown(staged, atlas).sheet
    assert found is not None
    (place, key) = next((place, key) for place, key in tiles(staged).items() if place[1] == found.layout.top)
    store.delete(key)
    lost = Subject("tile", "/".join(map(str, place)))
    with staged.session() as session:
        assert losses.note(session, lost, key, "missing", "read") is not None
        making.make_again(session, lost)
    assert shown(staged, atlas).sheet is None
    work(worker)
    assert_whole(staged, store, shown(staged, atlas))


def test_a_sheet_waits_for_a_picture_that_is_lost_at_present(
    staged: Database, store: ObjectStore, atlas: str, worker: Sheets
) -> None:
    with staged.session() as session:
        key = session.execute(text("SELECT object FROM artifacts LIMIT 1")).scalar_one()
    kept = store.get(key)
    store.delete(key)
    shown(staged, atlas)
    assert work(worker) == 1
    with staged.session() as session:
        assert session.execute(text("SELECT count(*) FROM work WHERE kind = 'repair'")).scalar_one() == 1
        session.execute(text("UPDATE work SET not_before = now() WHERE kind = 'sheet'"))
    store.put_under(key, kept, "image/png")
    work(worker)
    assert_whole(staged, store, shown(staged, atlas))


def test_where_nothing_is_done_there_is_no_sheet_and_none_is_planned(
    staged: Database, worker: Sheets
) -> None:
    id = make(staged, layers=LAYER)
    carry_out(staged, id)
    with pytest.raises(NotFound):
        shown(staged, id)
    assert not worker.look()
    with staged.session() as session, pytest.raises(NotFound):
        sheets.find(session, id, "open", LAYER, by=Principal("k", "stranger", frozenset({"read"})))


def test_what_is_no_work_any_more_is_struck(staged: Database, atlas: str, worker: Sheets) -> None:
    with staged.session() as session:
        for gone in (Sheeted("atl_none", 1, 0), Sheeted(atlas, 9, POSTER)):
            chores.plan(session, "sheet", str(gone))
    assert work(worker) == 2
    with staged.session() as session:
        assert session.execute(text("SELECT count(*) FROM work WHERE kind = 'sheet'")).scalar_one() == 0


def test_the_bytes_of_a_tile_are_those_that_its_name_says(
    staged: Database, store: ObjectStore, atlas: str, worker: Sheets
) -> None:
    shown(staged, atlas)
    work(worker)
    for key in tiles(staged).values():
        assert hashlib.sha256(store.get(key)).hexdigest() in key


def test_a_version_that_is_published_while_its_sheet_is_made_gets_one_that_stays(
    staged: Database, store: ObjectStore, worker: Sheets, atlas: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def publish_once(name: str) -> None:
        monkeypatch.undo()
        publish(staged, atlas)

    with staged.session() as session:
        plan(session, Sheeted(atlas, 1, 0))
    monkeypatch.setattr(chore_turns, "SLICE_SECONDS", 600.0)
    monkeypatch.setattr(sheet_turn, "crash_point", publish_once)
    assert worker.look()
    work(worker)
    with staged.session() as session:
        rows = session.execute(text("SELECT layer_no, final FROM atlas_sheets WHERE number = 1")).all()
    assert {row.layer_no: row.final for row in rows} == {POSTER: True, 0: True}
    assert_whole(staged, store, shown(staged, atlas, "1"))
