"""What inspections find names the pictures: facts that change make other names, and none is served stale."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from imago_engine.networks import LayerInfo
from services.base.database import Database
from services.base.errors import Conflict, Invalid
from services.catalog.generators import register_generator
from services.catalog.inspection_leases import claim_inspection
from services.catalog.inspections import record_inspection, record_inspection_failure
from services.catalog.layer_selection import list_layers
from services.catalog.layers import list_units
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import Network, get_network, register_network
from services.catalog.tables import NetworkRow
from services.jobs import jobs
from services.pictures import visualizations
from services.trainings.checks import settled
from services.trainings.request import TrainingRequest
from tests.integration import staging
from tests.integration.staging import LABELS, LAYERS, NETWORK, WEIGHTS


@pytest.fixture
def staged(staged: Database) -> Iterator[Database]:
    """The shared database, its network as new again for the tests that come after."""
    yield staged
    with staged.session() as session:
        for table in ("job_visualizations", "visualizations", "jobs", "networks", "leases", "generators"):
            session.execute(text(f"DELETE FROM {table}"))
    staging.stage(staged)


FIXED = {"step": None, "least": 32, "most": 32}
STEPPED = {"step": 16, "least": 64, "most": None}


def inspect_again(staged: Database, version: int = 1, **found: Any) -> Network:
    """What a worker of a later release does: take the network and record what it finds."""
    with staged.session() as session:
        claim = claim_inspection(session, "worker", version=version, lease_seconds=600)
    assert claim is not None
    assert claim.network.id == NETWORK
    facts: dict[str, Any] = {
        "weights_sha256": WEIGHTS,
        "preprocessing": {"size": 32},
        "labels": LABELS,
        "layers": LAYERS,
    }
    with staged.session() as session:
        given = {**facts, **found}
        assert record_inspection(session, NETWORK, version=version, lease_id=claim.lease_id, **given)
    return of(staged)


def of(staged: Database, id: str = NETWORK) -> Network:
    with staged.session() as session:
        return get_network(session, id)


def digests(staged: Database, job_id: str) -> list[str]:
    with staged.session() as session:
        return [item.digest for item in jobs.items(session, job_id, limit=200).data]


def test_a_later_inspection_that_finds_the_same_changes_no_name(staged: Database) -> None:
    before = digests(staged, staging.submit(staged, staging.request("0-3")).job.id)
    network = inspect_again(staged, input_sizes=STEPPED)
    assert (network.spec_sha256, network.inspection_due, network.outputs) == (WEIGHTS, False, 400)
    assert digests(staged, staging.submit(staged, staging.request("0-3")).job.id) == before
    with staged.session() as session:
        assert claim_inspection(session, "worker", version=1, lease_seconds=600) is None


def test_what_layers_are_to_a_network_is_told_anew_and_changes_no_name(staged: Database) -> None:
    before = digests(staged, staging.submit(staged, staging.request("0-3")).job.id)
    stem, block, output = LAYERS
    twin = LayerInfo("blocks", "block", block.units, block.spatial, 99, 16, twin_of=block.name)
    network = inspect_again(
        staged,
        layers=[
            dataclasses.replace(stem, role="stem"),
            dataclasses.replace(block, role="block"),
            twin,
            dataclasses.replace(output, role="output"),
        ],
    )
    assert network.spec_sha256 == WEIGHTS
    with staged.session() as session:
        told = [(layer.role, layer.twin_of) for layer in list_layers(session, NETWORK).data]
    assert told == [("stem", None), ("block", None), (None, block.name), ("output", None)]
    assert digests(staged, staging.submit(staged, staging.request("0-3")).job.id) == before


@pytest.mark.parametrize(
    "found",
    [
        {"layers": [*LAYERS[:2], dataclasses.replace(LAYERS[2], kind="linear")]},
        {
            "layers": [
                LAYERS[0],
                dataclasses.replace(LAYERS[2], kind="linear"),
                LayerInfo("head", "output", 9, None, None, None),
            ]
        },
        {"preprocessing": {"size": 32, "bgr": True}},
        {"weights_sha256": "c" * 64},
        {"squash": "sigmoid"},
    ],
    ids=["no output", "another output", "another input", "other weights", "classes each by itself"],
)
def test_what_is_found_otherwise_gives_pictures_other_names_and_serves_none_of_before(
    staged: Database, found: dict[str, Any]
) -> None:
    job = staging.submit(staged, staging.request("3"))
    claimed = staging.claim(staged)
    staging.finish(staged, claimed, [work.digest for work in claimed.items])
    (before,) = digests(staged, job.job.id)
    waiting = staging.submit(staged, staging.request("4"))

    network = inspect_again(staged, **found)

    assert network.spec_sha256 not in (WEIGHTS, None)
    (again,) = digests(staged, staging.submit(staged, staging.request("3")).job.id)
    assert again != before
    with staged.session() as session:
        assert visualizations.best(session, NETWORK, "classifier", 3) is None
        (unit,) = list_units(session, NETWORK, "classifier", limit=4).data[3:]
        assert (unit.pictures, unit.best) == (0, None)
        kept = visualizations.get(session, before)  # its address was promised for ever
    assert kept.spec.digest == before
    assert kept.spec.network_sha256 == WEIGHTS
    # What waits was asked for by the old name, which its claim tells the worker.
    assert staging.claim(staged).network_sha256 == WEIGHTS
    assert waiting.job.id


def test_classes_that_were_found_not_to_exclude_each_other_change_the_name_once(staged: Database) -> None:
    found = inspect_again(staged, squash="sigmoid").spec_sha256
    assert found != WEIGHTS
    assert inspect_again(staged, version=2, squash="sigmoid").spec_sha256 == found
    assert inspect_again(staged, version=3).spec_sha256 == WEIGHTS


@pytest.mark.parametrize("stated", [None, {"labels": LABELS}], ids=["nothing stated", "classes stated"])
def test_a_network_has_one_name_whether_its_first_inspection_or_another_found_what_its_classes_are(
    staged: Database, stated: dict[str, Any] | None
) -> None:
    facts: dict[str, Any] = {
        "weights_sha256": WEIGHTS,
        "preprocessing": {"size": 32},
        "labels": LABELS,
        "layers": LAYERS,
    }
    names = []
    for squash in ("sigmoid", "softmax"):
        with staged.session() as session:
            row = session.get_one(NetworkRow, NETWORK)
            row.stated, row.state, row.spec_sha256 = stated or {}, "pending", None
            session.flush()
            assert record_inspection(session, NETWORK, **facts, squash=squash)
        names.append(of(staged).spec_sha256)
    at_once, before = names
    assert before != at_once
    assert inspect_again(staged, squash="sigmoid").spec_sha256 == at_once


def test_what_is_found_little_by_little_gives_the_name_of_what_is_found_at_once(staged: Database) -> None:
    otherwise: dict[str, Any] = {"preprocessing": {"size": 32, "bgr": True}}
    at_once = inspect_again(staged, **otherwise, squash="sigmoid").spec_sha256
    softmax = inspect_again(staged, version=2, **otherwise).spec_sha256
    assert softmax != at_once
    assert inspect_again(staged, version=3, **otherwise, squash="sigmoid").spec_sha256 == at_once
    assert inspect_again(staged, version=4, **otherwise).spec_sha256 == softmax


def test_nothing_is_planned_while_a_network_is_to_be_inspected_again(staged: Database) -> None:
    with staged.session() as session:
        assert claim_inspection(session, "worker", version=1, lease_seconds=600) is not None
    assert of(staged).inspection_due
    with pytest.raises(Conflict, match="inspected again"):
        staging.submit(staged, staging.request("0"))
    with staged.session() as session:
        assert len(list_layers(session, NETWORK).data) == len(LAYERS)
        # Another worker has it.
        assert claim_inspection(session, "worker", version=1, lease_seconds=600) is None


def test_a_network_that_can_no_longer_be_inspected_says_why_and_keeps_its_pictures(staged: Database) -> None:
    staging.submit(staged, staging.request("3"))
    claimed = staging.claim(staged)
    staging.finish(staged, claimed, [work.digest for work in claimed.items])
    with staged.session() as session:
        claim = claim_inspection(session, "worker", version=1, lease_seconds=600)
    assert claim is not None
    with staged.session() as session:
        assert not record_inspection_failure(session, NETWORK, "It is not for me to say.")
    with staged.session() as session:
        message = "Its file \0\ud800 is gone."
        assert record_inspection_failure(session, NETWORK, message, lease_id=claim.lease_id)
    failed = of(staged)
    assert (failed.state, failed.error) == ("failed", r"Its file \x00\ud800 is gone.")
    with pytest.raises(Invalid, match="is gone"):
        staging.submit(staged, staging.request("3"))
    with staged.session() as session:
        assert visualizations.best(session, NETWORK, "classifier", 3) is not None


def test_a_layer_that_is_found_no_more_is_not_offered_but_its_pictures_stay(staged: Database) -> None:
    staging.submit(staged, staging.request("3", layer="blocks.4"))
    claimed = staging.claim(staged)
    staging.finish(staged, claimed, [work.digest for work in claimed.items])
    inspect_again(staged, layers=[LAYERS[0], LAYERS[2]])
    with staged.session() as session:
        assert [layer.name for layer in list_layers(session, NETWORK).data] == [
            "features.0",
            "classifier",
        ]
        assert visualizations.get(session, claimed.items[0].digest).state == "done"
    with pytest.raises(Invalid, match="there is no layer 'blocks\\.4'"):
        staging.submit(staged, staging.request("3", layer="blocks.4"))


def test_a_network_without_an_output_layer_says_so_and_names_its_layers(staged: Database) -> None:
    inspect_again(staged, layers=LAYERS[:2])
    with pytest.raises(Invalid, match=r"/targets/0/layer: .*has no output layer.*features\.0, blocks\.4"):
        staging.submit(staged, staging.request("0", layer="output"))


@pytest.mark.parametrize("word", ["outputs", "Output", "ouput", "logit", "fc", "softmax", "head"])
def test_output_is_suggested_to_whoever_means_it(staged: Database, word: str) -> None:
    with pytest.raises(Invalid, match="has: output, "):
        staging.submit(staged, staging.request("0", layer=word))


def test_errors_call_a_layer_as_it_was_called(staged: Database) -> None:
    with pytest.raises(Invalid, match="layer 'output' has 400 units"):
        staging.submit(staged, staging.request("400", layer="output"))


@pytest.mark.parametrize(
    ("sizes", "accepted", "refused", "words"),
    [
        (FIXED, [32], [48, 64, 1024], "32 pixels only"),
        (STEPPED, [32, 64, 80, 1008], [33, 48, 65], "64 to more pixels in steps of 16 (its own are 32)"),
        ({"step": 1, "least": 32, "most": 96}, [32, 33, 96], [97], "32 to 96 pixels (its own are 32)"),
    ],
)
def test_an_input_size_that_cannot_be_is_refused_with_those_that_can(
    staged: Database, sizes: dict[str, Any], accepted: list[int], refused: list[int], words: str
) -> None:
    inspect_again(staged, input_sizes=sizes)
    for size in accepted:
        staging.submit(staged, staging.request("0", recipe={"parameters": {"input_size": size}}))
    for size in refused:
        with pytest.raises(Invalid) as raised:
            staging.submit(staged, staging.request("0", recipe={"parameters": {"input_size": size}}))
        (error,) = raised.value.errors
        assert error.pointer == "/recipe/parameters/input_size"
        assert words in error.detail


def test_the_recommended_size_is_taken_where_the_network_can_and_else_its_own(staged: Database) -> None:
    info = {**staging.INFO, "recommended": {"steps": 20, "input_size": 112}}
    with staged.session() as session:
        register_generator(session, "of-112", info, "d" * 64)
    wanted = staging.request("0", generator="of-112")
    staging.submit(staged, wanted)
    assert staging.claim(staged).recipe.parameters["input_size"] == 112
    inspect_again(staged, input_sizes=FIXED)
    staging.submit(staged, wanted)
    assert staging.claim(staged).recipe.parameters["input_size"] is None


def test_an_encoder_that_cannot_take_the_usual_size_encodes_at_its_own(staged: Database) -> None:
    inspect_again(staged, input_sizes=FIXED)

    def encoder(**fields: Any) -> Any:
        request = {"sources": ["birds"], "pictures": 100, "encoder": {"network": NETWORK, **fields}}
        with staged.session() as session:
            return settled(session, TrainingRequest.model_validate(request), None, [])["encoder"]

    assert encoder(layer="classifier")["input_size"] == 32
    with pytest.raises(Invalid, match=r"/training/encoder/input_size: must be a size that .* 32 pixels only"):
        encoder(layer="classifier", input_size=64)


STATED = {
    "mean": [0.1, 0.2, 0.3],
    "std": [1, 0.5, 0.25],
    "input_size": 64,
    "channels": "bgr",
    "labels": ["a", "b"],
}


@pytest.mark.parametrize("left_out", list(STATED))
def test_what_is_stated_of_a_network_is_in_the_names_of_its_pictures(staged: Database, left_out: str) -> None:
    def register(id: str, fields: dict[str, Any]) -> Network:
        with staged.session() as session:
            register_network(session, RegisterNetwork.model_validate({"id": id, **fields}))
        with staged.session() as session:
            record_inspection(
                session,
                id,
                weights_sha256=WEIGHTS,
                preprocessing={"size": 64},
                labels=fields.get("labels", []),
                layers=[LayerInfo("fc", "output", 2, None, None, None)],
            )
        return of(staged, id)

    all_of_it = register("a.one", STATED)
    less = register("a.two", {name: value for name, value in STATED.items() if name != left_out})
    nothing = register("a.three", {})
    assert len({all_of_it.spec_sha256, less.spec_sha256, nothing.spec_sha256}) == 3
    assert nothing.spec_sha256 == WEIGHTS
    with pytest.raises(Conflict, match="other labels, mean, std, size or channels"):
        register("a.one", {})


def test_labels_that_do_not_fit_the_output_are_refused_by_name(staged: Database) -> None:
    with staged.session() as session:
        register_network(session, RegisterNetwork(id="a.one", labels=["x", "y", "z"]))
    with (
        pytest.raises(Invalid, match="/labels: names 3 classes, but the network has an output of 400"),
        staged.session() as session,
    ):
        record_inspection(
            session,
            "a.one",
            weights_sha256=WEIGHTS,
            preprocessing={"size": 32},
            labels=["x", "y", "z"],
            layers=LAYERS,
        )
    assert of(staged, "a.one").state == "pending"
