"""A job that names no technique gets what suits each of its layers."""

from typing import Any

import pytest

from imago_engine.networks import LayerInfo
from services.base.database import Database
from services.catalog.inspections import record_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.jobs.job_request import JobRequest
from services.jobs.submission import Submission
from tests.integration import staging
from tests.integration.staging import claim, submit

NETWORK = "sized.random"
LAYERS = (
    LayerInfo("stem", "conv", 8, (112, 112), 3, 2),
    LayerInfo("early", "block", 80, (14, 14), 147, 16),
    LayerInfo("late", "block", 112, (14, 14), 211, 16),
    LayerInfo("unknown", "block", 80, (14, 14), None, None),
    LayerInfo("classifier", "output", 400, None, None, None),
)
SIZES: dict[str, Any] = {"step": 1, "least": 8, "most": None}


@pytest.fixture
def sized(staged: Database) -> Database:
    """The staged catalog with a network whose input sizes are known."""
    inspected(staged, NETWORK, SIZES)
    return staged


def inspected(database: Database, id: str, sizes: dict[str, Any] | None, own: int = 224) -> None:
    with database.session() as session:
        register_network(session, RegisterNetwork(id=id))
        assert record_inspection(
            session,
            id,
            weights_sha256="e" * 64,
            preprocessing={"size": own},
            labels=staging.LABELS,
            layers=LAYERS,
            input_sizes=sizes,
        )


def asked(*layers: str, network: str = NETWORK, position: Any = None, **rest: Any) -> JobRequest:
    targets = [{"layer": layer, "units": "0-1", "position": position} for layer in layers]
    return JobRequest.model_validate({"network": network, "targets": targets, **rest})


def recipes(submission: Submission) -> list[dict[str, Any]]:
    return [target["recipe"] for target in submission.job.request["targets"]]


def techniques(submission: Submission) -> list[str]:
    return [recipe["technique"] for recipe in recipes(submission)]


def test_each_target_is_answered_with_its_recipe(sized: Database) -> None:
    submitted = submit(sized, asked("stem", "early", "late", "unknown", "output"))
    assert techniques(submitted) == ["fourier", "fourier", "dgn-am", "dgn-am", "dgn-am"]
    stem, early, late, *_ = recipes(submitted)
    assert (stem["parameters"]["input_size"], early["parameters"]["input_size"]) == (11, 211)
    assert late["parameters"]["learning_rate"] == 0.5  # as the generator recommends
    request = submitted.job.request
    assert request["generator"] == staging.GENERATOR
    assert request["recipe"] == {"technique": "auto", "parameters": {}}


@pytest.mark.parametrize("own", [4, 1536])
def test_early_layers_of_a_network_whose_own_size_no_recipe_may_name_are_shown_at_it(
    staged: Database, own: int
) -> None:
    inspected(staged, NETWORK, {"step": None, "least": own, "most": own}, own)
    (recipe,) = recipes(submit(staged, asked("stem")))
    assert (recipe["technique"], recipe["parameters"]["input_size"]) == ("fourier", None)


def test_items_of_each_recipe_are_claimed_with_it(sized: Database) -> None:
    submit(sized, asked("stem", "output"))
    first, second = claim(sized), claim(sized)
    assert (first.recipe.technique, first.generator_id) == ("fourier", None)
    assert (second.recipe.technique, second.generator_id) == ("dgn-am", staging.GENERATOR)


@pytest.mark.parametrize("layer", ["late", "unknown", "output"])
def test_pictures_of_late_layers_are_those_of_the_generators_technique(sized: Database, layer: str) -> None:
    submit(sized, asked(layer))
    assert len(claim(sized).items) == 2
    named = submit(sized, asked(layer, recipe={"technique": "dgn-am"}))
    assert named.job.units.total == named.job.units.leased == 2


@pytest.mark.parametrize(
    "choice",
    [
        {"recipe": {"technique": "dgn-am"}},
        {"generator": staging.GENERATOR},
        {"recipe": {"parameters": {"learning_rate": 0.25}}},
    ],
)
def test_who_names_the_technique_the_generator_or_its_parameters_gets_the_generator(
    sized: Database, choice: dict[str, Any]
) -> None:
    assert techniques(submit(sized, asked("stem", **choice))) == ["dgn-am"]


def test_parameters_that_every_technique_has_are_taken_by_what_is_chosen(sized: Database) -> None:
    recipe = {"parameters": {"steps": 7, "input_size": 40}}
    first, second = recipes(submit(sized, asked("stem", "late", recipe=recipe)))
    assert (first["technique"], second["technique"]) == ("fourier", "dgn-am")
    for settled in (first, second):
        assert (settled["parameters"]["steps"], settled["parameters"]["input_size"]) == (7, 40)


def test_a_place_is_one_of_the_map_that_the_generator_would_meet(sized: Database) -> None:
    (recipe,) = recipes(submit(sized, asked("stem", position=[100, 3])))
    assert (recipe["technique"], recipe["parameters"]["input_size"]) == ("fourier", None)
    assert claim(sized).items[0].place == (100, 3)


@pytest.mark.parametrize("layer", ["stem", "late"])
def test_the_usual_place_named_by_its_position_is_the_same_item(sized: Database, layer: str) -> None:
    centre = [56, 56] if layer == "stem" else [7, 7]
    assert submit(sized, asked(layer)).job.units.total == len(claim(sized).items)
    named = submit(sized, asked(layer, position=centre))
    assert named.job.units.total == named.job.units.leased == 2


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (None, ("dgn-am", None)),  # nobody has tried
        ({"step": None, "least": 224, "most": 224}, ("fourier", 224)),
        ({"step": 32, "least": 32, "most": None}, ("fourier", 32)),
        ({"step": 1, "least": 64, "most": 256}, ("fourier", 64)),
    ],
)
def test_the_picture_is_as_small_as_the_network_takes_it(
    staged: Database, sizes: dict[str, Any] | None, expected: tuple[str, int | None]
) -> None:
    inspected(staged, "other.random", sizes)
    (recipe,) = recipes(submit(staged, asked("stem", network="other.random")))
    assert (recipe["technique"], recipe["parameters"]["input_size"]) == expected


def test_early_layers_need_no_generator_to_be_there(database: Database) -> None:
    inspected(database, NETWORK, SIZES)
    submitted = submit(database, asked("stem"))
    assert techniques(submitted) == ["fourier"]
    assert submitted.job.request["generator"] is None
