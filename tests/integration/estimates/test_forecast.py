"""When jobs will be done, told from what workers reported, whoever asks."""

import pytest
from sqlalchemy import event

from services.atlases import atlas_estimates
from services.atlases.atlas_request import AtlasRequest
from services.base.database import Database
from services.base.states import Lane
from services.estimates import costs
from services.estimates.cost_model import Seconds
from services.jobs import jobs
from services.pictures import visualizations
from services.queue import batches, workers
from services.queue.batches import Claim
from tests.integration import staging
from tests.integration.staging import claim, fail, finish, picture, request, submit

CPU = "CPU, 2 of 2 cores"
ITEM_SECONDS = {"classifier": 2.0, "blocks.4": 1.0, "features.0": 0.5}


def register(staged: Database, *names: str) -> None:
    with staged.session() as session:
        for name in names:
            workers.register(session, name, host="here", device=CPU)


def finish_and_tell(staged: Database, claimed: Claim) -> None:
    """As a worker does: the costs are learned in the transaction that ends the batch."""
    with staged.session() as session:
        batches.conclude(session, claimed.lease_id, finished=[picture(work.digest) for work in claimed.items])
        seconds = ITEM_SECONDS[claimed.layer] * len(claimed.items)
        costs.note(session, claimed, device=CPU, round_items=1, rounds=len(claimed.items), seconds=seconds)


def learn(staged: Database, *layers: str, **rest: object) -> None:
    """Let one item of each layer have been done before."""
    for layer in layers:
        submit(staged, request("7", layer, seeds=[99], **rest))
        finish_and_tell(staged, claim(staged))


def eta(staged: Database, id: str) -> Seconds:
    found = staging.job(staged, id).eta
    assert found is not None
    return found


def test_a_job_of_known_kinds_is_told_by_what_its_layers_cost(staged: Database) -> None:
    register(staged, "worker-1")
    learn(staged, "classifier", "features.0")
    targets = [{"layer": "features.0", "units": "0-6"}, {"layer": "classifier", "units": "0-99"}]
    id = submit(staged, request(targets=targets)).job.id
    assert eta(staged, id).likely == pytest.approx(7 * 0.5 + 100 * 2)
    finish_and_tell(staged, claim(staged, limit=7))  # the cheap ones
    assert eta(staged, id).likely == pytest.approx(100 * 2)
    finish_and_tell(staged, claim(staged, limit=50))
    assert eta(staged, id).likely == pytest.approx(50 * 2)


def test_what_is_cached_costs_nothing(staged: Database) -> None:
    register(staged, "worker-1")
    submit(staged, request("0-39"))
    finish_and_tell(staged, claim(staged))
    id = submit(staged, request("0-49")).job.id
    assert eta(staged, id).likely == pytest.approx(10 * 2)


def test_who_waits_for_the_items_of_another_waits_as_long_as_that(staged: Database) -> None:
    register(staged, "worker-1")
    learn(staged, "classifier")
    first, second = (submit(staged, request("0-99")).job.id for _ in range(2))
    third = submit(staged, request("50-149")).job.id
    assert eta(staged, first).likely == pytest.approx(200)
    assert eta(staged, second).likely == pytest.approx(200)
    assert eta(staged, third).likely == pytest.approx(300)


def test_bulk_waits_for_what_is_interactive_and_workers_share_it(staged: Database) -> None:
    register(staged, "worker-1")
    learn(staged, "classifier")
    bulk = submit(staged, request("0-99", lane=Lane.BULK)).job.id
    assert eta(staged, bulk).likely == pytest.approx(200)
    quick = submit(staged, request("100-109")).job.id
    assert eta(staged, quick).likely == pytest.approx(20 / 0.75)
    assert eta(staged, bulk).likely == pytest.approx(220)
    register(staged, "worker-2")
    assert eta(staged, bulk).likely == pytest.approx(110, rel=0.02)
    with staged.session() as session:
        workers.stopped(session, "worker-1")
        workers.stopped(session, "worker-2")
    assert staging.job(staged, bulk).eta is None


def test_items_that_were_hurried_count_where_they_wait_now(staged: Database) -> None:
    register(staged, "worker-1")
    learn(staged, "classifier")
    submit(staged, request("0-99", lane=Lane.BULK))
    hurried = submit(staged, request("0-9")).job.id
    assert eta(staged, hurried).likely == pytest.approx(20 / 0.75)


