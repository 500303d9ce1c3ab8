"""Units as text and lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imago_engine.units import UnitsError, parse_units


def parse(units: str | list[int], count: int = 112) -> list[int]:
    return list(parse_units(units, layer="blocks.4", count=count))


@pytest.mark.parametrize(
    ("units", "meant"),
    [
        ("0-3,7", [0, 1, 2, 3, 7]),
        (" 5 - 6 , 2 ", [2, 5, 6]),
        ("5,5,4-6", [4, 5, 6]),
        ("111", [111]),
        ([3, 1, 3], [1, 3]),
        ("all", list(range(112))),
    ],
)
def test_units_are_ascending_and_each_is_there_once(units: str | list[int], meant: list[int]) -> None:
    assert parse(units) == meant


@pytest.mark.parametrize(
    ("units", "said"),
    [
        ("0-115", "layer 'blocks.4' has 112 units (0–111); got 115"),
        ([0, 112], "layer 'blocks.4' has 112 units (0–111); got 112"),
        ([-1], "got -1"),
        ("0-999999999", "got 999999999"),
        ("", "cannot read ''"),
        ("1,,2", "cannot read ''"),
        ("1-2-3", "cannot read '1-2-3'"),
        ("-1", "cannot read '-1'"),
        ("1e3", "cannot read '1e3'"),
        ("٣", "cannot read '٣'"),
        ("ALL", "cannot read 'ALL'"),
        ("7-3", "the range '7-3' runs backwards; expected 3-7"),
        ([], "names no unit"),
    ],
)
def test_what_is_no_unit_is_said(units: str | list[int], said: str) -> None:
    with pytest.raises(UnitsError) as raised:
        parse(units)
    assert said in str(raised.value)


def test_a_long_text_is_read_no_further() -> None:
    with pytest.raises(UnitsError, match="at most 20000"):
        parse("0," * 20_000)
    assert parse(",".join(["0-111"] * 3000)) == list(range(112))


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)).map(sorted), min_size=1, max_size=20))
def test_ranges_mean_the_union_of_their_units(ranges: list[list[int]]) -> None:
    text = ",".join(f"{low}-{high}" for low, high in ranges)
    assert parse(text, 301) == sorted({unit for low, high in ranges for unit in range(low, high + 1)})
