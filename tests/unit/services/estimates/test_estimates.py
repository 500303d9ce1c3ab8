"""When a queue will be done, in scenes whose truth can be reckoned by hand."""

from dataclasses import replace

import pytest

from services.base.states import Lane
from services.estimates.cost_model import Cost, Costs, Kind
from services.estimates.estimates import Batch, Part, Queue, Waiting

CPU = "CPU"
SLOW, QUICK = (
    Kind(name, "network", depth, "generator", "dgn-am", 100, 112)
    for name, depth in (("slow", 9), ("quick", 1))
)
COSTS = Costs(
    [Cost(SLOW, CPU, 8, 16.0, spread=0.0, batches=50), Cost(QUICK, CPU, 8, 4.0, spread=0.0, batches=50)]
)
"""An item of the slow kind takes 2 s, of the quick one half a second."""


def job(
    id: str, *parts: tuple[Kind, int], turn: int = 0, lane: Lane = Lane.INTERACTIVE, left: int | None = None
) -> Waiting:
    """Jobs of higher turns come after all items of those of lower ones."""
    items = sum(count for _, count in parts) or left or 0
    first = turn * 1_000_000
    return Waiting(
        id, lane, first, first + items, items if left is None else left, [Part(*part) for part in parts]
    )


def queue(*jobs: Waiting, workers: int = 1, batches: tuple[Batch, ...] = ()) -> Queue:
    held: dict[str, int] = {}
    for batch in batches:
        for id, items in batch.mine.items():
            held[id] = held.get(id, 0) + items
    return Queue({CPU: workers}, jobs, batches, held, COSTS)


def likely(queue: Queue, job: Waiting) -> float:
    found = queue.until_done(job)
    assert found is not None
    assert found.low < found.likely < found.high
    return found.likely


def test_items_of_a_known_kind_take_what_they_took() -> None:
    one = job("a", (SLOW, 100))
    assert likely(queue(one), one) == 200


def test_what_is_left_is_the_end_of_the_job() -> None:
    """Layers are computed in the order of the request: a job that has its quick half behind it is slow."""
    one = job("a", (QUICK, 100), (SLOW, 100), left=100)
    assert likely(queue(one), one) == 200
    other = job("b", (SLOW, 100), (QUICK, 100), left=100)
    assert likely(queue(other), other) == 50


def test_what_is_being_computed_is_counted_by_its_age() -> None:
    one = job("a", (SLOW, 24), left=8)
    batch = Batch(SLOW, CPU, 8, elapsed=12, delivered=False, mine={"a": 8})
    assert likely(queue(one, batches=(batch,)), one) == 4
    late = replace(batch, elapsed=60)
    assert 0 < likely(queue(one, batches=(late,)), one) < 2


def test_a_delivered_batch_costs_nothing_more() -> None:
    one = job("a", (SLOW, 24), left=24)
    done = Batch(SLOW, CPU, 8, elapsed=20, delivered=True, mine={"a": 8})
    now = Batch(SLOW, CPU, 8, elapsed=8, delivered=False, mine={"a": 8})
    assert likely(queue(one, batches=(done, now)), one) == 8 + 16


def test_who_was_submitted_before_goes_first_and_who_came_later_does_not_matter() -> None:
    first, second, third = (job(id, (QUICK, 80), turn=turn) for turn, id in enumerate("abc"))
    busy = queue(first, second, third)
    assert [likely(busy, each) for each in (first, second, third)] == [40, 80, 120]


def test_jobs_of_two_owners_proceed_side_by_side() -> None:
    """The short one, whose turns are those of the first items of the long one, waits for these only."""
    long, short = job("a", (QUICK, 800)), job("b", (QUICK, 80))
    both = queue(long, short)
    assert likely(both, short) == 80
    assert likely(both, long) == 440
    half_done = replace(long, left=760)
    assert likely(queue(half_done, short), short) == 60


def test_twice_the_workers_take_half_the_time() -> None:
    one = job("a", (SLOW, 1000))
    assert likely(queue(one, workers=2), one) == pytest.approx(1000, rel=0.02)


def test_many_workers_cannot_divide_one_round() -> None:
    one = job("a", (SLOW, 8))
    assert likely(queue(one, workers=10), one) >= 16


def test_a_job_beside_another_lane_gets_its_share() -> None:
    """Interactive work has three quarters of the time while bulk waits as well."""
    bulk = job("bulk", (SLOW, 1000), lane=Lane.BULK)
    short = job("short", (SLOW, 30), turn=1)
    both = queue(bulk, short)
    assert likely(both, short) == pytest.approx(60 / 0.75)
    assert likely(both, bulk) == pytest.approx(2060)


def test_a_short_bulk_job_beside_endless_interactive_work_has_a_quarter() -> None:
    endless = job("endless", (SLOW, 10_000))
    bulk = job("bulk", (SLOW, 30), turn=1, lane=Lane.BULK)
    assert likely(queue(endless, bulk), bulk) == pytest.approx(60 / 0.25)


def test_without_a_worker_or_any_experience_nothing_is_told() -> None:
    one = job("a", (SLOW, 8))
    assert Queue({}, [one], [], {}, COSTS).until_done(one) is None
    assert Queue({CPU: 1}, [one], [], {}, Costs([])).until_done(one) is None
    assert Queue({CPU: 1}, [one], [], {}, Costs([])).until_empty() is None


def test_what_was_never_done_is_a_wide_range() -> None:
    new = Kind("new", "network", 5, "generator", "dgn-am", 100, 112)
    one = job("a", (new, 100))
    found = queue(one).until_done(one)
    assert found is not None
    assert found.low <= 50
    assert found.high >= 200


def test_the_queue_is_empty_when_all_of_it_is_done() -> None:
    all_of_it = queue(job("a", (SLOW, 80)), job("b", (QUICK, 80), lane=Lane.BULK)).until_empty()
    assert all_of_it is not None
    assert all_of_it.likely == 160 + 40
    nothing = queue().until_empty()
    assert nothing is not None
    assert nothing.likely == 0


def test_jobs_that_were_not_read_count_as_those_that_were() -> None:
    many = replace(queue(job("a", (SLOW, 80)), job("b", (SLOW, 80), turn=1)), unread=10.0)
    found = many.until_empty()
    assert found is not None
    assert found.likely == 3200


def test_who_goes_before_all_that_was_not_read_does_not_wait_for_it() -> None:
    first, short, long = (job(id, (QUICK, 80), turn=turn) for turn, id in enumerate("abc"))
    many = replace(queue(first, short, long), unread=10.0)
    assert likely(many, short) == 80
    last = job("d", (QUICK, 80), turn=100)
    assert likely(many, last) == 10 * 120 + 40


def test_a_bulk_job_waits_for_the_interactive_ones_that_there_are() -> None:
    """These are read first: where any bulk job was read, there are no others."""
    quick = job("a", (QUICK, 80))
    bulk = [job(id, (QUICK, 80), turn=turn, lane=Lane.BULK) for turn, id in enumerate("bc", 1)]
    assert likely(replace(queue(quick, *bulk), unread=10.0), bulk[0]) == 40 + 40


def test_a_job_whose_items_all_wait_for_the_turn_of_others_ends_with_them() -> None:
    first = job("a", (SLOW, 100))
    same = job("b", left=100, turn=1)
    assert likely(queue(first, same), same) == 200
