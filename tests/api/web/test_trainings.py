"""The pages of trainings: what each shows of how it goes, and what its buttons do."""

import hashlib
import json
import re
import struct
import zlib

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from api.web.pages.trainings import comparison, curves
from imago_engine.artifacts import ArtifactKind
from services.base.database import Database
from services.base.object_keys import training_key
from services.base.storage import ObjectStore
from services.trainings.tables import TrainingRow, TrainingSampleRow
from tests.api.conftest import Start
from tests.api.small_catalog import with_key
from tests.small_training import SMALL, register_encoder

BROWSER = {"Accept": "text/html"}
TILE, ROWS = 2, 2
"""A grid of tiles of 2 × 2 pixels, in two pairs of rows."""


def grid(shade: int, width: int = 8 * TILE, height: int = 2 * ROWS * TILE) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes([0, *[shade] * width]) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture
def training(client: FlaskClient, database: Database, store: ObjectStore) -> str:
    """The id of a training with a log and three samples, one of them without a grid."""
    register_encoder(database)
    sent = client.post("/v1/generators", json={"name": "discs-32", "training": {**SMALL, "pictures": 4000}})
    assert sent.status_code == 202, sent.text
    id: str = sent.get_json()["id"]
    lines = [{"pictures": 8 * step, "time": 1.0, "rate": 2.0, "layout": 2 / step} for step in range(1, 400)]
    log = b"\n".join(json.dumps(line).encode() for line in [*lines, {"pictures": 9, "held_out": {"code": 1}}])
    log += b'\nnot json\n{"pictures": 90, "held_out": {"code": 0.5, "features": null}}\n'
    key = training_key(id, 1, hashlib.sha256(log).hexdigest(), "jsonl")
    store.put_under(key, log, "application/x-ndjson")
    with database.session() as session:
        session.get_one(TrainingRow, id).log_object = key
        for pictures, shade in ((0, 10), (800, None), (1600, 30)):
            image = None if shade is None else store.put(ArtifactKind.IMAGE, grid(shade), "image/png")
            row = TrainingSampleRow(
                training_id=id, pictures=pictures, held_out={"code": 1 / (1 + pictures)}, image_object=image
            )
            session.add(row)
    return id


def test_a_training_shows_its_losses_its_pictures_and_its_log(client: FlaskClient, training: str) -> None:
    page = client.get(f"/trainings/{training}").text
    assert "discs-32" in page
    assert 'aria-label="layout: from' in page
    assert 'aria-label="code: from 1.00 to 0.500"' in page
    assert f"/v1/trainings/{training}/samples/1600/image" in page
    assert f"/v1/trainings/{training}/samples/800/image" not in page
    assert "16 held-out pictures" in page
    assert "not json" in page
    assert f'action="/trainings/{training}/cancel"' in page
    assert training in client.get("/trainings").text
    assert training not in client.get("/trainings?state=failed").text


def test_the_sliders_of_a_training_work_by_loading_the_page_again(client: FlaskClient, training: str) -> None:
    first = client.get(f"/trainings/{training}?sample=0&edge=25").text
    assert f'<image href="/v1/trainings/{training}/samples/0/image"' in first
    assert f'<rect x="0" y="0" width="{0.25 * TILE:.2f}"' in first
    assert 'href="?sample=1&amp;edge=25#samples"' in first
    # A link of when there were more.
    last = client.get(f"/trainings/{training}?sample=99&edge=400").text
    assert f'<image href="/v1/trainings/{training}/samples/1600/image"' in last
    for wrong in ("sample=x", "edge=-1", "sample=1e3"):
        answer = client.get(f"/trainings/{training}?{wrong}", headers=BROWSER)
        assert answer.status_code == 422, wrong
        assert "whole number" in answer.text


def test_a_training_that_waits_says_what_for_and_not_that_it_failed(
    client: FlaskClient, database: Database, training: str
) -> None:
    for state, there in (("queued", True), ("failed", False)):
        with database.session() as session:
            row = session.get_one(TrainingRow, training)
            row.state, row.error = state, {"code": "source_refused", "message": "'discs' is not here."}
            row.finished_at = None if state == "queued" else row.created_at
        page = client.get(f"/trainings/{training}").text
        assert "&#39;discs&#39; is not here." in page
        assert ("It is tried again." in page) is there
        assert ('class="bad"' in client.get("/trainings").text) is not there


