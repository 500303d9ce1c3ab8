"""Submitting jobs: what is refused writes nothing, what is accepted is computed once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from services.access import keys
from services.base.database import Database
from services.base.errors import Conflict, Invalid
from services.base.states import JobState, Lane
from services.catalog.generators import register_generator
from services.catalog.inspections import record_inspection_failure
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.jobs import submission as job_submission
from services.jobs.job_request import JobRequest
from services.jobs.planning import Limits
from services.pictures import visualizations
from tests.integration import staging
from tests.integration.staging import claim, fail, finish, request, states, submit, work_off


def test_a_new_job_waits_with_all_its_items(staged: Database) -> None:
    submission = submit(staged, request("0-9", seeds=[0, 1]))
    assert submission.created
    assert not submission.all_cached
    job = submission.job
    assert job.state == JobState.QUEUED
    assert (job.units.total, job.units.queued, job.units.cached) == (20, 20, 0)
    assert job.started_at is None
    assert job.queue is not None
    assert (job.queue.position, job.queue.ahead_units) == (0, 0)
    staging.assert_consistent(staged)


def test_an_item_asked_for_twice_in_a_request_is_one_item(staged: Database) -> None:
    targets = [
        {"layer": "classifier", "units": "0-5,3"},
        {"layer": "output", "units": [5, 6, 5]},
        {"layer": "logits", "units": "6"},
    ]
    job = submit(staged, request(targets=targets, seeds=[3, 3])).job
    assert job.units.total == 7


def at(y: int, x: int, layer: str = "features.0") -> list[dict[str, object]]:
    return [{"layer": layer, "units": "0", "position": [y, x]}]


def test_a_position_is_checked_against_the_map_at_the_size_that_is_asked_for(staged: Database) -> None:
    # At the network's own 32 pixels the layer has a map of 4 × 6, a place every 2 pixels.
    larger, odd = ({"parameters": {"input_size": size}} for size in (36, 33))
    submit(staged, request(targets=at(5, 7), recipe=larger))
    submit(staged, request(targets=at(4, 6), recipe=odd))  # there may be one more: the engine knows
    for targets, recipe, told in ((at(6, 0), larger, "6×8 at 36"), (at(0, 7), odd, "at most 5×7 at 33")):
        with pytest.raises(Invalid, match=told) as refused:
            submit(staged, request(targets=targets, recipe=recipe))
        assert [error.pointer for error in refused.value.errors] == ["/targets/0/position"]


def test_the_centre_is_that_of_the_map_at_the_size_that_is_asked_for(staged: Database) -> None:
    larger = {"parameters": {"input_size": 36}}
    submit(staged, request(targets=[*at(2, 3), *at(3, 4)], recipe=larger))
    assert [work.place for work in claim(staged).items] == [(2, 3), None]


def test_the_centre_asked_for_by_position_is_the_same_item(staged: Database) -> None:
    targets = [
        {"layer": "features.0", "units": "0"},
        {"layer": "features.0", "units": "0", "position": [2, 3]},
        {"layer": "features.0", "units": "0", "position": [3, 5]},
    ]
    job = submit(staged, request(targets=targets)).job
    assert job.units.total == 2
    work = claim(staged).items
    assert [item.place for item in work] == [None, (3, 5)]


def test_items_are_claimed_in_the_order_of_the_request(staged: Database) -> None:
    submit(staged, request("7,3,5", seeds=[9, 2]))
    work = claim(staged).items
    assert [(item.unit, item.seed) for item in work] == [(3, 9), (3, 2), (5, 9), (5, 2), (7, 9), (7, 2)]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"network": "tiny.randon"}, "/network", "There are: tiny.random"),
    ({"generator": "tiny"}, "/generator", "tiny-generator"),
    ({"targets": [{"layer": "blocks.5", "units": "0"}]}, "/targets/0/layer", "blocks.4"),
    (
        {"targets": [{"layer": "classifier", "units": "1"}, {"layer": "blocks.4", "units": "0-115"}]},
        "/targets/1/units",
        "layer 'blocks.4' has 112 units (0–111); got 115",
    ),
    ({"targets": [{"layer": "blocks.4", "units": [-1]}]}, "/targets/0/units", "got -1"),
    ({"targets": [{"layer": "blocks.4", "units": []}]}, "/targets/0/units", "names no unit"),
    ({"targets": [{"layer": "blocks.4", "units": "ALL,1"}]}, "/targets/0/units", "cannot read 'ALL'"),
    ({"targets": [{"layer": "blocks.4", "units": "class 7"}]}, "/targets/0/units", "cannot read 'class 7'"),
    ({"targets": [{"layer": "output", "units": "clas 7"}]}, "/targets/0/units", "such as 'class 7'"),
    (
        {"targets": [{"layer": "features.0", "units": "0", "position": [4, 0]}]},
        "/targets/0/position",
        "map of 4×6 at 32 pixels: [y, x] with y in 0–3 and x in 0–5; got [4, 0]",
    ),
    (
        {"targets": [{"layer": "classifier", "units": "0", "position": [0, 0]}]},
        "/targets/0/position",
        "no map",
    ),
    ({"recipe": {"parameters": {"steps": 2001}}}, "/recipe/parameters/steps", "less than or equal to 2000"),
    (
        {"recipe": {"parameters": {"fit": "crop", "input_size": 48}}},
        "/recipe/parameters/fit",
        "gives 32 pixels, the input has 48",
    ),
    ({"recipe": {"parameters": {"step": 1}}}, "/recipe/parameters/step", "accepted: steps"),
]


@pytest.mark.parametrize(
    ("change", "pointer", "detail"), WRONG, ids=[case[1] + case[2][:12] for case in WRONG]
)
def test_a_wrong_field_is_named_and_nothing_is_written(
    staged: Database, change: dict[str, Any], pointer: str, detail: str
) -> None:
    with pytest.raises(Invalid) as raised:
        submit(staged, JobRequest.model_validate({**request().model_dump(), **change}))
    assert [error.pointer for error in raised.value.errors] == [pointer]
    assert detail in raised.value.errors[0].detail
    assert set(staging.rows_of(staged).values()) == {0}


def test_a_unit_of_the_output_may_be_asked_for_by_the_name_of_its_class(staged: Database) -> None:
    named = submit(staged, request("Class 7", layer="output")).job.id
    assert states(staged, named) == states(staged, submit(staged, request("7")).job.id)


def test_all_wrong_fields_are_named_at_once(staged: Database) -> None:
    targets = [{"layer": "nope", "units": "0"}, {"layer": "blocks.4", "units": "x"}]
    with pytest.raises(Invalid) as raised:
        submit(staged, request(targets=targets, recipe={"parameters": {"decay": 2}}))
    pointers = [error.pointer for error in raised.value.errors]
    assert pointers == ["/recipe/parameters/decay", "/targets/0/layer", "/targets/1/units"]


@pytest.mark.parametrize("start", ["prototype", "prototypes", "direction"])
def test_a_recipe_that_needs_the_prior_of_codes_is_refused_where_the_generator_has_none(
    staged: Database, start: str
) -> None:
    recipe = {"parameters": {"space": "whitened", "start": start}}
    with pytest.raises(Invalid) as refused:
        submit(staged, request(recipe=recipe))
    pointers = [error.pointer for error in refused.value.errors]
    assert pointers == ["/recipe/parameters/space", "/recipe/parameters/start"]
    with staged.session() as session:
        info = staging.INFO | {"prior": {"directions": 8, "prototypes": 4}}
        register_generator(session, "knowing", info, "c" * 64)
    assert submit(staged, request(recipe=recipe, generator="knowing")).created


def test_a_job_beyond_the_limit_is_refused(staged: Database) -> None:
    with (
        pytest.raises(Invalid, match="/targets: asks for 800 pictures; one job may have 799"),
        staged.session() as session,
    ):
        job_submission.submit(session, request("all", seeds=[0, 1]), limits=Limits(799))


def test_a_network_that_is_not_ready_cannot_be_asked_about(staged: Database) -> None:
    with staged.session() as session:
        register_network(session, RegisterNetwork(id="resnet18.a1_in1k"))
    wanted = JobRequest.model_validate({**request().model_dump(), "network": "resnet18.a1_in1k"})
    with pytest.raises(Conflict, match="waiting to be inspected"):
        submit(staged, wanted)
    with staged.session() as session:
        record_inspection_failure(session, "resnet18.a1_in1k", "There are no such weights.")
    with pytest.raises(Invalid, match=r"/network: .*There are no such weights"):
        submit(staged, wanted)


def test_what_is_done_is_not_computed_again(staged: Database) -> None:
    submit(staged, request("0-4"))
    assert work_off(staged) == 5
    second = submit(staged, request("3-9")).job
    assert (second.units.cached, second.units.done, second.units.queued) == (2, 2, 5)
    assert work_off(staged) == 5
    third = submit(staged, request("0-9"))
    assert third.all_cached
    assert third.job.state == JobState.SUCCEEDED
    assert third.job.finished_at is not None
    staging.assert_consistent(staged)


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": [1]},
        {"recipe": {"parameters": {"steps": 21}}},
        {"targets": [{"layer": "features.0", "units": "0"}]},
        {"targets": [{"layer": "features.0", "units": "1", "position": [0, 0]}]},
    ],
)
def test_a_change_of_any_input_is_another_picture(staged: Database, change: dict[str, Any]) -> None:
    submit(staged, request("1", layer="features.0"))
    work_off(staged)
    changed = {**request("1", layer="features.0").model_dump(), **change}
    assert submit(staged, JobRequest.model_validate(changed)).job.units.cached == 0


def test_a_parameter_spelled_out_as_it_would_be_settled_changes_nothing(staged: Database) -> None:
    submit(staged, request("1"))
    work_off(staged)
    explicit = {"parameters": {"steps": 20, "decay": 0.99}}
    assert submit(staged, request("1", recipe=explicit)).all_cached


def test_failed_items_asked_for_again_are_queued_anew(staged: Database) -> None:
    first = submit(staged, request("0-1")).job
    fail(staged, claim(staged))
    assert staging.job(staged, first.id).state == JobState.FAILED
    second = submit(staged, request("1-2")).job
    assert (second.units.queued, second.units.cached) == (2, 0)
    assert work_off(staged) == 2
    assert staging.job(staged, second.id).state == JobState.SUCCEEDED
    # What the first job ended with stays what it ended with.
    assert staging.job(staged, first.id).units.failed == 2
    staging.assert_consistent(staged)


def test_a_job_whose_items_are_being_computed_runs_at_once(staged: Database) -> None:
    submit(staged, request("0-1"))
    claimed = claim(staged)
    second = submit(staged, request("0-1")).job
    assert second.state == JobState.RUNNING
    assert second.units.leased == 2
    finish(staged, claimed)
    assert staging.job(staged, second.id).state == JobState.SUCCEEDED


def test_interactive_work_hurries_what_waits_in_bulk_and_never_the_other_way(staged: Database) -> None:
    submit(staged, request("0-3", lane=Lane.BULK))
    submit(staged, request("2", lane=Lane.INTERACTIVE))
    submit(staged, request("0-3", lane=Lane.BULK))
    first = claim(staged)
    assert (first.lane, [work.unit for work in first.items]) == (Lane.INTERACTIVE, [2])
    second = claim(staged)
    assert (second.lane, [work.unit for work in second.items]) == (Lane.BULK, [0, 1, 3])


def test_the_same_idempotency_key_is_the_same_job(staged: Database) -> None:
    first = submit(staged, request("0-3"), idempotency_key="k")
    again = submit(staged, request("0-3"), idempotency_key="k")
    assert (first.created, again.created) == (True, False)
    assert again.job.id == first.job.id
    with pytest.raises(Conflict, match=first.job.id):
        submit(staged, request("0-4"), idempotency_key="k")
    assert staging.rows_of(staged)["jobs"] == 1
    assert staging.rows_of(staged)["visualizations"] == 4


def test_keys_of_two_owners_do_not_meet(staged: Database) -> None:
    with staged.session() as session:
        owner = keys.create_key(session, "someone", ["jobs:write"])[0].id
    assert submit(staged, request("0"), idempotency_key="k").created
    assert submit(staged, request("0"), idempotency_key="k", owner=owner).created


def _at_once(count: int, call: Any) -> list[Any]:
    barrier = threading.Barrier(count)

    def wait_and_call(index: int) -> Any:
        barrier.wait()
        return call(index)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(wait_and_call, range(count)))


def test_fifty_identical_submits_at_once_are_one_job(staged: Database) -> None:
    # The pool of connections is smaller than that: the rest waits its turn.
    submissions = _at_once(50, lambda _: submit(staged, request("0-20"), idempotency_key="once"))
    assert len({submission.job.id for submission in submissions}) == 1
    assert sum(submission.created for submission in submissions) == 1
    assert staging.rows_of(staged) == {
        "jobs": 1,
        "job_visualizations": 21,
        "visualizations": 21,
        "recipes": 1,
    }


def test_fifty_overlapping_submits_at_once_share_their_items(staged: Database) -> None:
    # Backwards and forwards: whoever inserted in the order of the request would deadlock here.
    def overlapping(index: int) -> Any:
        targets = [{"layer": layer, "units": f"{index}-{index + 49}"} for layer in ("classifier", "blocks.4")]
        return submit(staged, request(targets=targets if index % 2 else targets[::-1]))

    submissions = _at_once(50, overlapping)
    assert all(submission.created for submission in submissions)
    assert staging.rows_of(staged) == {
        "jobs": 50,
        "job_visualizations": 5000,
        "visualizations": 198,
        "recipes": 1,
    }
    assert work_off(staged) == 198
    for submission in submissions:
        assert staging.job(staged, submission.job.id).state == JobState.SUCCEEDED
    staging.assert_consistent(staged)


def test_a_digest_can_be_computed_again_from_the_row(staged: Database) -> None:
    wanted = {"parameters": {"learning_rate_end": 1e-10, "l2": 1, "learning_rate": 3}}
    targets = [{"layer": "features.0", "units": "0", "position": [0, 5]}]
    submit(staged, request(targets=targets, recipe=wanted, seeds=[2**31 - 1]))
    digest = claim(staged).items[0].digest
    with staged.session() as session:
        spec = visualizations.get(session, digest).spec
    assert spec.digest == digest
    assert spec.recipe.parameters["l2"] == 1.0
