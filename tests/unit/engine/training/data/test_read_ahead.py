from collections.abc import Iterator
from threading import Event, get_ident

import pytest

from imago_engine.training.data.read_ahead import ahead


def test_items_come_in_order_and_the_next_is_made_while_one_is_used() -> None:
    second_was_made = Event()

    def items() -> Iterator[int]:
        yield 1
        second_was_made.set()
        yield 2

    found = []
    for item in ahead(items()):
        assert second_was_made.wait(10)
        found.append(item)
    assert found == [1, 2]


def test_another_thread_makes_the_items_and_what_it_raises_is_raised_here() -> None:
    def items() -> Iterator[int]:
        yield get_ident()
        raise ValueError("no more")

    reading = ahead(items())
    assert next(reading) != get_ident()
    with pytest.raises(ValueError, match="no more"):
        next(reading)


def test_nothing_is_made_of_nothing() -> None:
    assert list(ahead(iter(()))) == []
