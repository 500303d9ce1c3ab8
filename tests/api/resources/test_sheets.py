"""Sheets over HTTP: made by workers, then served as a picture, as a Deep Zoom pyramid and as IIIF."""

import io
import json
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import text
from werkzeug.http import parse_options_header

from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from tests.api.small_catalog import NETWORK, finish_all, with_key
from tests.integration.atlases.building import carry_out
from worker.leasing.held_leases import HeldLeases
from worker.process.stopping import StopFlag
from worker.sheets.sheet_turn import Sheets

LAYER = "blocks.0.1"
_SAME_LAYER = text("""
    INSERT INTO layers
    SELECT (jsonb_populate_record(known, jsonb_build_object('name', CAST(:layer AS text)))).*
    FROM layers known WHERE name = :before
""")
PARTS = ("layers/blocks.0.1/sheet", "poster")


def make_sheets(database: Database, store: ObjectStore, settings: Settings) -> None:
    """What a worker does."""
    stop = StopFlag()
    worker = Sheets(HeldLeases(database, settings, "tester", stop), store, stop, alternating=False)
    while worker.look():
        pass


@pytest.fixture
def atlas(client: FlaskClient, database: Database, store: ObjectStore, network: str) -> str:
    """The path of a published version of a public atlas with 20 units; no sheet is made yet."""
    return published(client, database, store, "0-19")


def published(client: FlaskClient, database: Database, store: ObjectStore, units: str) -> str:
    """The same of other units."""
    asked = {"network": NETWORK, "layers": [LAYER], "units": units, "visibility": "public"}
    made = client.post("/v1/atlases", json=asked).get_json()
    carry_out(database, made["id"])
    finish_all(database, store)
    assert client.post(f"{made['links']['self']}/publish").status_code == 200
    return f"{made['links']['self']}/versions/1"


@pytest.fixture
def sheeted(atlas: str, database: Database, store: ObjectStore, settings: Settings) -> str:
    make_sheets(database, store, settings)
    return atlas


@pytest.mark.parametrize("part", PARTS)
def test_a_sheet_is_accepted_and_there_once_a_worker_made_it(
    anonymous: FlaskClient, atlas: str, database: Database, store: ObjectStore, settings: Settings, part: str
) -> None:
    coming = anonymous.get(f"{atlas}/{part}")
    assert (coming.status_code, coming.get_json()["sheet"]) == (202, None)
    assert int(coming.headers["Retry-After"]) > 0
    early = anonymous.get(f"{atlas}/{part}.jpg")
    assert (early.status_code, early.headers["Retry-After"]) == (404, "5")
    make_sheets(database, store, settings)
    there = anonymous.get(f"{atlas}/{part}")
    assert there.status_code == 200
    shown = there.get_json()
    assert shown["current"]
    assert sum(strip["cells"] for strip in shown["sheet"]["strips"]) == 20
    for link in ("picture", "dzi", "iiif", "manifest"):
        assert anonymous.get(shown["links"][link]).status_code == 200


def test_a_sheet_of_a_layer_with_any_name_is_served_and_saved_under_it(
    anonymous: FlaskClient, sheeted: str, database: Database
) -> None:
    before = LAYER
    for layer in ('the "last" one', "höhe", "層;a=b"):
        with database.session() as session:
            names = {"layer": layer, "before": before}
            session.execute(_SAME_LAYER, names)
            session.execute(text("UPDATE atlas_layers SET layer = :layer WHERE layer = :before"), names)
        served = anonymous.get(f"{sheeted}/layers/{quote(layer)}/sheet.jpg")
        assert served.status_code == 200, served.text
        said = served.headers["Content-Disposition"].encode("latin-1").decode("ascii")
        assert parse_options_header(said)[1]["filename"] == f"{layer}.jpg"
        before = layer


def test_publishing_has_the_sheets_made(database: Database, atlas: str) -> None:
    with database.session() as session:
        planned = session.scalars(
            text("SELECT subject FROM work WHERE kind = 'sheet' ORDER BY subject")
        ).all()
    assert [subject.partition("/")[2] for subject in planned] == ["1/-1", "1/0"]


