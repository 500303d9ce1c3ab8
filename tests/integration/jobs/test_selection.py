"""Jobs whose targets mean several layers: the same pictures as those of targets that name each."""

import json
from typing import Any

import pytest

from imago_engine.networks import LayerInfo
from services.base.database import Database
from services.base.errors import Invalid
from services.catalog.inspections import record_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.jobs import jobs
from services.jobs.job_request import JobRequest
from services.jobs.planning import Limits
from services.jobs.submission import Submission, submit
from tests.integration import staging

NETWORK = "several.random"
LAYERS = (
    LayerInfo("stem", "conv", 8, (16, 16), 3, 2, role="stem"),
    LayerInfo("stages.0", "block", 112, (14, 14), 211, 16, role="block"),
    LayerInfo("stages.1", "block", 80, (7, 7), 300, 32, role="block"),
    LayerInfo("stages", "block", 80, (7, 7), 300, 32, twin_of="stages.1"),
    LayerInfo("classifier", "output", 400, None, None, None, role="output"),
)


@pytest.fixture
def several(staged: Database) -> Database:
    with staged.session() as session:
        register_network(session, RegisterNetwork(id=NETWORK))
        assert record_inspection(
            session,
            NETWORK,
            weights_sha256="f" * 64,
            preprocessing={"size": 32},
            labels=staging.LABELS,
            layers=LAYERS,
        )
    return staged


def request(*targets: tuple[str, Any], **rest: Any) -> JobRequest:
    asked = [{"layer": layer, "units": units} for layer, units in targets]
    return JobRequest.model_validate({"network": NETWORK, "targets": asked, **rest})


def submitted(database: Database, asked: JobRequest, **limits: int) -> Submission:
    with database.session() as session:
        return submit(session, asked, limits=Limits(**limits))


def items(database: Database, submission: Submission) -> list[tuple[str, int, str]]:
    with database.session() as session:
        page = jobs.items(session, submission.job.id, limit=200)
    return [(item.layer, item.unit, item.digest) for item in page.data]


def targets(submission: Submission) -> list[tuple[str, Any]]:
    return [(target["layer"], target["units"]) for target in submission.job.request["targets"]]


def test_a_target_of_several_layers_asks_for_the_pictures_of_each(several: Database) -> None:
    words = submitted(several, request(("blocks", "0-1")))
    each = submitted(
        several, request(*((name, "0-1") for name in ("stem", "stages.0", "stages.1", "classifier")))
    )
    assert items(several, words) == items(several, each)
    assert len(items(several, words)) == 8


def test_the_job_says_a_target_for_each_layer_with_its_recipe(several: Database) -> None:
    job = submitted(several, request(("stages.*,output", "0-1,3")))
    assert targets(job) == [("stages.0", "0-1,3"), ("stages.1", "0-1,3"), ("classifier", "0-1,3")]
    assert all(target["recipe"]["technique"] for target in job.job.request["targets"])
    # What was carried out, asked for again by its own words, is the same.
    again = request(*targets(job))
    assert items(several, submitted(several, again)) == items(several, job)


def test_of_several_layers_each_gives_the_units_that_it_has(several: Database) -> None:
    job = submitted(several, request(("blocks", "6-9,100-399:150")))
    assert targets(job) == [
        ("stem", "6-7"),
        ("stages.0", "6-9,100"),
        ("stages.1", "6-9"),
        ("classifier", "6-9,100-399:150"),
    ]
    assert len(items(several, job)) == 2 + 5 + 4 + 6
    again = submitted(several, request(*targets(job)))
    assert items(several, again) == items(several, job)


def test_a_layer_that_has_none_of_the_units_is_left_out(several: Database) -> None:
    assert targets(submitted(several, request(("blocks", [90])))) == [
        ("stages.0", [90]),
        ("classifier", [90]),
    ]


def test_every_nth_unit_and_samples_are_taken_of_each_layer(several: Database) -> None:
    job = submitted(several, request(("stem,stages.1", "::40"), ("stages.0,stem", "sample:3@7")))
    assert targets(job)[:2] == [("stem", "::40"), ("stages.1", "::40")]
    found: dict[str, list[int]] = {}
    for layer, unit, _ in items(several, job):
        found.setdefault(layer, []).append(unit)
    assert (found["stages.1"], len(found["stages.0"])) == ([0, 40], 3)
    assert items(several, submitted(several, request(*targets(job)))) == items(several, job)


def test_a_layer_that_two_targets_mean_is_made_once(several: Database) -> None:
    assert len(items(several, submitted(several, request(("stages.*", "0-1"), ("blocks", "0"))))) == 6


@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        ([("stages.7*", "0")], "/targets/0/layer", "'stages.7*' matches no layer"),
        ([("stem", "0"), ("blcks", "0")], "/targets/1/layer", "no layer 'blcks'"),
        (
            [("stem,stages.1", "90-95")],
            "/targets/0/units",
            "names unit 95; the largest of these layers",
        ),
        ([("blocks", "0-")], "/targets/0/units", "cannot read '0-'"),
        ([("blocks", [-1])], "/targets/0/units", "got -1"),
        ([("stem", "0-9")], "/targets/0/units", "layer 'stem' has 8 units (0–7); got 9"),
        ([(".stages", "all")], "/targets/0/layer", "no layer '.stages'"),
    ],
)
def test_what_cannot_be_is_said_of_the_field(
    several: Database, asked: list[tuple[str, Any]], field: str, said: str
) -> None:
    with pytest.raises(Invalid) as raised:
        submitted(several, request(*asked))
    (error,) = raised.value.errors
    assert error.pointer == field
    assert said in error.detail


def test_a_place_that_one_of_several_layers_lacks_names_that_layer(several: Database) -> None:
    asked = JobRequest.model_validate(
        {"network": NETWORK, "targets": [{"layer": "blocks", "units": "0", "position": [9, 9]}]}
    )
    with pytest.raises(Invalid, match=r"layer 'stages\.1' has a map of 7×7"):
        submitted(several, asked)


def test_all_layers_count_against_what_a_job_may_ask_for(several: Database) -> None:
    with pytest.raises(Invalid, match="asks for 600 pictures; one job may have 599"):
        submitted(several, request(("blocks", "all")), max_units_per_job=599)


def test_what_is_stored_of_a_request_grows_with_its_pictures_only(several: Database) -> None:
    job = submitted(several, request(*[("all", "0")] * 64))
    assert len(items(several, job)) == len(LAYERS)
    assert len(json.dumps(job.job.request)) < 400_000
