"""A version that was published never changes; what is not done moves on to the next."""

import json
import threading
from dataclasses import asdict
from typing import Any

import pytest
from sqlalchemy import text

from services.atlases import atlases, changes, entries, publishing
from services.atlases.progress import Version
from services.base.database import Database
from services.base.errors import Conflict, Invalid, NotFound
from tests.integration.atlases import building
from tests.integration.atlases.building import (
    built,
    carry_out,
    extend,
    make,
    set_weights,
    step,
    units,
    view,
)
from tests.integration.staging import assert_consistent, claim, fail, finish, work_off


def publish(database: Database, id: str) -> Version:
    return version(database, id, str(building.publish(database, id)))


def version(database: Database, id: str, named: str) -> Version:
    with database.session() as session:
        return atlases.version(session, id, named)


def bytes_of(database: Database, id: str, number: str) -> bytes:
    """All that a version shows, as bytes."""
    found = version(database, id, number)
    shown = [
        [asdict(unit) for unit in units(database, id, number, layer["layer"])] for layer in found.layers or ()
    ]
    return json.dumps([asdict(found), shown], default=str).encode()


def test_a_published_version_shows_what_is_done_and_the_next_the_rest(staged: Database) -> None:
    id = make(staged, layers="classifier", units="0-99")
    carry_out(staged, id)
    finish(staged, claim(staged, limit=30))
    published = publish(staged, id)
    assert (published.number, published.published_at is not None) == (1, True)
    (layer,) = published.layers or ()
    assert (layer["pictures"], layer["shown_units"], layer["unit_count"]) == (30, 30, 100)
    assert [unit.unit for unit in units(staged, id, "1", "classifier")] == [*range(30)]
    assert [unit.unit for unit in units(staged, id, "open", "classifier")] == [*range(100)]
    assert view(staged, id).open.number == 2
    assert_consistent(staged)


def test_versions_share_what_is_equal(staged: Database) -> None:
    id = built(staged, layers="classifier", units="0-9")
    publish(staged, id)
    extend(staged, id, facets=2)
    work_off(staged)
    publish(staged, id)
    with staged.session() as session:
        assert session.execute(text("SELECT count(*) FROM atlas_entries")).scalar_one() == 20
    first, second = (units(staged, id, number, "classifier") for number in ("1", "2"))
    assert [unit.facets for unit in first] == [unit.facets[:1] for unit in second]
    assert [len(unit.facets) for unit in second] == [2] * 10


def test_nothing_that_happens_later_changes_a_published_version(staged: Database) -> None:
    id = make(staged, layers="classifier", units="0-49")
    carry_out(staged, id)
    finish(staged, claim(staged, limit=10))
    fail(staged, claim(staged, limit=10))
    publish(staged, id)
    before = bytes_of(staged, id, "1")
    work_off(staged)
    extend(staged, id, units="all", facets=3)
    extend(staged, id, layers="features.0", units="all")
    work_off(staged)
    publish(staged, id)
    old = set_weights(staged, "e" * 64)
    try:
        assert bytes_of(staged, id, "1") == before
    finally:
        set_weights(staged, old)
    assert bytes_of(staged, id, "2") != before


def test_publishing_while_pictures_are_finished_shows_one_moment(staged: Database) -> None:
    """What the layers of a version count is what the version shows, however workers and publishers meet."""
    id = make(staged, layers="classifier")
    carry_out(staged, id)
    ends = threading.Event()
    worked: list[int] = []

    def work() -> None:
        worked.append(work_off(staged, limit=8))
        ends.set()

    worker = threading.Thread(target=work)
    worker.start()
    numbers = []
    while not ends.wait(0.05):
        try:
            numbers.append(str(publish(staged, id).number))
        except Conflict:
            continue
    worker.join()
    assert worked == [400]
    assert numbers
    for number in numbers:
        found = version(staged, id, number)
        assert found.layers is not None
        shown = units(staged, id, number, "classifier")
        assert found.layers[0]["pictures"] == len(shown) == found.layers[0]["shown_units"]
        assert [facet.state for unit in shown for facet in unit.facets] == ["done"] * len(shown)
    assert len(units(staged, id, "open", "classifier")) == 400


def test_there_is_nothing_to_publish_where_nothing_is_new(staged: Database) -> None:
    id = make(staged, layers="classifier", units="0-9")
    carry_out(staged, id)
    with pytest.raises(Conflict, match="finished yet"):
        publish(staged, id)
    work_off(staged)
    publish(staged, id)
    with pytest.raises(Conflict, match="since version 1"):
        publish(staged, id)


def test_latest_is_the_newest_that_was_published_and_the_open_one_where_none_was(staged: Database) -> None:
    id = built(staged, layers="classifier", units="0-9")
    assert (version(staged, id, "latest").number, version(staged, id, "open").number) == (1, 1)
    publish(staged, id)
    assert (version(staged, id, "latest").number, version(staged, id, "open").number) == (1, 2)
    extend(staged, id, facets=2)
    work_off(staged)
    publish(staged, id)
    assert version(staged, id, "latest").number == 2
    with pytest.raises(NotFound, match="1 to 3"):
        version(staged, id, "4")
    for wrong in ("0x1", "-1", "newest", "²", "99999999999999", "32768", "99999"):
        with pytest.raises((Invalid, NotFound)):
            version(staged, id, wrong)


def test_units_are_read_in_pages_that_fit_together(staged: Database) -> None:
    id = built(staged, layers="classifier", units="0-99", facets=3)
    seen: list[int] = []
    cursor = None
    while True:
        with staged.session() as session:
            page = entries.units_of(session, id, "open", "classifier").page(session, cursor, 7)
        seen += [unit.unit for unit in page.data]
        assert all([facet.facet for facet in unit.facets] == [0, 1, 2] for unit in page.data)
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [*range(100)]


