"""Units by what their networks say of their pictures."""

import pytest
from sqlalchemy import text

from services.base.database import Database
from services.base.errors import Invalid, NotFound
from services.base.paging import Page
from services.search import indexing, labels
from services.search.labels import Said
from tests.integration.search.indexed import direction, work_off
from tests.integration.staging import NETWORK, request, submit

SOME = {unit: direction(str(unit)) for unit in range(20)}


def said(database: Database, label: str, **asked: object) -> Page[Said]:
    with database.session() as session:
        return labels.saying(session, label, **asked)  # type: ignore[arg-type]


@pytest.fixture
def spoken(staged: Database) -> Database:
    """12 hidden units: unit u is seen as class 3 with probability u / 20, and for the rest as class 9."""
    submit(staged, request("0-11", layer="blocks.4"))
    work_off(staged, SOME, {u: [[3, u / 20], [9, 1 - u / 20]] for u in range(12)})
    return staged


def test_units_that_say_a_word_come_by_their_probability_page_by_page(spoken: Database) -> None:
    found: list[int] = []
    cursor = None
    while True:
        page = said(spoken, "class 3", network=NETWORK, cursor=cursor, limit=5)
        found += [one.unit for one in page.data]
        if (cursor := page.next_cursor) is None:
            break
        assert len(page.data) == 5
    assert found == list(range(11, -1, -1))


def test_a_unit_is_found_once_by_the_picture_that_says_it_most(spoken: Database) -> None:
    submit(spoken, request("4", layer="blocks.4", seeds=[1]))
    work_off(spoken, SOME, {4: [[3, 0.99]]})
    first, *others = said(spoken, "CLASS  3").data
    assert (first.unit, first.probability, first.rank) == (4, 0.99, 1)
    assert 4 not in {one.unit for one in others}


def test_a_unit_is_found_once_by_a_word_that_several_of_its_labels_have(staged: Database) -> None:
    """A picture is seen as both labels with the same probability, another as either, one more strongly."""
    named = text("UPDATE networks SET labels = jsonb_set(jsonb_set(labels, '{3}', :three), '{9}', :nine)")
    try:
        with staged.session() as session:
            session.execute(named, {"three": '"missile"', "nine": '"projectile, missile"'})
        submit(staged, request("0-5", layer="blocks.4"))
        work_off(staged, SOME, {u: [[3, 0.4], [9, 0.4]] if u % 2 else [[9, 0.3], [3, 0.2]] for u in range(6)})
        submit(staged, request("0", layer="blocks.4", seeds=[1]))
        work_off(staged, SOME, {0: [[3, 0.9], [9, 0.1]]})
        found, cursor = list[Said](), None
        while True:
            page = said(staged, "missile", network=NETWORK, cursor=cursor, limit=2)
            found += page.data
            if (cursor := page.next_cursor) is None:
                break
        assert sorted(one.unit for one in found) == list(range(6))
        assert [one.probability for one in found] == [0.9, 0.4, 0.4, 0.4, 0.3, 0.3]
        assert {(one.label, one.rank) for one in found if one.unit % 2} == {("missile", 1)}
    finally:
        with staged.session() as session:
            session.execute(named, {"three": '"class 3"', "nine": '"class 9"'})


def test_a_filter_leaves_no_page_short(spoken: Database) -> None:
    """Of the classifier's units many say the same more strongly."""
    submit(spoken, request("0-399"))
    work_off(spoken, {}, {u: [[3, 0.9 + u / 10_000]] for u in range(400)})
    page = said(spoken, "class 3", network=NETWORK, layer="blocks.4", limit=12)
    assert [one.unit for one in page.data] == list(range(11, -1, -1))


def test_pictures_of_an_earlier_inspection_say_nothing_of_the_network_now(spoken: Database) -> None:
    with spoken.session() as session:
        session.execute(text("UPDATE networks SET spec_sha256 = repeat('e', 64)"))
    try:
        assert not said(spoken, "class 3").data
    finally:
        with spoken.session() as session:
            session.execute(text("UPDATE networks SET spec_sha256 = weights_sha256"))


def test_an_unknown_label_is_answered_with_those_that_may_be_meant(spoken: Database) -> None:
    with pytest.raises(NotFound, match="There are: class 39; "):
        said(spoken, "lass 39")
    with pytest.raises(Invalid, match="needs a network"):
        said(spoken, "class 3", layer="blocks.4")


def test_the_beginning_of_a_label_is_completed(staged: Database) -> None:
    with staged.session() as session:
        assert labels.beginning(session, "class 39")[:2] == ["class 39", "class 390"]
        assert labels.beginning(session, "39", NETWORK)[:2] == ["class 39", "class 390"]
        assert labels.beginning(session, "nothing") == []


def test_pictures_that_no_eye_has_seen_are_said_to_be_lacking(spoken: Database) -> None:
    with spoken.session() as session:
        assert not indexing.lacks(session)
    submit(spoken, request("0"))
    work_off(spoken, {})
    with spoken.session() as session:
        assert indexing.lacks(session)
        assert indexing.lacks(session, NETWORK, "classifier")
        assert not indexing.lacks(session, NETWORK, "blocks.4")
        assert [one.place.layer for one in indexing.following(session, indexing.Place(), 10)] == [
            "classifier"
        ]
