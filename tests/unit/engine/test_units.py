"""Units as text and lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imago_engine.units import UnitsError, parse_units, read_units, written


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
        ("3,all", list(range(112))),
        ("::40", [0, 40, 80]),
        ("5-20:5", [5, 10, 15, 20]),
        ("5-19 : 5, 100-102", [5, 10, 15, 100, 101, 102]),
        ("110,::56", [0, 56, 110]),
        ("::500", [0]),
        ("sample:112@3", list(range(112))),
        ("sample:500", list(range(112))),
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
        ("::0", "'::0' counts by 0"),
        ("0-9:0", "counts by 0"),
        ("sample:0@1", "counts by 0"),
        ("::", "cannot read '::'"),
        ("4:2", "cannot read '4:2'"),
        ("0-9:", "cannot read '0-9:'"),
        ("0-200:100", "got 200"),
        ("sample:@7", "cannot read 'sample:@7'"),
        ("sample:4@", "cannot read 'sample:4@'"),
        ("sample:4@1,sample:4@2", "more than one sample"),
        (",".join(f"{n}-111:2" for n in range(101)), "101 ranges with a step"),
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


def test_what_is_expected_names_every_form() -> None:
    with pytest.raises(
        UnitsError, match=r'"all", ranges .*"0-11,207", .*"::4" or "0-99:4", or "sample:64@7"'
    ):
        parse("none")


def test_a_sample_is_the_same_each_time_and_another_for_another_seed() -> None:
    assert parse("sample:8@7") == parse(" sample:8 @ 7 ") != parse("sample:8@8")
    assert parse("sample:8") == parse("sample:8@0")
    # As written by every release: an atlas is extended months later.
    assert parse("sample:5@7") == [9, 53, 64, 77, 110]


SIZES = st.integers(1, 2000)


@given(st.integers(1, 300), st.integers(0, 300), st.integers(0, 10**9 - 1), SIZES, SIZES)
def test_a_smaller_sample_is_part_of_a_larger_one(few: int, more: int, seed: int, one: int, two: int) -> None:
    count, larger_count = sorted((one, two))
    small = set(parse(f"sample:{few}@{seed}", count))
    assert len(small) == min(few, count)
    assert small <= set(parse(f"sample:{few + more}@{seed}", count))
    # Of a layer with more units as well, as far as they are among those of the small one.
    assert {u for u in parse(f"sample:{few}@{seed}", larger_count) if u < count} <= small


@given(st.integers(1, 2500), SIZES)
def test_every_nth_is_a_slice_of_all(step: int, count: int) -> None:
    assert parse(f"::{step}", count) == list(range(count))[::step]


PARTS = st.one_of(
    st.just("all"),
    st.integers(0, 300).map(str),
    st.integers(1, 99).map(lambda step: f"::{step}"),
    st.tuples(st.integers(0, 300), st.integers(0, 300), st.none() | st.integers(1, 50)).map(
        lambda p: f"{min(p[:2])}-{max(p[:2])}" + (f":{p[2]}" if p[2] else "")
    ),
)


@given(st.lists(PARTS, min_size=1, max_size=12), st.integers(1, 301))
def test_joined_words_mean_the_union_of_what_each_means(parts: list[str], count: int) -> None:
    whole = read_units(",".join(parts)).of(count)
    assert list(whole) == sorted(set[int]().union(*(read_units(part).of(count) for part in parts)))
    assert all(0 <= unit < count for unit in whole)


@given(st.sets(st.integers(0, 300), min_size=1))
def test_units_that_are_written_are_read_as_they_were(units: set[int]) -> None:
    assert parse(written(sorted(units)), 301) == sorted(units)


@given(st.text(alphabet="0123456789-:,@ alsmpe", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse(text, 50)
    except UnitsError:
        return
    assert found == sorted(set(found))
    assert found[0] >= 0
    assert found[-1] < 50


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)).map(sorted), min_size=1, max_size=20))
def test_ranges_mean_the_union_of_their_units(ranges: list[list[int]]) -> None:
    text = ",".join(f"{low}-{high}" for low, high in ranges)
    assert parse(text, 301) == sorted({unit for low, high in ranges for unit in range(low, high + 1)})


@pytest.mark.parametrize(
    ("units", "first_and_step"),
    [
        ("all", (0, 1)),
        ("::7", (0, 7)),
        ("4-19", (4, 1)),
        ("5-20:5", (5, 5)),
        ("0-3,7", None),
        ("sample:9@1", None),
        ([3, 4], None),
    ],
)
def test_units_that_are_one_range_are_known_as_such(
    units: str | list[int], first_and_step: tuple[int, int] | None
) -> None:
    known = read_units(units).progression
    assert known == first_and_step
    if known is not None:
        chosen = read_units(units).of(112)
        assert chosen == [known[0] + known[1] * place for place in range(len(chosen))]