def test_a_training_whose_files_are_lost_is_shown_without_them(
    client: FlaskClient, database: Database, store: ObjectStore, training: str
) -> None:
    with database.session() as session:
        found = session.scalars(sa.select(TrainingSampleRow.image_object)).all()
        lost = [session.get_one(TrainingRow, training).log_object, *found]
    for key in filter(None, lost):
        store.delete(key)
    page = client.get(f"/trainings/{training}")
    assert page.status_code == 200
    assert 'svg class="comparison"' not in page.text


def test_while_the_store_is_away_a_training_and_its_generator_are_shown_without_what_lies_there(
    start: Start, database: Database, network: str, training: str
) -> None:
    with database.session() as session:
        row = session.get_one(TrainingRow, training)
        row.generator_id, row.card_object = "small", training_key(training, 1, "e" * 64, "md")
    with_no_store = start(s3_bucket="another-bucket").test_client()
    for path, said in ((f"/trainings/{training}", "discs-32"), ("/generators/small", "32 × 32")):
        shown = with_no_store.get(path, headers=BROWSER)
        assert shown.status_code == 200, path
        assert said in shown.text
        assert 'aria-label="layout: from' not in shown.text


def test_of_a_log_of_any_length_the_charts_show_all_and_the_last_lines_are_the_last(
    client: FlaskClient, database: Database, store: ObjectStore, training: str
) -> None:
    rest = "x" * 1000
    lines = [{"pictures": 8 * step, "layout": float(step), "said": rest} for step in range(1, 5001)]
    log = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    assert len(log) > 4 * 1024 * 1024
    key = training_key(training, 2, hashlib.sha256(log).hexdigest(), "jsonl")
    store.put_under(key, log, "application/x-ndjson")
    with database.session() as session:
        session.get_one(TrainingRow, training).log_object = key
    page = client.get(f"/trainings/{training}").text
    (last,) = re.findall(r'aria-label="layout: from [^"]* to ([^"]+)"', page)
    assert int(last.replace("\u202f", "")) > 4900
    assert "&#34;pictures&#34;: 40000" in page
    assert "&#34;pictures&#34;: 39840" not in page, "no more than the last twenty"


def test_only_its_owner_is_offered_to_cancel_and_remove_a_training(
    client: FlaskClient, app: Flask, database: Database, training: str
) -> None:
    other = with_key(app, database, "read", "jobs:write")
    assert "/cancel" not in other.get(f"/trainings/{training}").text
    assert other.post(f"/trainings/{training}/cancel").status_code == 403
    done = client.post(f"/trainings/{training}/cancel")
    assert (done.status_code, done.headers["Location"]) == (303, f"/trainings/{training}")
    assert f'action="/trainings/{training}/remove"' in client.get(f"/trainings/{training}").text
    gone = client.post(f"/trainings/{training}/remove")
    assert (gone.status_code, gone.headers["Location"]) == (303, "/trainings")
    assert client.get(f"/trainings/{training}").status_code == 404


def test_a_form_asks_for_a_training_and_says_beside_each_field_what_is_wrong(
    client: FlaskClient, database: Database
) -> None:
    register_encoder(database)
    page = client.get("/trainings/new").text
    assert "No worker can take trainings now" in page
    assert 'name="pictures"' in page
    assert 'value="2000000"' in page
    fields = {
        "name": "discs-32",
        "preset": "default",
        "sources": "discs\nmore/discs.tar\n",
        "pictures": "4000",
    }
    encoder = {"encoder.network": SMALL["encoder"]["network"], "encoder.layer": "", "options.width": "0.25"}
    mistakes = {
        "name": "a name",
        "sources": "",
        "encoder.layer": "bn3",
        "encoder.input_size": "many",
        "options.width": "9",
        "seed": "x",
    }
    wrong = client.post("/trainings", data={**fields, **encoder, **mistakes})
    assert wrong.status_code == 422
    told = re.findall(r'id="([^"]+)-about"><strong>[^<]+', wrong.text)
    assert sorted(told) == sorted(mistakes), "all that is wrong is told in one round, and nothing else"
    assert re.search(r'name="name" type="text" value="a name"', wrong.text)
    assert "<option selected>bn3</option>" in wrong.text
    made = client.post("/trainings", data={**fields, **encoder})
    assert made.status_code == 303, made.text
    asked = client.get(made.headers["Location"].replace("/trainings/", "/v1/trainings/")).get_json()
    assert asked["name"] == "discs-32"
    assert asked["request"]["sources"] == ["discs", "more/discs.tar"]
    assert asked["request"]["options"] == {"width": 0.25}
    assert asked["request"]["encoder"]["layer"] == "bn2"


