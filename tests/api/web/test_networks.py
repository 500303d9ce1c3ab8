"""The entrance, the list of networks, and the page of one."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from api.web.pages import home as entrance
from api.web.pages.networks import networks as pages_of_networks
from imago_engine.networks import LayerInfo
from services.base.database import Database
from services.base.storage import ObjectStore
from services.catalog.inspections import record_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from tests.api.conftest import Start
from tests.api.resources.test_atlases import body
from tests.api.small_catalog import LAYERS, NETWORK, finish_all, job_body, with_key
from tests.api.web.browsing import BROWSER, PageRead, scripts_within
from tests.integration.atlases.building import carry_out

PAGE = f"/networks/{NETWORK}"
THUMBNAIL = "/image.webp?size=128"


def build(client: FlaskClient, database: Database, **asked: Any) -> str:
    """A private atlas whose pictures wait; its id."""
    made: dict[str, Any] = client.post("/v1/atlases", json=body(**asked)).get_json()
    carry_out(database, made["id"])
    return str(made["id"])


@pytest.fixture
def atlas(client: FlaskClient, database: Database, store: ObjectStore, network: str) -> str:
    """A private atlas of 30 units of two layers, all done and published."""
    id = build(client, database, layers=["blocks.0.1", "classifier"], units="0-19")
    finish_all(database, store)
    client.post(f"/v1/atlases/{id}/publish")
    return id


def pictures(page: str) -> list[str]:
    return [link for link in PageRead(page).addresses if link.endswith(THUMBNAIL)]


def test_without_networks_the_pages_say_how_to_register_one(client: FlaskClient) -> None:
    for path in ("/networks", "/"):
        page = client.get(path, headers=BROWSER).text
        PageRead(page)
        assert "No network yet" in page
        assert "imago networks add efficientnet_lite0.imagenet --wait" in page


def test_a_card_shows_pictures_and_how_much_there_is(client: FlaskClient, atlas: str) -> None:
    page = client.get("/networks").text
    assert PAGE in PageRead(page).addresses
    assert "318 units in 3 layers" in page
    assert "1 atlas" in page
    assert "9\u00a0% have a picture" in page  # 30 of 318
    shown = pictures(page)
    assert len(set(shown)) == 6
    assert client.get(shown[0], buffered=True).status_code == 200
    units = [urlsplit(link) for link in PageRead(page).addresses if "/units/" in link]
    assert {part.query for part in units} == {f"atlas={atlas}%401"}


def test_a_network_without_an_atlas_shows_the_pictures_that_there_are(
    client: FlaskClient, database: Database, store: ObjectStore, network: str
) -> None:
    assert "no atlas yet" in client.get("/networks").text
    client.post("/v1/jobs", json=job_body("0-3"))
    assert pictures(client.get("/networks").text) == []
    finish_all(database, store)
    assert len(pictures(client.get("/networks").text)) == 4
    assert len(pictures(client.get(PAGE).text)) == 4


def test_what_is_not_ready_is_listed_apart_with_the_reason_and_removed_by_its_owner(
    app: Flask, client: FlaskClient, database: Database, network: str
) -> None:
    client.post("/v1/networks", json={"id": "resnet18.one"})
    client.post("/v1/networks", json={"id": "resnet18.two"})
    with database.session() as session:
        session.execute(
            text("UPDATE networks SET state = 'failed', error = '<b>no</b> file' WHERE id = 'resnet18.one'")
        )
    page = client.get("/networks").text
    assert "Not ready" in page
    assert "&lt;b&gt;no&lt;/b&gt; file" in page
    assert "a worker is to look at it" in page
    assert page.count('action="/networks/') == 2
    one = client.get("/networks/resnet18.one").text
    assert "&lt;b&gt;no&lt;/b&gt; file" in one
    assert "A worker is to look at it" in client.get("/networks/resnet18.two").text
    stranger = with_key(app, database, "read", "jobs:write")
    assert 'action="/networks/' not in stranger.get("/networks").text
    assert stranger.post("/networks/resnet18.one/remove").status_code == 403
    removed = client.post("/networks/resnet18.one/remove")
    assert (removed.status_code, removed.headers["Location"]) == (303, "/networks")
    assert "resnet18.one" not in client.get("/networks").text


def test_what_is_not_ready_is_on_the_first_page_however_many_networks_come_before(
    client: FlaskClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages_of_networks, "NETWORKS_A_PAGE", 2)
    monkeypatch.setattr(entrance, "NETWORKS_SHOWN", 2)
    with database.session() as session:
        for id in ("a.one", "a.three", "a.two"):
            register_network(session, RegisterNetwork(id=id))
            record_inspection(
                session,
                id,
                weights_sha256="d" * 64,
                preprocessing={"size": 32},
                labels=[],
                layers=LAYERS[:1],
            )
        register_network(session, RegisterNetwork(id="resnet18.late"))
    first = PageRead(client.get("/networks", headers=BROWSER).text)
    assert "/networks/resnet18.late" in first.links
    (following,) = (link for link in first.links if "cursor=" in link)
    second = PageRead(client.get(following, headers=BROWSER).text)
    assert "/networks/a.two" in second.links
    assert "/networks/resnet18.late" not in second.links
    assert "1 not ready" in client.get("/", headers=BROWSER).text


def test_all_that_are_not_ready_are_counted_and_on_some_page_however_many_they_are(
    client: FlaskClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages_of_networks, "NOT_READY_SHOWN", 2)
    ids = [f"resnet18.{n}" for n in "abcde"]
    with database.session() as session:
        for id in ids:
            register_network(session, RegisterNetwork(id=id))
    assert "5 not ready" in client.get("/", headers=BROWSER).text
    listed, pages, following = [], 0, ["/networks"]
    while following:
        read = PageRead(client.get(following[0], headers=BROWSER).text)
        listed += [id for id in ids if f"/networks/{id}" in read.links]
        following = [link for link in read.links if "not_ready=" in link]
        pages += 1
    assert (listed, pages) == (ids, 3)


def test_removal_needs_a_key_and_refuses_what_is_needed(
    anonymous: FlaskClient, client: FlaskClient, atlas: str
) -> None:
    assert anonymous.post(f"{PAGE}/remove").status_code == 401
    assert client.post(f"{PAGE}/remove").status_code in (403, 409)
    assert client.get(PAGE).status_code == 200


def test_a_network_is_a_stack_of_layers_from_picture_to_logits(client: FlaskClient, atlas: str) -> None:
    page = client.get(PAGE).text
    layers = [
        urlsplit(link).path
        for link in PageRead(page).addresses
        if "/layers/" in link and "/units/" not in link
    ]
    assert list(dict.fromkeys(layers)) == [f"{PAGE}/layers/{layer.name}" for layer in LAYERS]
    for said in (
        "stem · 8 channels · 16 × 16 map · sees 3\u00a0px",
        "block · 300 channels · 8 × 8 map · sees 19\u00a0px",
        "output · 10 units · sees all of it",
        "20 of 300",
        "10 of 10",
        "sees 19 of 32 pixels",
        "not in this atlas",
        "None were looked at",
        "All of them as pictures",
    ):
        assert said in page
    assert len(set(pictures(page))) == 16
    assert re.search(f'<option value="{atlas}@1" selected>[^<,]* · version 1</option>', page), "no date"
    assert scripts_within(page) == ""


def test_layers_without_pictures_that_follow_one_another_are_one_line_from_which_they_are_built(
    client: FlaskClient, database: Database, store: ObjectStore, network: str
) -> None:
    bare = client.get(PAGE).text
    assert "layers without pictures" not in bare, (
        "where there are no pictures at all, layers are all there is"
    )
    build(client, database, layers=["classifier"], units="0-9")
    finish_all(database, store)
    page = client.get(PAGE).text
    assert "<summary>2 layers without pictures</summary>" in page
    (builds,) = (link for link in PageRead(page).addresses if "layers=" in link and "/atlases/new" in link)
    form = client.get(builds).text
    assert f"<option selected>{NETWORK}</option>" in form
    assert 'value="conv_stem,blocks.0.1"' in form
    layers = [
        urlsplit(link).path
        for link in PageRead(page).addresses
        if "/layers/" in link and "/units/" not in link
    ]
    assert list(dict.fromkeys(layers)) == [f"{PAGE}/layers/{layer.name}" for layer in LAYERS]


def test_classes_lead_to_their_units_however_many_layers_come_before_the_output(
    client: FlaskClient, database: Database
) -> None:
    id = "resnet18.random"
    layers = [LayerInfo(f"conv_{number}", "conv", 4, (8, 8), 3, 2) for number in range(40)]
    with database.session() as session:
        register_network(session, RegisterNetwork(id=id))
        record_inspection(
            session,
            id,
            weights_sha256="d" * 64,
            preprocessing={"size": 32},
            labels=["tench, Tinca tinca", "goldfish"],
            layers=[*layers, LayerInfo("fc", "output", 2, None, None, None)],
        )
    first = PageRead(client.get(f"/networks/{id}?layers=all", headers=BROWSER).text)
    assert f"/networks/{id}/layers/fc?atlas=any" not in first.links, "the output is on a later page"
    assert f"/networks/{id}/layers/fc/units/1?atlas=any" in first.links
    assert f"/networks/{id}/layers/fc?atlas=any&order=label" in first.links


def test_all_layers_are_shown_by_a_chip(client: FlaskClient, database: Database, network: str) -> None:
    with database.session() as session:
        session.execute(text("UPDATE layers SET role = NULL WHERE name = 'blocks.0.1'"))
    blocks = client.get(PAGE).text
    assert "blocks.0.1" not in blocks
    chip = next(link for link in PageRead(blocks).addresses if "layers=all" in link)
    assert "blocks.0.1" in client.get(chip).text
    assert client.get(f"{PAGE}?layers=some", headers=BROWSER).status_code == 422


def test_a_private_atlas_shows_nowhere_to_others(
    app: Flask, anonymous: FlaskClient, client: FlaskClient, database: Database, atlas: str
) -> None:
    stranger = with_key(app, database, "read", "jobs:write")
    assert atlas not in anonymous.get("/", headers=BROWSER).text
    for path in ("/networks", PAGE):
        assert atlas in client.get(path).text
        for other in (anonymous, stranger):
            page = other.get(path, headers=BROWSER).text
            assert atlas not in page
            assert "1 atlas" not in page
            assert "version 1" not in page
    assert stranger.get(f"{PAGE}?atlas={atlas}@1").status_code == 404
    with database.session() as session:
        register_network(session, RegisterNetwork(id="other.random"))
        record_inspection(
            session,
            "other.random",
            weights_sha256="d" * 64,
            preprocessing={"size": 32},
            labels=[],
            layers=LAYERS[:1],
        )
    assert client.get(f"/networks/other.random?atlas={atlas}@1").status_code == 422


def test_the_entrance_shows_pictures_networks_and_what_is_being_built(
    client: FlaskClient, database: Database, atlas: str
) -> None:
    # It looks at no key that is sent: pictures are everybody's, the atlas is not.
    page = client.get("/", headers=BROWSER).text
    assert (len(set(pictures(page))), atlas in page) == (14, False)
    client.post(f"/v1/atlases/{atlas}/change", json={"visibility": "public"})
    page = client.get("/", headers=BROWSER).text
    assert (len(set(pictures(page))), f"atlas={atlas}" in page) == (14, True)
    assert PAGE in PageRead(page).addresses
    assert "Being built" not in page
    building = build(client, database, name="At night", units="30-39", visibility="public")
    page = client.get("/", headers=BROWSER).text
    assert "Being built" in page
    assert "At night" in page
    assert f"/atlases/{building}" in PageRead(page).addresses


def test_where_reading_needs_a_key_nothing_is_shown_without(start: Start, atlas: str) -> None:
    closed = start(public_read=False).test_client()
    page = closed.get("/", headers=BROWSER).text
    assert (NETWORK in page, "<img" in page) == (False, False)
    for path in ("/networks", PAGE, f"{PAGE}/layers/classifier"):
        assert NETWORK not in closed.get(path, headers=BROWSER).text


def test_the_version_that_is_shown_is_among_the_choices_however_many_there_are(
    client: FlaskClient, atlas: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.grids.versions.MOST", 1)
    newest = client.post("/v1/atlases", json=body(name="newer")).get_json()["id"]
    for path in (PAGE, f"{PAGE}/layers/blocks.0.1"):
        page = client.get(path, query_string={"atlas": f"{atlas}@1"}).text
        chosen = [each["value"] for each in PageRead(page).all("option") if "selected" in each]
        assert chosen[0] == f"{atlas}@1", path
        assert f'value="{newest}@open"' in page
