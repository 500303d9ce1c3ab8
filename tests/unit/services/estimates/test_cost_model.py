"""What is learned of a kind of work, and what is guessed of one that was never done."""

import pytest

from services.estimates.cost_model import Cost, Costs, Kind, Spent, learned, occupied

CPU = "CPU, 2 of 2 cores"


def kind(depth: int = 5, *, network: str = "a", steps: int = 100, key: str | None = None) -> Kind:
    return Kind(key or f"{network}-{depth}-{steps}", network, depth, "generator", "dgn-am", steps, 112)


def cost(depth: int, seconds: float, **rest: object) -> Cost:
    return Cost(kind(depth, **rest), CPU, 8, seconds, spread=0.05, batches=10)  # type: ignore[arg-type]


def learn(*seconds: float) -> Cost:
    known = None
    for each in seconds:
        known = learned(known, Spent(kind(), CPU, 8, rounds=2, seconds=2 * each))
    assert known is not None
    return known


def test_one_batch_is_enough_to_know() -> None:
    assert learn(3.0).seconds == 3
    assert learn(3.0).batches == 1


def test_what_is_always_the_same_is_known_ever_better() -> None:
    spreads = [learn(*[3.0] * batches).spread for batches in (1, 3, 10)]
    assert spreads == sorted(spreads, reverse=True)
    expected = learn(*[3.0] * 10).expected
    assert (expected.low, expected.likely, expected.high) == pytest.approx((2.7, 3, 3.3))


def test_a_machine_that_became_twice_as_slow_is_believed_after_some_batches() -> None:
    assert learn(*[3.0] * 20, *[6.0] * 8).seconds == pytest.approx(6, rel=0.1)


def test_one_slow_batch_among_many_changes_little() -> None:
    assert learn(*[3.0] * 10, 300.0, *[3.0] * 5).seconds == pytest.approx(3, rel=0.2)


def test_a_first_batch_that_loaded_and_warmed_up_is_forgotten_with_the_second() -> None:
    assert learn(12.0, 3.0).seconds == 3
    assert learn(3.0, 12.0).seconds > 3  # a machine that only became busy is believed as ever


def test_a_known_kind_is_as_it_was_learned_and_nothing_is_known_of_another_device() -> None:
    costs = Costs([cost(5, 4.0)])
    found = costs.of(CPU, kind(5))
    assert found is not None
    assert (found[0].likely, found[1]) == (4.0, 8)
    assert costs.of("a GPU", kind(5)) is None


def test_a_layer_between_two_known_ones_costs_something_between() -> None:
    costs = Costs([cost(2, 2.0), cost(10, 6.0)])
    found = costs.of(CPU, kind(6))
    assert found is not None
    assert found[0].low < 2
    assert found[0].likely == pytest.approx(4)
    assert found[0].high > 6


@pytest.mark.parametrize(("depth", "truth"), [(2, 2.0), (4, 3.0), (16, 9.0)])
def test_the_truth_lies_within_the_range_where_cost_grows_with_depth(depth: int, truth: float) -> None:
    found = Costs([cost(8, 5.0)]).of(CPU, kind(depth))
    assert found is not None
    assert found[0].low <= truth <= found[0].high
    assert found[0].high > 1.5 * found[0].low


def test_twice_the_steps_cost_twice_as_much() -> None:
    found = Costs([cost(8, 5.0)]).of(CPU, kind(8, steps=200))
    assert found is not None
    assert found[0].likely == pytest.approx(10)


def test_of_another_network_only_the_order_of_magnitude_is_known() -> None:
    costs = Costs([cost(2, 2.0), cost(10, 6.0)])
    found = costs.of(CPU, kind(6, network="b"))
    assert found is not None
    assert found[0].low <= 1
    assert found[0].high >= 12


def test_a_batch_costs_what_it_kept_its_worker_from_others() -> None:
    """Computing 10 s, claimed at 100, in a row of batches of which the last had ended at 101."""
    assert occupied(10, claimed=100, last_ended=101, now=113) == 12
    assert occupied(10, claimed=100, last_ended=101, now=109) == 10  # others came in between
    assert occupied(10, claimed=100, last_ended=101, now=500) == 20  # a network was loaded
    assert occupied(10, claimed=100, last_ended=40, now=113) == 10  # nothing was done before
