"""Jobs that make several candidates of each unit and seed: what they are, and which is the best."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from imago_engine.candidates import best_first, candidate_seeds
from services.base.database import Database
from services.base.errors import Invalid
from services.catalog.layers import get_unit
from services.jobs import jobs, submission
from services.jobs.jobs import JobItem
from services.jobs.planning import Limits
from services.pictures import visualizations
from services.queue import batches
from tests.integration import staging
from tests.integration.staging import claim, fail, picture, request, rows_of, states, submit, work_off


def items(database: Database, job_id: str, **filters: Any) -> list[JobItem]:
    """All items, in pages of two: no page ends where the candidates of a unit do."""
    found: list[JobItem] = []
    cursor = None
    while True:
        with database.session() as session:
            page = jobs.items(session, job_id, limit=2, cursor=cursor, **filters)
        found.extend(page.data)
        cursor = page.next_cursor
        if cursor is None:
            return found


def finish_with(database: Database, scores: Mapping[tuple[int, int], float | None]) -> None:
    """Finish what waits and is named, by unit and seed, and give the rest back."""
    claimed = claim(database)
    results = [
        replace(picture(work.digest), score=scores[work.unit, work.seed])
        for work in claimed.items
        if (work.unit, work.seed) in scores
    ]
    with database.session() as session:
        assert len(batches.conclude(session, claimed.lease_id, finished=results)) == len(scores)
    with database.session() as session:
        batches.release(session, claimed.lease_id)


def test_each_candidate_is_the_picture_of_its_seed_whatever_their_number(staged: Database) -> None:
    several = submit(staged, request("3-4", candidates=3, seeds=[0, 5])).job
    assert several.units.total == 12
    every = [*candidate_seeds(0, 3), *candidate_seeds(5, 3)]
    assert [(item.unit, item.seed) for item in items(staged, several.id)] == [
        (unit, seed) for unit in (3, 4) for seed in every
    ]
    alone = submit(staged, request("3-4", seeds=every)).job
    assert states(staged, several.id) == states(staged, alone.id)
    fewer = submit(staged, request("3-4", candidates=2, seeds=[0])).job
    assert states(staged, fewer.id).keys() < states(staged, several.id).keys()


def test_what_was_computed_before_counts_at_once(staged: Database) -> None:
    submit(staged, request("3"))
    work_off(staged)
    job = submit(staged, request("3", candidates=4)).job
    assert (job.units.total, job.units.cached, job.units.done) == (4, 1, 1)


def test_all_candidates_count_against_the_limit_of_a_job(staged: Database) -> None:
    for candidates, refused in ((2, False), (3, True)):
        wanted = request("0-4", seeds=[0, 1], candidates=candidates)
        if refused:
            with pytest.raises(Invalid, match="asks for 30 pictures"), staged.session() as session:
                submission.submit(session, wanted, limits=Limits(20))
        else:
            with staged.session() as session:
                assert submission.submit(session, wanted, limits=Limits(20)).job.units.total == 20


@pytest.mark.parametrize(
    ("seeds", "told"),
    [([0, 20_002], "must not differ by 10001 or 20002"), ([2**31 - 1], "must be at most 2147463645")],
)
def test_seeds_that_would_share_candidates_or_have_too_large_ones_are_refused(
    staged: Database, seeds: list[int], told: str
) -> None:
    with pytest.raises(Invalid) as raised:
        submit(staged, request("0", seeds=seeds, candidates=3))
    (error,) = raised.value.errors
    assert error.pointer == "/seeds"
    assert told in error.detail
    assert set(rows_of(staged).values()) == {0}
    assert submit(staged, request("0", seeds=seeds)).created


def test_the_best_is_the_candidate_with_the_highest_score_so_far(staged: Database) -> None:
    first, second, third = candidate_seeds(0, 3)
    job = submit(staged, request("3-4", candidates=3)).job

    def best() -> list[tuple[int, int]]:
        shown = items(staged, job.id)
        chosen = [(item.unit, item.seed) for item in shown if item.best]
        assert [(item.unit, item.seed) for item in items(staged, job.id, best=True)] == chosen
        assert len(items(staged, job.id, best=False)) == len(shown) - len(chosen)
        return chosen

    assert best() == []
    finish_with(staged, {(3, second): -4.0})
    assert best() == [(3, second)]
    finish_with(staged, {(3, first): -4.0, (4, first): -1.0, (4, third): None})
    assert best() == [(3, first), (4, first)], "of equals the earlier, and none without a score"
    finish_with(staged, {(3, third): -0.5})
    assert best() == [(3, third), (4, first)]
    assert [item.score for item in items(staged, job.id, best=True)] == [-0.5, -1.0]
    fail(staged, claim(staged))
    assert best() == [(3, third), (4, first)]


@pytest.mark.parametrize(
    "scores", [(None, None, None), (-1.0, None, -1.0), (-3.0, -2.0, -2.5), (None, 0.0, 7.0)]
)
def test_jobs_and_the_library_call_the_same_candidate_the_best(
    staged: Database, scores: tuple[float | None, ...]
) -> None:
    seeds = candidate_seeds(9, 3)
    job = submit(staged, request("3", candidates=3, seeds=[9])).job
    finish_with(staged, {(3, seed): score for seed, score in zip(seeds, scores, strict=True)})
    assert [item.seed for item in items(staged, job.id, best=True)] == [seeds[best_first(scores)[0]]]


def test_without_candidates_each_picture_is_its_own_best_also_in_jobs_of_earlier_releases(
    staged: Database,
) -> None:
    job = submit(staged, request("3-4", seeds=[0, 1])).job
    work_off(staged)
    with staged.session() as session:
        session.execute(text("UPDATE jobs SET request = request - 'candidates'"))
    assert [item.best for item in items(staged, job.id)] == [True] * 4


def test_units_of_several_targets_have_their_candidates_once(staged: Database) -> None:
    targets = [{"layer": "output", "units": units} for units in ("0-3", "2-5")]
    job = submit(staged, request(targets=targets, candidates=2)).job
    assert job.units.total == 12
    work_off(staged)
    assert [item.unit for item in items(staged, job.id, best=True)] == [0, 1, 2, 3, 4, 5]


def test_the_best_of_a_unit_is_the_one_with_the_highest_score_and_others_come_after(staged: Database) -> None:
    submit(staged, request("3", seeds=[0, 1, 2]))
    finish_with(staged, {(3, 0): -2.0, (3, 1): -1.0, (3, 2): None})
    with staged.session() as session:
        session.execute(text("UPDATE visualizations SET activation = 99 WHERE score IS NULL"))
        best = visualizations.best(session, staging.NETWORK, "output", 3)
        assert best is not None
        assert (best.spec.seed, best.score) == (1, -1.0)
        unit = get_unit(session, staging.NETWORK, "output", 3)
        assert (unit.best, unit.activation) == (best.digest, best.activation)