@pytest.mark.parametrize("part", PARTS)
def test_the_pyramid_has_every_tile_that_its_description_promises(
    anonymous: FlaskClient, sheeted: str, part: str
) -> None:
    dzi = anonymous.get(f"{sheeted}/{part}.dzi")
    assert dzi.mimetype == "application/xml"
    namespace = "{http://schemas.microsoft.com/deepzoom/2008}"
    image = ElementTree.fromstring(dzi.data)
    assert image.tag == f"{namespace}Image"
    assert (image.get("Overlap"), image.get("Format")) == ("0", "jpg")
    size = image.find(f"{namespace}Size")
    assert size is not None
    side, width, height = int(image.get("TileSize", 0)), int(size.get("Width", 0)), int(size.get("Height", 0))
    level = (max(width, height) - 1).bit_length()
    while True:
        columns, rows = -(-width // side), -(-height // side)
        for column in range(columns):
            for row in range(rows):
                tile = anonymous.get(f"{sheeted}/{part}_files/{level}/{column}_{row}.jpg")
                assert tile.headers["Cache-Control"] == "public, max-age=3600"
                with Image.open(io.BytesIO(tile.data)) as opened:
                    assert opened.size == (min(side, width - column * side), min(side, height - row * side))
        assert anonymous.get(f"{sheeted}/{part}_files/{level}/{columns}_0.jpg").status_code == 404
        if level == 0:
            break
        level, width, height = level - 1, -(-width // 2), -(-height // 2)
    assert (width, height) == (1, 1)
    assert anonymous.get(f"{sheeted}/{part}_files/0/x_0.jpg").status_code in (404, 422)


@pytest.mark.parametrize("part", ["layers/blocks.0.1", "poster"])
def test_the_image_service_serves_exactly_what_it_names(
    anonymous: FlaskClient, sheeted: str, part: str
) -> None:
    base = f"http://localhost{sheeted}/{part}/iiif"
    redirect = anonymous.get(base)
    assert (redirect.status_code, redirect.headers["Location"]) == (303, f"{sheeted}/{part}/iiif/info.json")
    answer = anonymous.get(f"{base}/info.json")
    assert answer.content_type == 'application/ld+json;profile="http://iiif.io/api/image/3/context.json"'
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    info = json.loads(answer.data)
    assert info["@context"] == "http://iiif.io/api/image/3/context.json"
    assert info["id"] == base
    assert (info["type"], info["protocol"], info["profile"]) == (
        "ImageService3",
        "http://iiif.io/api/image",
        "level0",
    )
    assert all(type(info[side]) is int and info[side] > 0 for side in ("width", "height"))
    (tiles,) = info["tiles"]
    for factor in tiles["scaleFactors"]:
        step = tiles["width"] * factor
        for left in range(0, info["width"], step):
            for top in range(0, info["height"], step):
                wide, high = min(step, info["width"] - left), min(step, info["height"] - top)
                size = (-(-wide // factor), -(-high // factor))
                part_of = anonymous.get(
                    f"{base}/{left},{top},{wide},{high}/{size[0]},{size[1]}/0/default.jpg"
                )
                assert part_of.status_code == 200
                with Image.open(io.BytesIO(part_of.data)) as opened:
                    assert opened.size == size
    for named in info["sizes"]:
        whole = anonymous.get(f"{base}/full/{named['width']},{named['height']}/0/default.jpg")
        with Image.open(io.BytesIO(whole.data)) as opened:
            assert opened.size == (named["width"], named["height"])
    largest = anonymous.get(f"{base}/full/max/0/default.jpg")
    assert largest.data == anonymous.get(f"{sheeted}/{part}{'' if part == 'poster' else '/sheet'}.jpg").data
    assert largest.headers["Access-Control-Allow-Origin"] == "*"
    for wrong in (
        "full/7,7",
        "full/99999,99999",
        "1,0,512,512/512,512",
        "0,0,512/512,512",
        "square/max",
        "a,b,c,d/max",
    ):
        assert anonymous.get(f"{base}/{wrong}/0/default.jpg").status_code == 404
    plain = anonymous.get(f"{base}/info.json", headers={"Accept": "application/json"})
    assert plain.content_type == "application/json"


def test_manifests_have_all_that_presentation_3_requires(anonymous: FlaskClient, sheeted: str) -> None:
    found = anonymous.get(f"{sheeted}/collection.json")
    collection = json.loads(found.data)
    assert (
        found.content_type == 'application/ld+json;profile="http://iiif.io/api/presentation/3/context.json"'
    )
    assert collection["type"] == "Collection"
    assert collection["id"] == f"http://localhost{sheeted}/collection.json"
    assert len(collection["items"]) == 2
    for entry in collection["items"]:
        assert entry.keys() == {"id", "type", "label"}
        assert_label(entry["label"])
        manifest = json.loads(anonymous.get(entry["id"]).data)
        assert manifest["@context"] == "http://iiif.io/api/presentation/3/context.json"
        assert (manifest["id"], manifest["type"]) == (entry["id"], "Manifest")
        assert_label(manifest["label"])
        for pair in manifest["metadata"]:
            assert_label(pair["label"])
            assert_label(pair["value"])
        (canvas,) = manifest["items"]
        (page,) = canvas["items"]
        (annotation,) = page["items"]
        body = annotation["body"]
        assert [each["type"] for each in (canvas, page, annotation, body)] == [
            "Canvas",
            "AnnotationPage",
            "Annotation",
            "Image",
        ]
        ids = [each["id"] for each in (manifest, canvas, page, annotation, body)]
        assert len({*ids}) == 5
        assert all(id.startswith("http://localhost/") and "#" not in id for id in ids)
        assert (annotation["motivation"], annotation["target"]) == ("painting", canvas["id"])
        assert not any("@context" in each for each in (canvas, page, annotation, body))
        (service,) = body["service"]
        assert (service["type"], service["profile"]) == ("ImageService3", "level0")
        info = json.loads(anonymous.get(f"{service['id']}/info.json").data)
        assert service["id"] == info["id"]
        assert (canvas["width"], canvas["height"]) == (info["width"], info["height"])
        for image in (body, *manifest["thumbnail"]):
            served = anonymous.get(image["id"])
            assert served.mimetype == image["format"] == "image/jpeg"
            with Image.open(io.BytesIO(served.data)) as opened:
                assert opened.size == (image["width"], image["height"])


def assert_label(label: Any) -> None:
    """A language map: languages with lists of texts."""
    assert label
    assert all(
        isinstance(texts, list) and texts and all(isinstance(one, str) for one in texts)
        for texts in label.values()
    )


def test_the_sheets_of_a_private_atlas_are_not_there_for_others(
    app: Flask, client: FlaskClient, anonymous: FlaskClient, database: Database, sheeted: str
) -> None:
    atlas = sheeted.rpartition("/versions")[0]
    assert client.post(f"{atlas}/change", json={"visibility": "private"}).status_code == 200
    paths = [
        *(f"{part}{end}" for part in PARTS for end in ("", ".jpg", ".dzi", "_files/0/0_0.jpg")),
        *(
            f"{part}/{end}"
            for part in ("layers/blocks.0.1", "poster")
            for end in ("iiif/info.json", "iiif/full/max/0/default.jpg", "manifest.json")
        ),
        "collection.json",
    ]
    for path in paths:
        own = client.get(f"{sheeted}/{path}")
        assert own.status_code == 200
        assert "private" in own.headers["Cache-Control"]
        for stranger in (anonymous, with_key(app, database, "read", "jobs:write")):
            assert stranger.get(f"{sheeted}/{path}").status_code == 404, path


def test_what_an_atlas_does_not_show_has_no_sheet(client: FlaskClient, sheeted: str) -> None:
    assert client.get(f"{sheeted}/layers/none/sheet").status_code == 404
    assert client.get(f"{sheeted.replace('/1', '/7')}/poster").status_code == 404
    # Nothing new is in the open version, but what is done is shown by it, too.
    assert client.get(f"{sheeted.replace('/1', '/open')}/poster").status_code == 202
