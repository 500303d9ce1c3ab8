"""What is kept of comparisons: pictures of pairs, for whom and for how long; reading them stays cheap."""

import io
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import text

from services.access.keys import Principal
from services.atlases import changes
from services.base.database import Database
from services.base.errors import Full, Invalid, NotFound
from services.base.storage import ObjectStore
from services.comparison import comparisons, making, removal
from services.comparison.compared_units import page
from services.comparison.making import COMPARE
from services.pictures import losses
from services.pictures.losses import Subject
from services.queue import chores
from services.upkeep import collection, scrubbing
from tests.integration.atlases.building import carry_out, make
from tests.integration.comparison.comparing import (
    LAYER,
    colour,
    rows,
    shown,
    units,
    work,
)
from tests.integration.query_plans import nodes, plans
from worker.comparison.comparison_turn import Comparing


@pytest.mark.parametrize("name", ["", "@1", "{}@", "{}@x", "{}@-1"])
def test_what_names_no_version_is_refused(staged: Database, pair: tuple[str, str], name: str) -> None:
    with pytest.raises(Invalid) as refused:
        shown(staged, pair[0], name.format(pair[1]))
    assert refused.value.errors[0].pointer == "/b"


def test_a_private_atlas_is_not_there_for_others(staged: Database, pair: tuple[str, str]) -> None:
    private = make(staged, layers=LAYER, units="0")
    with pytest.raises(NotFound, match="no atlas"):
        shown(staged, pair[0], private, by=Principal("key_x", "somebody", frozenset({"read"})))
    assert rows(staged, "comparisons") == 0


def test_the_picture_shows_the_most_changed_pairs_side_by_side(
    staged: Database, store: ObjectStore, pair: tuple[str, str], worker: Comparing
) -> None:
    shown(staged, *pair)
    work(worker)
    key = shown(staged, *pair).layer(LAYER).sheet_object
    assert key is not None
    picture = Image.open(io.BytesIO(store.get(key)))
    most = next(units(staged, *pair, LAYER))
    for side, digest in ((0, most.a.digest), (1, most.b.digest)):
        seen = picture.getpixel((64 + 128 * side, 22 + 64))
        assert isinstance(seen, tuple)
        assert all(abs(one - other) <= 6 for one, other in zip(seen, colour(digest), strict=True))


def test_a_picture_of_pairs_that_the_store_loses_is_drawn_again(
    staged: Database, store: ObjectStore, pair: tuple[str, str], worker: Comparing
) -> None:
    shown(staged, *pair)
    work(worker)
    found = shown(staged, *pair)
    key = found.layer(LAYER).sheet_object
    assert key is not None
    with staged.session() as session:
        assert key in set(session.scalars(collection._POINTED, {"keys": [key]}))
    store.delete(key)
    cursor = scrubbing.Cursor("pairs")
    assert scrubbing.scrub(staged, store, cursor, rows=100).lost == 1
    subject = Subject("pairs", f"{found.no}/{found.layer(LAYER).ordinal}")
    with staged.session() as session:
        assert losses.keys_of(session, subject) == [key]
        making.make_again(session, subject)
    work(worker)
    assert shown(staged, *pair).layer(LAYER).sheet_object == key
    assert store.get(key)


def test_a_removed_atlas_takes_its_comparisons_with_it(
    staged: Database, pair: tuple[str, str], worker: Comparing
) -> None:
    shown(staged, *pair)
    work(worker)
    assert rows(staged, "compared_units") == 18
    with staged.session() as session:
        changes.delete(session, pair[1])
    carry_out(staged, pair[1])
    assert [rows(staged, table) for table in ("compared_units", "compared_layers", "comparisons")] == [0] * 3


def test_what_nobody_asks_for_is_forgotten_when_something_else_is_compared(
    staged: Database, pair: tuple[str, str], worker: Comparing
) -> None:
    shown(staged, *pair)
    work(worker)
    with staged.session() as session:
        session.execute(text("UPDATE comparisons SET asked_at = now() - interval '31 days'"))
    shown(staged, *reversed(pair))
    work(worker)
    assert rows(staged, "comparisons") == 1
    assert shown(staged, *reversed(pair)).current


def test_more_than_are_kept_go_but_those_that_were_asked_for_last(
    staged: Database, pair: tuple[str, str], worker: Comparing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "MOST_KEPT", 1)
    shown(staged, *pair)
    work(worker)
    shown(staged, *reversed(pair))
    work(worker)
    assert rows(staged, "comparisons") == 1
    assert shown(staged, *reversed(pair)).current


def test_that_a_comparison_was_asked_for_is_known_within_the_hour(
    staged: Database, pair: tuple[str, str]
) -> None:
    shown(staged, *pair)
    lately = text("SELECT count(*) FROM comparisons WHERE asked_at > now() - interval '1 hour'")
    with staged.session() as session:
        session.execute(text("UPDATE comparisons SET asked_at = now() - interval '2 hours'"))
        assert session.execute(lately).scalar_one() == 0
    shown(staged, *pair)
    with staged.session() as session:
        assert session.execute(lately).scalar_one() == 1


def test_where_too_many_comparisons_wait_nothing_is_ordered_and_what_is_there_is_shown(
    staged: Database, pair: tuple[str, str], worker: Comparing, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown(staged, *pair)
    work(worker)
    with staged.session() as session:
        for number in range(comparisons.MOST_WAITING):
            chores.plan(session, COMPARE, str(10_000 + number))
    monkeypatch.setattr(comparisons, "VERSION", comparisons.VERSION + 1)  # what is there is out of date
    former = shown(staged, *pair)
    assert (former.current, former.made_at is None) == (False, False)
    with pytest.raises(Full, match=r"queue of comparisons is full\. Ask again in a moment\."):
        shown(staged, *reversed(pair))
    assert rows(staged, "comparisons") == 1
    assert rows(staged, "work WHERE kind = 'compare'") == comparisons.MOST_WAITING
    with staged.session() as session:
        session.execute(text("UPDATE work SET given_up = true, error = '{}' WHERE subject = '10000'"))
    assert shown(staged, *reversed(pair)).made_at is None
    assert rows(staged, "comparisons") == 2


def test_no_request_reads_more_than_a_page_of_a_large_comparison(
    staged: Database, pair: tuple[str, str], worker: Comparing
) -> None:
    shown(staged, *pair)
    work(worker)
    found = shown(staged, *pair)
    with staged.session() as session:
        session.execute(
            text("""
            INSERT INTO compared_units (comparison, layer, unit, distance, a_digest, b_digest)
            SELECT :no, 0, 1000 + n, (n * 7919 % 20000) / 40000.0, decode(repeat('00', 32), 'hex'),
                decode(repeat('00', 32), 'hex') FROM generate_series(0, 19999) AS n"""),
            {"no": found.no},
        )
    with staged.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE compared_units"))

    def read(session: Any) -> None:
        seen = comparisons.find(session, *pair)
        first = page(session, seen, seen.layer(LAYER), None, 50)
        page(session, seen, seen.layer(LAYER), first.next_cursor, 50)

    def big(plan: dict[str, Any]) -> bool:
        return any(node.get("Relation Name") == "compared_units" for node in nodes(plan))

    looked = [plan for _, plan in plans(staged, read) if big(plan)]
    assert len(looked) == 2
    for plan in looked:
        (scan,) = (node for node in nodes(plan) if node.get("Relation Name") == "compared_units")
        assert scan["Node Type"] in ("Index Scan", "Index Only Scan"), scan
        assert scan["Index Name"] == "ix_compared_units_most"