def test_the_form_offers_the_layers_of_the_network_that_is_chosen(
    client: FlaskClient, database: Database, network: str
) -> None:
    register_encoder(database)
    usual = client.get("/trainings/new").text
    assert "usual: bn2, 2 × 2 places" in usual
    assert [*re.findall(r'<option value="([^"]+)"', usual)][:1] == ["blocks.6"]
    for said in ("blocks.6 · 320 × 7 × 7", "bn2 · 1280 × 7 × 7", "global_pool · 1280<"):
        assert said in usual
    other = client.get(
        "/trainings/new",
        query_string={"encoder.network": network, "encoder.layer": "bn2", "name": "discs", "seed": "7"},
    ).text
    assert f"<option selected>{network}</option>" in other
    assert "conv_stem · 8 × 16 × 16" in other
    assert "bn2" not in other, "the layer of another network is no choice any more"
    # What was typed stays, and what was not asked for is as is usual.
    for field in ('name="name" type="text" value="discs"', 'name="seed" type="number"', 'value="2000000"'):
        assert field in other
    assert re.search(r'name="seed"[^>]*value="7"', other)


def test_without_trainings_the_page_says_how_to_begin_one(client: FlaskClient) -> None:
    assert "imago train" in client.get("/trainings").text


def test_a_long_log_makes_charts_of_bounded_size_from_its_first_to_its_last_value() -> None:
    lines = [json.dumps({"pictures": 32 * step, "layout": float(step)}).encode() for step in range(1, 10_001)]
    lines[1234] = json.dumps({"pictures": 32 * 1235, "held_out": {"layout": 7.0}}).encode()
    lines[4321] = json.dumps({"pictures": 32 * 4322, "held_out": {"layout": 6.0}}).encode()
    drawn = curves.read(lines)
    assert [list(curve.values) for curve in drawn.held_out] == [[7.0, 6.0]]
    (curve,) = drawn.losses
    assert len(curve.values) == curves.POINTS
    assert (curve.first, curve.last) == (32, 320_000)
    assert list(curve.values) == sorted(curve.values)
    assert curve.values[0] < 100 < 9900 < curve.values[-1]


def test_a_log_with_holes_and_strange_values_is_read_as_far_as_it_says_something() -> None:
    lines = [
        b'{"pictures": 1, "layout": 1, "code": NaN, "adversarial": null, "feature": true}',
        b"[]",
        b'{"layout": 3}',
        b'{"pictures": 100, "layout": 2, "code": Infinity}',
    ]
    (curve,) = curves.read(lines).losses
    assert (curve.name, list(curve.values)) == ("layout", [1.0, 2.0])
    assert not curves.read([]).losses


@pytest.mark.parametrize("size", [(0, 0), (7, 4), (16, 3), (16, 6), (5, 100)])
def test_a_picture_that_is_no_grid_is_not_compared(size: tuple[int, int]) -> None:
    assert comparison.of_size(*size, 50) is None


def test_the_size_of_a_grid_is_read_from_its_first_bytes() -> None:
    assert comparison.size_of(grid(1)[:64]) == (16, 8)
    assert comparison.size_of(b"GIF89a") == comparison.size_of(b"x" * 64) == (0, 0)


def test_without_any_training_there_is_no_choice_of_states_and_generators_are_where_one_is(
    client: FlaskClient,
) -> None:
    for path in ("/trainings", "/trainings/new"):
        page = client.get(path).text
        assert '<a href="/generators" aria-current="page">' in page
        assert 'aria-label="State"' not in page
    assert 'aria-label="State"' in client.get("/trainings?state=failed").text


@pytest.mark.usefixtures("network")
def test_who_may_not_train_is_told_before_filling_in_the_form(anonymous: FlaskClient) -> None:
    page = anonymous.get("/trainings/new?name=birds").text
    assert "/signin?next=%2Ftrainings%2Fnew%3Fname%3Dbirds" in page
    assert page.index("Sign in</a> with a key") < page.index('<label for="name"')
    assert "Train it</button>" not in page