def test_all_units_are_read_although_facets_are_added_meanwhile(staged: Database) -> None:
    id = built(staged, layers="classifier", units="all")
    with staged.session() as session:
        found = entries.units_of(session, id, "open", "classifier")
    reading = found.all(staged)
    seen = [next(reading)]
    extend(staged, id, facets=3)
    seen += reading
    assert [unit.unit for unit in seen] == [*range(400)]
    assert {len(unit.facets) for unit in seen} == {1}


def test_a_layer_that_a_version_does_not_show_is_not_found(staged: Database) -> None:
    id = built(staged, layers="classifier", units="0-9")
    publish(staged, id)
    extend(staged, id, layers="features.0", units="all")
    work_off(staged)
    assert len(units(staged, id, "open", "features.0")) == 8
    for number, layer in (("1", "features.0"), ("open", "blocks.4"), ("open", "none")):
        with pytest.raises(NotFound):
            units(staged, id, number, layer)


def test_a_unit_that_cannot_be_reached_belongs_to_a_version(staged: Database) -> None:
    from services.queue import batches

    id = make(staged, layers="classifier", units="0-9")
    carry_out(staged, id)
    held = claim(staged, limit=4)
    with staged.session() as session:
        batches.conclude(session, held.lease_id, unreachable=[(work.digest, {}) for work in held.items])
    published: Any = publish(staged, id)
    assert (published.layers[0]["unreachable"], published.layers[0]["pictures"]) == (4, 0)
    assert [facet.state for unit in units(staged, id, "1", "classifier") for facet in unit.facets] == (
        ["unreachable"] * 4
    )


def test_while_units_are_read_one_after_the_other_no_transaction_stays_open(staged: Database) -> None:
    id = make(staged, layers="classifier")
    carry_out(staged, id)
    with staged.session() as session:
        reading = entries.units_of(session, id, "open", "classifier").all(staged)
    open_ones = text("""
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'
    """)
    seen = []
    for unit in reading:
        seen.append(unit.unit)
        if len(seen) % 150 == 0:
            with staged.session() as session:
                assert session.execute(open_ones).scalar_one() == 0
    assert seen == [*range(400)]


def test_until_a_version_is_published_as_a_whole_it_is_the_open_one_with_all_entries(
    staged: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "SLICE", 10)
    id = make(staged, layers="classifier", units="0-99", facets=2)
    carry_out(staged, id)
    finish(staged, claim(staged, limit=60))
    with staged.session() as session:
        publishing.publish(session, id)
    slices = 0
    while version(staged, id, "1").published_at is None:
        shown = units(staged, id, "1", "classifier")
        assert [len(unit.facets) for unit in shown] == [2] * 100
        assert (version(staged, id, "latest").number, version(staged, id, "open").number) == (1, 1)
        assert version(staged, id, "1").publishing
        finish(staged, claim(staged, limit=2))
        step(staged, id)
        slices += 1
    assert slices > 10
    frozen = bytes_of(staged, id, "1")
    found = version(staged, id, "1")
    assert found.layers is not None
    shown = units(staged, id, "1", "classifier")
    pictures = [facet for unit in shown for facet in unit.facets]
    assert all(facet.state == "done" for facet in pictures)
    assert (found.layers[0]["pictures"], found.layers[0]["shown_units"]) == (len(pictures), len(shown))
    assert 60 <= len(pictures) <= 60 + 2 * slices
    assert (version(staged, id, "latest").number, version(staged, id, "open").number) == (1, 2)
    work_off(staged)
    publish(staged, id)
    assert bytes_of(staged, id, "1") == frozen
    assert [len(unit.facets) for unit in units(staged, id, "2", "classifier")] == [2] * 100
    assert_consistent(staged)


def test_what_is_asked_for_while_a_version_is_being_published_belongs_to_the_next(staged: Database) -> None:
    id = built(staged, layers="classifier", units="0-9")
    with staged.session() as session:
        assert publishing.publish(session, id)[1].publishing is not None
    with staged.session() as session:
        # Asked for once more, perhaps since the answer was lost: it is the same publication.
        assert publishing.publish(session, id)[1].number == 1
    extend(staged, id, units="0-19", facets=2)
    work_off(staged)
    first, second = version(staged, id, "1"), version(staged, id, "open")
    assert first.published_at is not None
    assert (first.request["facets"], "extensions" in first.request) == (1, False)
    assert (second.request["facets"], len(second.request["extensions"])) == (2, 1)
    assert first.layers is not None
    (layer,) = first.layers
    assert (layer["facets"], layer["unit_count"], layer["pictures"]) == (1, 10, 10)
    assert [unit.unit for unit in units(staged, id, "1", "classifier")] == [*range(10)]
    assert len(units(staged, id, "open", "classifier")) == 20


@pytest.mark.parametrize("act", ["pause", "cancel"])
def test_an_atlas_that_rests_is_published_by_workers(staged: Database, act: str) -> None:
    id = make(staged, layers="classifier", units="0-19")
    carry_out(staged, id)
    finish(staged, claim(staged, limit=5))
    with staged.session() as session:
        getattr(changes, act)(session, id)
    with staged.session() as session:
        publishing.publish(session, id)
    carry_out(staged, id)
    assert version(staged, id, "1").published_at is not None
    assert len(units(staged, id, "1", "classifier")) == 5
    assert view(staged, id).pictures.canceled == 15