def test_a_retried_job_is_told_by_what_it_has_to_do_again(staged: Database) -> None:
    register(staged, "worker-1")
    learn(staged, "classifier")
    id = submit(staged, request("0-19")).job.id
    finish_and_tell(staged, claim(staged, limit=15))
    fail(staged, claim(staged))
    with staged.session() as session:
        jobs.retry(session, id)
    assert eta(staged, id).likely == pytest.approx(5 * 2)


def test_a_new_kind_is_a_range_about_what_is_like_it(staged: Database) -> None:
    register(staged, "worker-1")
    assert submit(staged, request("0-9", "blocks.4")).job.eta is None
    staging.work_off(staged)
    learn(staged, "classifier", "features.0")
    id = submit(staged, request("10-109", "blocks.4")).job.id
    found = eta(staged, id)
    assert found.low < 100 * ITEM_SECONDS["blocks.4"] < found.high
    assert found.high > 1.5 * found.low
    twice = submit(staged, request("10-109", "blocks.4", recipe={"parameters": {"steps": 40}})).job.id
    assert eta(staged, twice).likely == pytest.approx(3 * found.likely)


def test_the_queue_is_told_by_all_that_waits(staged: Database) -> None:
    register(staged, "worker-1")
    learn(staged, "classifier")
    with staged.session() as session:
        empty = workers.queue(session).eta
    assert empty is not None
    assert empty.likely == 0
    submit(staged, request("0-99", lane=Lane.BULK))
    submit(staged, request("100-109"))
    with staged.session() as session:
        summary = workers.queue(session).eta
    assert summary is not None
    assert summary.likely == pytest.approx(220)


def test_a_view_asks_the_same_few_questions_however_many_items_wait(staged: Database) -> None:
    register(staged, "worker-1")
    learn(staged, "classifier")
    asked: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        asked.append(statement)

    event.listen(staged.engine, "before_cursor_execute", note)
    try:
        counts = []
        for jobs_there in (1, 20):
            for seed in range(jobs_there):
                id = submit(staged, request("0-399", seeds=[seed])).job.id
            asked.clear()
            staging.job(staged, id)
            counts.append(len(asked))
    finally:
        event.remove(staged.engine, "before_cursor_execute", note)
    assert counts[0] == counts[1] <= 12


def test_a_job_that_ended_is_asked_about_without_looking_at_the_queue(staged: Database) -> None:
    id = submit(staged, request("0-3")).job.id
    finish(staged, claim(staged))
    assert staging.job(staged, id).eta is None


def test_a_picture_is_told_by_the_first_of_the_jobs_that_want_it(staged: Database) -> None:
    register(staged, "worker-1")
    learn(staged, "classifier")
    first = submit(staged, request("0-99")).job.id
    last = submit(staged, request("99-199", lane="bulk")).job.id
    with staged.session() as session:
        shared, late = (jobs.items(session, last, limit=2).data[i].digest for i in (0, 1))
        soon, far = (visualizations.eta(session, digest) for digest in (shared, late))
        assert visualizations.eta(session, "0" * 64) is None
    assert soon is not None
    assert far is not None
    assert soon.likely == pytest.approx(eta(staged, first).likely, rel=0.01)
    assert far.likely == pytest.approx(eta(staged, last).likely, rel=0.01)
    assert far.likely > soon.likely


def test_an_atlas_is_told_by_all_candidates_of_all_facets_that_are_not_there(staged: Database) -> None:
    asked = {"layers": "blocks.4", "units": "0-9", "facets": 2, "candidates": 3}
    request_of_all = AtlasRequest.model_validate({"network": staging.NETWORK, **asked})

    def estimated() -> tuple[int, float]:
        with staged.session() as session:
            found = atlas_estimates.estimate(session, request_of_all)
        assert found.pictures == 60
        assert found.seconds is not None
        return found.cached, found.seconds.likely

    register(staged, "worker-1")
    learn(staged, "blocks.4")
    assert estimated() == pytest.approx((0, 60))
    submit(staged, request("0-9", "blocks.4", candidates=3))
    finish_and_tell(staged, claim(staged))
    assert estimated() == pytest.approx((30, 30))
    register(staged, "worker-2")
    assert estimated() == pytest.approx((30, 15))
