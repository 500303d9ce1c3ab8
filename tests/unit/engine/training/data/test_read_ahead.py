from collections.abc import Iterator
from threading import Barrier, Event, get_ident

import pytest

from imago_engine.training.data.read_ahead import ahead, each_ahead


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


def test_several_threads_make_items_in_their_order() -> None:
    meeting = Barrier(3)

    def make(item: int) -> int:
        meeting.wait(60)  # passes only while three are at it
        return item * item

    assert list(each_ahead(make, range(9), threads=3)) == [(i, i * i) for i in range(9)]


@pytest.mark.parametrize("threads", [1, 3])
def test_what_the_making_raises_is_raised_when_its_turn_comes(threads: int) -> None:
    made = each_ahead(lambda item: 6 // item, [2, 1, 0, 3], threads)
    assert [next(made), next(made)] == [(2, 3), (1, 6)]
    with pytest.raises(ZeroDivisionError):
        next(made)
