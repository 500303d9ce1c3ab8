"""Cursors are opaque, and nothing but a cursor is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.base.errors import Invalid
from services.base.paging import decode_cursor, encode_cursor, limit_of

_POINTS = (*range(0x100), 0x3B1, 0x202E, 0x6F22, 0xD7FF, 0xE000, 0xFFFF, 0x1F642, 0x10FFFF)
"""Of every length in UTF-8. Named, because whoever asks for any character waits for a table of them all."""
_texts = st.text(alphabet=[chr(point) for point in _POINTS])


@given(_texts.filter(lambda text: "\0" not in text), st.integers(0, 2**31 - 2))
def test_a_cursor_gives_its_key_back(text: str, number: int) -> None:
    cursor = encode_cursor("things", [text, number])
    assert decode_cursor("things", cursor, (str, int)) == [text, number]
    assert cursor.replace("-", "").replace("_", "").isalnum()


@given(_texts)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(Invalid, match="/cursor"):
        decode_cursor("things", text, (str,))


@pytest.mark.parametrize(
    "key", [["a", 1], [1], [True], ["a\0"], ["\ud800"], [-1], [2**31 - 1], [2**63], [1.5], [None], []]
)
def test_keys_of_another_kind_are_refused(key: list[object]) -> None:
    kinds = {"a\0": (str,), "\ud800": (str,)}.get(str(key[0]) if key else "", (int,))
    with pytest.raises(Invalid):
        decode_cursor("things", encode_cursor("things", key), kinds if key != [1] else (str,))  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        decode_cursor("others", encode_cursor("things", [1]), (int,))


def test_a_limit_is_between_1_and_200() -> None:
    assert [limit_of(1), limit_of(200)] == [1, 200]
    for wrong in (0, -1, 201):
        with pytest.raises(Invalid, match="/limit"):
            limit_of(wrong)
