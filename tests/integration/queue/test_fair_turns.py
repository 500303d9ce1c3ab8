"""Owners take turns in a lane; what one owner submits keeps its order."""

from collections import Counter

import pytest
from sqlalchemy import text

from services.access import keys
from services.base.database import Database
from services.base.states import Lane
from services.queue.batches import Claim
from tests.integration.staging import claim, finish, request, submit

OWN_RECIPES = {"anna": 3, "ben": 4, "cleo": 5}
"""Steps by owner: items of different recipes are never in one batch, so a claim tells whose turn it is."""


@pytest.fixture
def owners(staged: Database) -> dict[str, str]:
    with staged.session() as session:
        return {name: keys.create_key(session, name, ["jobs:write"])[0].id for name in OWN_RECIPES}


def ask(database: Database, owners: dict[str, str], name: str, units: str, lane: Lane = Lane.BULK) -> str:
    recipe = {"technique": "dgn-am", "parameters": {"steps": OWN_RECIPES[name]}}
    return submit(database, request(units, lane=lane, recipe=recipe), owner=owners[name]).job.id


def whose(claimed: Claim) -> str:
    return next(name for name, steps in OWN_RECIPES.items() if steps == claimed.recipe.parameters["steps"])


def compute(database: Database, limit: int = 10) -> str:
    claimed = claim(database, limit)
    finish(database, claimed)
    return whose(claimed)


@pytest.mark.parametrize("lane", list(Lane))
def test_who_comes_while_another_ones_many_items_wait_begins_beside_them(
    staged: Database, owners: dict[str, str], lane: Lane
) -> None:
    ask(staged, owners, "anna", "0-199", lane)
    assert [compute(staged) for _ in range(3)] == ["anna"] * 3
    ask(staged, owners, "ben", "0-49", lane)
    ask(staged, owners, "cleo", "0-49", lane)
    shares = Counter(compute(staged) for _ in range(15))
    assert shares == {"anna": 5, "ben": 5, "cleo": 5}
    assert {compute(staged) for _ in range(12)} == {"anna"}


def test_what_one_owner_submits_keeps_its_order(staged: Database, owners: dict[str, str]) -> None:
    ask(staged, owners, "anna", "0-19")
    ask(staged, owners, "ben", "0-99")
    ask(staged, owners, "anna", "20-39")
    computed: dict[str, list[int]] = {name: [] for name in OWN_RECIPES}
    for _ in range(14):
        claimed = claim(staged, 10)
        computed[whose(claimed)] += [work.unit for work in claimed.items]
        finish(staged, claimed)
    assert computed["anna"] == list(range(40))


def test_who_was_away_has_saved_up_nothing(staged: Database, owners: dict[str, str]) -> None:
    ask(staged, owners, "ben", "0-9")
    assert compute(staged) == "ben"
    ask(staged, owners, "anna", "0-199")
    for _ in range(5):
        compute(staged)
    ask(staged, owners, "ben", "10-109")
    assert Counter(compute(staged) for _ in range(10)) == {"anna": 5, "ben": 5}


def test_an_item_that_waits_for_its_next_attempt_gives_newcomers_no_better_turn(
    staged: Database, owners: dict[str, str]
) -> None:
    ask(staged, owners, "anna", "0-199")
    with staged.session() as session:
        session.execute(text("UPDATE visualizations SET not_before = now() + interval '1 h' WHERE unit = 0"))
    for _ in range(5):
        compute(staged)
    ask(staged, owners, "ben", "0-99")
    assert Counter(compute(staged) for _ in range(10)) == {"anna": 5, "ben": 5}


def test_while_workers_compute_the_turns_go_on_from_what_was_claimed_last(
    staged: Database, owners: dict[str, str]
) -> None:
    """What is far behind in the same layer is computed with it, and must not set the clock."""
    ask(staged, owners, "anna", "0-199")
    claim(staged, 10, worker="slow")
    for _ in range(5):
        compute(staged)
    running = claim(staged, 10)
    ask(staged, owners, "ben", "0-99")
    finish(staged, running)
    assert compute(staged) == "ben"
    assert Counter(compute(staged) for _ in range(8)) == {"anna": 4, "ben": 4}
