"""Units of a transformer's layers, at the token that a target names."""

from typing import Any

import pytest
from sqlalchemy import text

from imago_engine.networks import LayerInfo
from imago_engine.objectives import TokenObjective, UnitObjective
from services.base.database import Database
from services.base.errors import Invalid
from services.catalog.inspections import record_inspection
from services.catalog.layers import get_layer
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.jobs.job_request import JobRequest
from services.pictures import visualizations
from tests.integration import staging
from tests.integration.staging import claim, submit, work_off

VIT = "vit.random"
LAYERS = (
    LayerInfo("patches", "conv", 24, (4, 4), 16, 16),
    LayerInfo("blocks.1", "block", 48, None, None, None, tokens=17, usual_token=0, class_token=0),
    LayerInfo("mixed", "block", 48, None, None, None, tokens=16, usual_token=10),
    LayerInfo("head", "output", 10, None, None, None),
)


@pytest.fixture
def vit(staged: Database) -> Database:
    with staged.session() as session:
        register_network(session, RegisterNetwork(id=VIT))
        assert record_inspection(
            session, VIT, weights_sha256="c" * 64, preprocessing={"size": 64}, labels=[], layers=LAYERS
        )
    return staged


def asked(*targets: dict[str, Any], **rest: Any) -> JobRequest:
    whole = [{"layer": "blocks.1", "units": "3", **target} for target in targets]
    return JobRequest.model_validate({"network": VIT, "targets": whole, **rest})


def test_what_an_inspection_finds_of_tokens_is_in_the_catalog(vit: Database) -> None:
    with vit.session() as session:
        found = {layer.name: get_layer(session, VIT, layer.name) for layer in LAYERS}
    told = {name: (layer.tokens, layer.usual_token, layer.class_token) for name, layer in found.items()}
    assert told == {
        "patches": (None, None, None),
        "blocks.1": (17, 0, 0),
        "mixed": (16, 10, None),
        "head": (None, None, None),
    }


@pytest.mark.parametrize(("layer", "usual"), [("blocks.1", 0), ("mixed", 10)])
def test_the_usual_token_asked_for_by_number_is_the_same_item(vit: Database, layer: str, usual: int) -> None:
    left_out, named = {"layer": layer}, {"layer": layer, "token": usual}
    assert submit(vit, asked(left_out, named)).job.units.total == 1
    work_off(vit)
    assert submit(vit, asked(named)).all_cached
    with vit.session() as session:
        (found,) = visualizations.search(session, network=VIT).data
    assert found.objective == UnitObjective(layer=layer, unit=3)


def test_another_token_is_another_picture_and_its_digest_can_be_computed_again_from_the_row(
    vit: Database,
) -> None:
    submit(vit, asked({}, {"token": 7}, {"token": 16}))
    claimed = claim(vit)  # one batch: they share all but the place
    assert [work.place for work in claimed.items] == [None, (7, 0), (16, 0)]
    with vit.session() as session:
        found = visualizations.search(session, network=VIT).data
    assert {each.objective for each in found} == {
        UnitObjective(layer="blocks.1", unit=3),
        TokenObjective(layer="blocks.1", unit=3, token=7),
        TokenObjective(layer="blocks.1", unit=3, token=16),
    }
    assert all(each.spec.digest == each.digest for each in found)


def test_the_best_picture_is_one_of_the_usual_token(vit: Database) -> None:
    submit(vit, asked({"token": 7}, {"token": 8}))
    work_off(vit)
    with vit.session() as session:
        best = visualizations.best(session, VIT, "blocks.1", 3)
        assert best is not None
        assert isinstance(best.objective, TokenObjective)
    submit(vit, asked({}))
    work_off(vit)
    with vit.session() as session:
        session.execute(text("UPDATE visualizations SET activation = 99 WHERE token IS NOT NULL"))
        best = visualizations.best(session, VIT, "blocks.1", 3)
    assert best is not None
    assert best.objective == UnitObjective(layer="blocks.1", unit=3)


@pytest.mark.parametrize(
    ("target", "pointers", "told"),
    [
        ({"token": 17}, ["token"], r"layer 'blocks.1' has 17 tokens \(0–16\); got 17"),
        ({"layer": "patches", "token": 0}, ["token"], "'patches' has no tokens; leave the token out"),
        ({"layer": "head", "token": 0}, ["token"], "'head' has no tokens"),
        ({"layer": "output", "token": 0}, ["token"], "'output' has no tokens"),
        ({"position": [0, 0]}, ["position"], "no map but tokens; leave the position out, or name a token"),
        ({"layer": "patches", "position": [4, 0], "token": 1}, ["position", "token"], "4×4"),
    ],
)
def test_a_token_that_a_layer_does_not_have_is_refused_and_writes_nothing(
    vit: Database, target: dict[str, Any], pointers: list[str], told: str
) -> None:
    with pytest.raises(Invalid, match=told) as refused:
        submit(vit, asked({}, target))
    assert [error.pointer for error in refused.value.errors] == [f"/targets/1/{name}" for name in pointers]
    assert staging.rows_of(vit)["visualizations"] == 0


def test_at_another_input_size_the_class_token_is_the_usual_one_and_no_patch_is(vit: Database) -> None:
    """The patch at the centre has another number then, which only the engine knows."""
    larger = {"recipe": {"parameters": {"input_size": 96}}}
    tokens = asked({}, {"token": 0}, {"token": 67}, **larger)
    assert submit(vit, tokens).job.units.total == 2
    assert [work.place for work in claim(vit).items] == [None, (67, 0)]
    patches = asked({"layer": "mixed"}, {"layer": "mixed", "token": 10}, **larger)
    assert submit(vit, patches).job.units.total == 2
    assert [work.place for work in claim(vit).items] == [None, (10, 0)]


@pytest.mark.parametrize(("size", "most"), [(32, 17), (64, 17), (96, 4 * 17), (129, 9 * 17)])
def test_more_tokens_than_a_size_can_have_are_refused(vit: Database, size: int, most: int) -> None:
    parameters = {"recipe": {"parameters": {"input_size": size}}}
    with pytest.raises(Invalid, match=rf"{most} tokens.*\(0–{most - 1}\); got {most}"):
        submit(vit, asked({"token": most}, **parameters))
    assert submit(vit, asked({"token": most - 1}, **parameters)).created


def test_a_token_of_a_layer_that_sees_little_is_looked_for_in_a_picture_of_the_usual_size(
    vit: Database,
) -> None:
    embedded = LayerInfo("embedded", "norm", 24, None, 8, 4, tokens=256, usual_token=136)
    with vit.session() as session:
        register_network(session, RegisterNetwork(id="early.random"))
        assert record_inspection(
            session,
            "early.random",
            weights_sha256="d" * 64,
            preprocessing={"size": 64},
            labels=[],
            layers=[embedded],
            input_sizes={"step": 16, "least": 32, "most": None},
        )
    targets = [{"layer": "embedded", "units": "3", "token": token} for token in (None, 136, 255)]
    wanted = JobRequest.model_validate({"network": "early.random", "targets": targets})
    job = submit(vit, wanted).job
    left_out, usual, other = (target["recipe"] for target in job.request["targets"])
    assert left_out["technique"] == other["technique"] == "fourier"
    assert left_out["parameters"]["input_size"] < 64
    assert other["parameters"]["input_size"] in (None, 64)
    assert left_out == usual
    assert job.units.total == 2
