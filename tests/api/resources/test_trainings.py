"""Trainings over HTTP: what is accepted, refused, shown."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

from imago_engine.artifacts import ArtifactKind
from imago_engine.networks import LayerInfo
from services.base.database import Database
from services.base.storage import ObjectStore, generator_key, training_key
from services.catalog.generators import register_generator
from services.catalog.inspections import record_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.queue import workers
from services.trainings import leases as training_leases
from services.trainings.leases import Sample, TrainingClaim
from tests.api.conftest import Start
from tests.api.small_catalog import png, row_counts, with_key
from tests.small_training import ENCODER, ENCODER_SHA256, LAYER, MAP, register_encoder


def body(**training: Any) -> dict[str, Any]:
    wanted = {"sources": ["birds", "more/birds.tar"], "pictures": 1000, **training}
    return {"name": "birds-64", "training": {k: v for k, v in wanted.items() if v is not None}}


@pytest.fixture(autouse=True)
def _encoder(database: Database, network: str) -> None:
    register_encoder(database)


def claim(database: Database) -> TrainingClaim:
    with database.session() as session:
        claimed = training_leases.claim(session, "tester", lease_seconds=60)
    assert claimed is not None
    return claimed


def test_a_training_is_accepted_and_shown_as_it_stands(client: FlaskClient) -> None:
    answer = client.post("/v1/generators", json=body(image_size=32))
    assert (answer.status_code, answer.get_json()["state"]) == (202, "queued")
    assert answer.headers["Location"] == answer.get_json()["links"]["self"]
    shown = client.get(answer.headers["Location"]).get_json()
    assert shown == answer.get_json()
    assert shown["request"]["encoder"] == {
        "network": ENCODER,
        "layer": "bn2",
        "input_size": None,
        "grid": 2,
    }
    assert shown["progress"] == {
        "phase": None,
        "pictures": 0,
        "total": 1000,
        "rate": None,
        "eta_seconds": None,
        "losses": {},
    }
    assert client.get("/v1/trainings").get_json()["data"] == [shown]
    assert client.get("/v1/trainings?state=running").get_json()["data"] == []
    for part in ("log", "card", "samples/5/image"):
        assert client.get(f"{shown['links']['self']}/{part}").status_code == 404


@pytest.mark.parametrize(
    ("changes", "pointer", "detail"),
    [
        ({"sources": []}, "/training/sources", "at least 1"),
        ({"sources": ["/etc"]}, "/training/sources/0", "below the data root"),
        ({"sources": ["a", "b/../../c"]}, "/training/sources/1", "neither absolute nor with '..'"),
        ({"sources": ["a\\b"]}, "/training/sources/0", "below the data root"),
        ({"sources": ["a/" + "n" * 256]}, "/training/sources/0", "at most 255 bytes"),
        ({"sources": ["ä" * 128]}, "/training/sources/0", "at most 255 bytes"),
        ({"until": "9999-12-31T23:59:59-12:00"}, "/training/until", "a hundred years"),
        ({"until": 4_000_000_000}, "/training/until", "4000000000"),
        ({"until": "4e9"}, "/training/until", "2030-01-31T12:00:00Z"),
        ({"learning_rate": "0.1"}, "/training/learning_rate", "must be a number"),
        ({"learning_rate": True}, "/training/learning_rate", "must be a number"),
        ({"options": {"a": {"b": 2**64}}}, "/training/options/a/b", "64 bits"),
        ({"encoder": {"network": "resnet1.nope"}}, "/training/encoder/network", "There is no network"),
        ({"encoder": {"network": "small.random"}}, "/training/encoder/network", "is a file of weights"),
        ({"encoder": {"layer": "global_pol"}}, "/training/encoder/layer", f"{ENCODER} has: {LAYER}"),
        ({"encoder": {"grid": 0}}, "/training/encoder/grid", "at least 1"),
        (
            {"encoder": {"layer": LAYER, "grid": 2}},
            "/training/encoder/grid",
            f"layer {LAYER!r} has no places",
        ),
        ({"encoder": {"layer": MAP, "grid": 5}}, "/training/encoder/grid", "at most 4, the places of"),
        ({"encoder": {"input_size": 8}}, "/training/encoder/input_size", "at least 32"),
        ({"image_size": 48}, "/training/image_size", "32, 64, 128 or 256"),
        ({"pictures": 0}, "/training/pictures", "at least 1"),
        ({"pictures": None}, "/training/pictures", "is required unless until or a preset"),
        ({"until": "2020-01-01T00:00:00Z"}, "/training/until", "must be in the future"),
        ({"until": "2040-01-01T00:00:00"}, "/training/until", "zone"),
        ({"batch": 1}, "/training/batch", "at least 2"),
        ({"minimum": 1}, "/training/minimum", "at least 8"),
        ({"preset": "--run"}, "/training/preset", "must match"),
        ({"preset": "fast"}, "/training/preset", "must be one of default, deepsim"),
        ({"preset": "deepsim", "image_size": 64}, "/training/image_size", "must be 256 with preset deepsim"),
        ({"preset": "deepsim", "feature_size": 48}, "/training/feature_size", "must be 64 to 256"),
        ({"options": [1]}, "/training/options", "must be an object"),
        ({"options": {"speed": 1}}, "/training/options/speed", "accepted: layout_weight"),
        ({"options": {"layout_weight": "x"}}, "/training/options/layout_weight", "a valid number"),
        ({"options": {"layout_weight": -1}}, "/training/options/layout_weight", "greater than or equal to 0"),
        (
            {"options": {"second_network": "resnet1.nope"}},
            "/training/options/second_network",
            "resnet1.nope",
        ),
        (
            {"preset": "deepsim", "options": {"comparator": "resnet1.nope"}},
            "/training/options/comparator",
            "There is no network",
        ),
        (
            {"preset": "deepsim", "options": {"comparator_layer": "layer9"}},
            "/training/options/comparator_layer",
            "There is no layer",
        ),
        ({"precision": "float16"}, "/training/precision", "'float32' or 'bfloat16'"),
        ({"learning_rate": 2}, "/training/learning_rate", "at most 1, got 2"),
        ({"corrupt_share": 1.5}, "/training/corrupt_share", "at most 1"),
        ({"warm_start": "smal"}, "/training/warm_start", "There is no generator 'smal'"),
        ({"warm_start": "small"}, "/training/warm_start", f"must invert {ENCODER}"),
        ({"pictuers": 5}, "/training/pictuers", "did you mean 'pictures'?"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_written(
    client: FlaskClient, database: Database, changes: dict[str, Any], pointer: str, detail: str
) -> None:
    before = row_counts(database)
    answer = client.post("/v1/generators", json=body(**changes))
    assert answer.status_code == 422
    [error] = answer.get_json()["errors"]
    assert (error["in"], error["pointer"]) == ("body", pointer)
    assert detail in error["detail"]
    assert row_counts(database) == before


@pytest.mark.parametrize(("size", "refused"), [(224, False), (96, True)])
def test_a_second_network_must_run_at_the_size_at_which_pictures_are_judged(
    client: FlaskClient, database: Database, size: int, refused: bool
) -> None:
    fixed = "efficientnet_lite1.imagenet"
    with database.session() as session:
        register_network(session, RegisterNetwork(id=fixed))
        record_inspection(
            session,
            fixed,
            weights_sha256="d" * 64,
            preprocessing={"size": 224},
            labels=(),
            layers=[LayerInfo("conv_stem", "conv", 8, (112, 112), 3, 2)],
            input_sizes={"step": None, "least": 224, "most": 224},
        )
    options = {"second_network": fixed}
    answer = client.post("/v1/generators", json=body(feature_size=size, options=options))
    if not refused:
        assert answer.get_json()["request"]["options"] == options
    else:
        [error] = answer.get_json()["errors"]
        assert error["pointer"] == "/training/options/second_network"
        assert f"{fixed} takes 224 pixels only" in error["detail"]


def test_what_the_preset_takes_is_kept_as_it_was_asked_for(client: FlaskClient) -> None:
    asked: dict[str, Any] = {
        "encoder": {"network": ENCODER, "layer": MAP, "input_size": None, "grid": 4},
        "preset": "deepsim",
        "options": {"halve_at": [100, 200], "comparator": ENCODER, "comparator_layer": MAP},
        "precision": "bfloat16",
        "image_size": 256,
        "corrupt_share": 0.5,
    }
    answer = client.post("/v1/generators", json=body(**asked))
    assert answer.status_code == 202
    assert asked.items() <= answer.get_json()["request"].items()


def test_a_number_that_is_too_large_is_refused(client: FlaskClient) -> None:
    text = json.dumps(body(options={"layout_weight": 0.5})).replace("0.5", "1e999")
    answer = client.post("/v1/generators", data=text, content_type="application/json")
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.get_json()["errors"]] == ["/training/options/layout_weight"]


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({}, None),
        ({"encoder_sha256": "f" * 64}, "'older' inverts other weights"),
        ({"architecture": "deepsim-fc6"}, "must be of architecture compact"),
        ({"code_shape": [320, 4, 4]}, "must have codes of 1280 units, as layer 'bn2'"),
    ],
)
def test_a_training_starts_from_a_generator_of_its_kind(
    client: FlaskClient, database: Database, changes: dict[str, Any], detail: str | None
) -> None:
    info = {
        "architecture": "compact",
        "code_shape": [1280],
        "image_size": 64,
        "encoder": ENCODER,
        "encoder_sha256": ENCODER_SHA256,
        **changes,
    }
    with database.session() as session:
        register_generator(session, "older", info, "c" * 64)
    answer = client.post("/v1/generators", json=body(warm_start="older"))
    if detail is None:
        assert (answer.status_code, answer.get_json()["request"]["warm_start"]) == (202, "older")
    else:
        [error] = answer.get_json()["errors"]
        assert error["pointer"] == "/training/warm_start"
        assert detail in error["detail"]


def test_a_preset_publishes_the_schema_of_its_options(client: FlaskClient) -> None:
    listed = client.get("/v1/presets").get_json()["data"]
    assert [preset["id"] for preset in listed if preset["is_default"]] == ["default"]
    shown = client.get("/v1/presets/deepsim").get_json()
    assert shown in listed
    validator = Draft202012Validator(shown["schema"])
    assert validator.is_valid({"halve_at": [100], "comparator": None})
    assert not validator.is_valid({"layout_weight": 1})
    assert (shown["image_sizes"], shown["defaults"]["batch"]) == ([256], 64)
    assert client.get("/v1/presets/fast").status_code == 404


def test_a_name_that_is_taken_is_refused(client: FlaskClient) -> None:
    assert client.post("/v1/generators", json=body()).status_code == 202
    for name, by in (("birds-64", "a training"), ("small", "a generator")):
        [error] = client.post("/v1/generators", json={**body(), "name": name}).get_json()["errors"]
        assert error["pointer"] == "/name"
        assert f"is the name of {by}" in error["detail"]
    [error] = client.post("/v1/generators", json={**body(), "name": "../up"}).get_json()["errors"]
    assert error["pointer"] == "/name"


def test_sources_are_looked_for_where_the_data_can_be_seen(
    start: Start, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "birds").mkdir()
    client = with_key(start(data_root=tmp_path), database, "read", "jobs:write")
    [error] = client.post("/v1/generators", json=body()).get_json()["errors"]
    assert error["pointer"] == "/training/sources/1"
    assert "'more/birds.tar' does not exist" in error["detail"]
    assert client.post("/v1/generators", json=body(sources=["birds"])).status_code == 202


def test_a_data_root_that_cannot_be_looked_at_leaves_the_sources_to_the_worker(
    start: Start, database: Database, tmp_path: Path
) -> None:
    unreadable = tmp_path / ("x" * 300)  # ENAMETOOLONG, as good as a mount's ESTALE or EIO
    client = with_key(start(data_root=unreadable), database, "read", "jobs:write")
    assert client.post("/v1/generators", json=body()).status_code == 202


def test_one_idempotency_key_is_one_training(client: FlaskClient) -> None:
    key = {"Idempotency-Key": "k"}
    first = client.post("/v1/generators", json=body(), headers=key)
    again = client.post("/v1/generators", json=body(), headers=key)
    assert (again.status_code, again.get_json()["id"]) == (202, first.get_json()["id"])
    assert again.headers["Idempotency-Replayed"] == "true"
    other = client.post("/v1/generators", json=body(pictures=5), headers=key)
    assert other.status_code == 422
    assert other.get_json()["errors"][0]["pointer"] == "/Idempotency-Key"


def test_submitting_needs_the_right_key(anonymous: FlaskClient) -> None:
    assert anonymous.post("/v1/generators", json=body()).status_code == 401


def test_progress_samples_and_log_are_shown(
    client: FlaskClient, database: Database, store: ObjectStore, tmp_path: Path
) -> None:
    path = client.post("/v1/generators", json=body()).headers["Location"]
    claimed = claim(database)
    grid = store.put(ArtifactKind.IMAGE, png(9), "image/png")
    log = b'{"pictures": 250}\n'
    (tmp_path / "log").write_bytes(log)
    key = training_key(claimed.id, claimed.lease_id, hashlib.sha256(log).hexdigest(), "jsonl")
    store.put_file(key, tmp_path / "log", "application/x-ndjson")
    progress = {"phase": "training", "pictures": 250, "rate": 25.0, "losses": {"layout": 0.5}}
    now = datetime.now(UTC)
    with database.session() as session:
        samples = [Sample(200, {"pixels": 0.25}, grid, now), Sample(100, {"pixels": 0.5}, None, now)]
        assert training_leases.report(session, claimed.id, claimed.lease_id, progress, samples)
        assert training_leases.save(session, claimed.id, claimed.lease_id, "c", key, progress) == ()

    shown = client.get(path).get_json()
    assert shown["state"] == "running"
    assert shown["progress"] == {**progress, "total": 1000, "eta_seconds": 30.0}
    assert [(s["pictures"], s["held_out"]) for s in shown["samples"]] == [
        (200, {"pixels": 0.25}),
        (100, {"pixels": 0.5}),
    ]
    assert shown["samples"][1]["links"]["image"] is None
    assert client.get(shown["samples"][0]["links"]["image"]).data == png(9)
    assert client.get(shown["links"]["log"]).data == log


def test_the_queue_tells_how_many_trainings_wait_and_who_could_take_them(
    client: FlaskClient, database: Database
) -> None:
    none = {"queued": 0, "running": 0, "workers": 0}
    assert client.get("/v1/queue").get_json()["trainings"] == none
    for name in ("a", "b"):
        client.post("/v1/generators", json={**body(), "name": name})
    claim(database)
    with database.session() as session:
        workers.register(session, "w", host="here", device="cpu", has_data_root=True)
    expected = {"queued": 1, "running": 1, "workers": 1}
    assert client.get("/v1/queue").get_json()["trainings"] == expected
    assert 'imago_trainings{state="queued"} 1.0' in client.get("/metrics").text


def test_canceling_is_for_what_has_not_ended(client: FlaskClient, database: Database) -> None:
    queued = client.post("/v1/generators", json=body()).headers["Location"]
    canceled = client.post(f"{queued}/cancel")
    assert (canceled.status_code, canceled.get_json()["state"]) == (200, "canceled")
    assert client.post(f"{queued}/cancel").get_json()["state"] == "canceled"

    running = client.post("/v1/generators", json=body()).headers["Location"]  # the name is free again
    claimed = claim(database)
    canceling = client.post(f"{running}/cancel")
    assert (canceling.status_code, canceling.get_json()["state"]) == (202, "canceling")
    with database.session() as session:
        assert training_leases.release(session, claimed.id, claimed.lease_id)
    assert client.get(running).get_json()["state"] == "canceled"


def test_a_training_is_canceled_by_the_key_that_submitted_it_or_by_an_admin(
    app: Flask, client: FlaskClient, database: Database
) -> None:
    path = client.post("/v1/generators", json=body()).headers["Location"]
    assert with_key(app, database, "jobs:write").post(f"{path}/cancel").status_code == 403
    assert client.get(path).get_json()["state"] == "queued"
    assert with_key(app, database, "admin").post(f"{path}/cancel").get_json()["state"] == "canceled"


def test_a_finished_training_leads_to_its_generator_and_cannot_be_canceled(
    client: FlaskClient, database: Database, store: ObjectStore, tmp_path: Path
) -> None:
    path = client.post("/v1/generators", json=body()).headers["Location"]
    claimed = claim(database)
    (tmp_path / "file").write_bytes(b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    store.put_file(generator_key(sha256), tmp_path / "file")
    info = {"architecture": "compact", "code_shape": [16], "image_size": 32, "encoder": ENCODER}
    with database.session() as session:
        finished = training_leases.finish(
            session, claimed, info=info, sha256=sha256, log="l", card=None, progress={}, samples=()
        )
    assert finished == "birds-64"
    shown = client.get(path).get_json()
    assert (shown["state"], shown["generator"]) == ("succeeded", "birds-64")
    assert client.get(shown["links"]["generator"]).get_json()["weights_sha256"] == sha256
    refused = client.post(f"{path}/cancel")
    assert refused.status_code == 409
    assert "has succeeded already" in json.dumps(refused.get_json())
