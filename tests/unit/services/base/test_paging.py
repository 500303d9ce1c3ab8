"""Cursors are opaque, and nothing but a cursor is taken for one."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.base.errors import Invalid
from services.base.paging import Key, Keyset, Page

_POINTS = (*range(0x100), 0x3B1, 0x202E, 0x6F22, 0xD7FF, 0xE000, 0xFFFF, 0x1F642, 0x10FFFF)
"""Of every length in UTF-8. Named, because whoever asks for any character waits for a table of them all."""
_texts = st.text(alphabet=[chr(point) for point in _POINTS])
_THINGS = Keyset("things", (str,))


@given(_texts.filter(lambda text: "\0" not in text), st.integers(0, 2**31 - 2))
def test_a_cursor_gives_its_key_back(text: str, number: int) -> None:
    things = Keyset("things", (str, int))
    cursor = things.cursor_after([text, number])
    assert things.key_in(cursor) == [text, number]
    assert cursor.replace("-", "").replace("_", "").isalnum()


@given(_texts)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(Invalid, match="/cursor"):
        _THINGS.key_in(text)


@pytest.mark.parametrize(
    "key", [["a", 1], [1], [True], ["a\0"], ["\ud800"], [-1], [2**31 - 1], [2**63], [1.5], [None], []]
)
def test_keys_of_another_kind_are_refused(key: list[str | int]) -> None:
    kind = str if key and (isinstance(key[0], str) or key == [1]) else int
    with pytest.raises(Invalid):
        Keyset("things", (kind,)).key_in(_THINGS.cursor_after(key))


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(Invalid):
        Keyset("others", (str,)).key_in(_THINGS.cursor_after(["a"]))


def _numbers(cursor: str | None, limit: int) -> Page[int]:
    def read(after: Key | None, most: int) -> Sequence[int]:
        return [number for number in range(5) if after is None or number > int(after[0])][:most]

    return Keyset("numbers", (int,)).page(cursor, limit, read, lambda number: [number])


@pytest.mark.parametrize("limit", range(1, 8))
def test_pages_show_everything_once_and_the_last_has_no_cursor(limit: int) -> None:
    page = _numbers(None, limit)
    seen: list[int] = []
    while True:
        seen += page.data
        if page.next_cursor is None:
            break
        assert len(page.data) == limit
        page = _numbers(page.next_cursor, limit)
    assert seen == list(range(5))


def test_a_limit_is_between_1_and_200() -> None:
    assert [len(_numbers(None, limit).data) for limit in (1, 200)] == [1, 5]
    for wrong in (0, -1, 201):
        with pytest.raises(Invalid, match="/limit"):
            _numbers(None, wrong)


def test_pages_of_what_is_sifted_look_at_a_bounded_number_and_skip_nothing() -> None:
    numbers, keyset = range(5_000), Keyset("numbers", (int,))
    looks: list[int] = []
    found: list[int] = []

    def read(after: Key | None, most: int) -> Sequence[int]:
        first = 0 if after is None else after[0] + 1
        return numbers[first : first + most]

    def every_700th(rows: Sequence[int]) -> Sequence[int]:
        looks[-1] += len(rows)
        return [row for row in rows if row % 700 == 0]

    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        looks.append(0)
        page = keyset.sifted(cursor, 2, read, lambda row: [row], every_700th, 400)
        found += page.data
        cursor, pages = page.next_cursor, pages + 1
        assert len(page.data) <= 2
    assert found == [*numbers[::700]]
    assert max(looks) <= 400


def test_a_full_page_of_what_is_sifted_goes_on_after_its_last_row() -> None:
    keyset = Keyset("numbers", (int,))

    def read(after: Key | None, most: int) -> Sequence[int]:
        return range(10)[0 if after is None else after[0] + 1 :]

    first = keyset.sifted(None, 3, read, lambda row: [row], lambda rows: rows, 400)
    second = keyset.sifted(first.next_cursor, 20, read, lambda row: [row], lambda rows: rows, 400)
    assert (first.data, second.data) == ((0, 1, 2), (3, 4, 5, 6, 7, 8, 9))
    assert second.next_cursor is None
