"""Units by the names of their classes."""

import pytest

from imago_engine.class_names import named_units
from imago_engine.units import UnitsError

NAMES = (
    "tench, Tinca tinca",
    "crane",
    "Volcano",
    "crane",
    "maillot",
    "maillot, tank suit",
    "7",
    "12-gauge",
    "Stra\u00dfe, caf\u00e9",
)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("volcano", 2),
        (" VOLCANO ", 2),
        ("tinca TINCA", 0),
        ("tench, tinca tinca", 0),
        ("maillot", 4),  # a whole label goes before one that lists the name
        ("tank suit", 5),
        ("12-gauge", 7),
        ("STRASSE", 8),
        ("cafe\u0301", 8),  # an accent of its own, as some systems type it
        ("7", 7),  # a number is a number
        ("0", 0),
    ],
)
def test_a_unit_goes_by_the_name_of_its_class_in_any_case(name: str, unit: int) -> None:
    assert list(named_units(name, layer="output", count=len(NAMES), labels=NAMES)) == [unit]


def test_the_name_of_several_classes_is_refused_with_all_of_them() -> None:
    with pytest.raises(UnitsError) as raised:
        named_units("Crane", layer="output", count=8, labels=NAMES)
    assert str(raised.value) == "2 classes are called 'Crane': 1 (crane), 3 (crane); name one by number"


def test_a_name_that_no_class_has_is_refused_with_those_like_it() -> None:
    advice = r"cannot read 'vulcano'.*can also be named, by itself, such as 'Volcano'"
    with pytest.raises(UnitsError, match=advice):
        named_units("vulcano", layer="output", count=8, labels=NAMES)
    with pytest.raises(UnitsError) as raised:
        named_units("vulcano", layer="conv", count=8)
    assert "class" not in str(raised.value)
