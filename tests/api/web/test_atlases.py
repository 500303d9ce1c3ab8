"""The pages of atlases, and the form that builds one."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.web.pages import atlas as pages_of_an_atlas
from imago_engine.networks import LayerInfo
from services.base.database import Database
from services.base.storage import ObjectStore
from services.catalog.inspections import record_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from tests.api.resources.test_atlases import LAYER, body
from tests.api.small_catalog import NETWORK, finish_all, with_key
from tests.api.web.browsing import BROWSER, PageRead
from tests.integration.atlases.building import carry_out

FIELDS = {"network": NETWORK, "layers": LAYER, "units": "0-3", "facets": "2", "technique": "auto"}


@pytest.fixture
def atlas(client: FlaskClient, database: Database, store: ObjectStore, network: str) -> str:
    """The address of the page of a private atlas whose pictures are all done."""
    made = client.post("/v1/atlases", json=body(name="<b>Mine</b>")).get_json()
    carry_out(database, made["id"])
    finish_all(database, store)
    return f"/atlases/{made['id']}"


def test_what_is_refused_leads_back_to_the_page_that_asked(client: FlaskClient, atlas: str) -> None:
    from_here = {**BROWSER, "Referer": f"http://localhost{atlas}"}
    refused = client.post(f"{atlas}/cancel", headers=from_here)
    assert refused.status_code == 409
    assert f'href="{atlas}">Back to the page' in refused.text
    from_elsewhere = {**BROWSER, "Referer": f"http://elsewhere.test{atlas}"}
    assert "Back to the page" not in client.post(f"{atlas}/cancel", headers=from_elsewhere).text


def test_atlases_are_shown_with_their_pictures_to_those_who_see_them(
    client: FlaskClient, anonymous: FlaskClient, atlas: str
) -> None:
    page = client.get("/atlases").text
    assert f'href="{atlas}"' in page
    assert "&lt;b&gt;Mine&lt;/b&gt;" in page
    assert page.count("image.webp?size=128") == 6
    assert atlas not in anonymous.get("/atlases").text
    assert anonymous.get(atlas, headers=BROWSER).status_code == 404


def test_an_atlas_shows_its_layers_its_versions_and_what_may_be_done(
    client: FlaskClient, app: Flask, database: Database, atlas: str
) -> None:
    client.post(f"/v1{atlas}/change", json={"visibility": "public"})
    page = client.get(atlas).text
    assert "20 of 20" in page
    assert f'href="/networks/{NETWORK}/layers/{LAYER}?atlas=' in page
    assert f'action="{atlas}/publish"' in page
    assert f'action="{atlas}/pause"' not in page
    published = client.post(f"{atlas}/publish")
    assert (published.status_code, published.headers["Location"]) == (303, atlas)
    assert f"{atlas}/versions/1/poster" in client.get(atlas).text
    others = with_key(app, database, "read", "jobs:write")
    assert "<form method" not in others.get(atlas).text
    assert others.post(f"{atlas}/delete", headers=BROWSER).status_code == 403


def test_an_atlas_that_is_complete_says_nothing_of_progress_and_leads_to_all_that_shows_it(
    client: FlaskClient, database: Database, atlas: str
) -> None:
    unpublished = client.get(atlas).text
    assert f"/atlases/{atlas.rpartition('/')[2]}/versions/1/poster" not in unpublished
    assert "1 (open)" in unpublished
    client.post(f"{atlas}/publish")
    page = PageRead(client.get(atlas).text)
    assert "<progress" not in page.html
    assert ("Unreachable" in page.text, "(open)" in page.text) == (False, False)
    assert f'<a class="button" href="{atlas}/versions/1/poster">Poster</a>' in page.html
    assert ">Compare</a>" not in page.html.partition("</header>")[2]
    carry_out(database, client.post("/v1/atlases", json=body(units="::7")).get_json()["id"])
    assert ">Compare</a>" in client.get(atlas).text.partition("</header>")[2]


def test_an_atlas_that_grows_shows_how_far_it_is(
    client: FlaskClient, database: Database, network: str
) -> None:
    made = client.post("/v1/atlases", json=body(units="::7")).get_json()["id"]
    carry_out(database, made)
    page = client.get(f"/atlases/{made}").text
    assert page.count("<progress") == 2
    assert ("Unreachable" in page, "(every 7th)" in page, "1 (open)" in page) == (True, True, True)


def test_an_atlas_grows_by_its_form_and_is_watched_while_it_does(
    client: FlaskClient, database: Database, store: ObjectStore, atlas: str
) -> None:
    client.post(f"{atlas}/publish")
    still = client.get(atlas).text
    assert "data-events" not in still
    assert f'action="{atlas}/publish"' not in still
    sent = {"layers": "classifier", "units": "0-1", "facets": "2"}
    assert client.post(f"{atlas}/extend", data=sent).headers["Location"] == atlas
    carry_out(database, atlas.rpartition("/")[2])
    growing = client.get(atlas).text
    assert f'data-events="/v1{atlas}/events"' in growing
    assert 'data-live-layer="classifier"' in growing
    finish_all(database, store)
    assert f'action="{atlas}/publish"' in client.get(atlas).text


def test_of_many_layers_the_first_are_shown_and_a_link_leads_to_all(
    client: FlaskClient, database: Database, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = client.post("/v1/atlases", json=body(layers=[LAYER, "classifier"], units="0-1")).get_json()
    carry_out(database, made["id"])
    address = f"/atlases/{made['id']}"
    assert client.get(address).text.count("<tr data-live-layer=") == 2
    monkeypatch.setattr(pages_of_an_atlas, "LAYERS_WATCHED", 1)
    some = client.get(address).text
    assert some.count("<tr data-live-layer=") == 1
    assert f'<a href="{address}?layers=all">All 2 layers</a>' in some
    every = client.get(f"{address}?layers=all").text
    assert every.count("<tr data-live-layer=") == 2
    assert "All 2 layers" not in every
    assert client.get(f"{address}?layers=most").status_code == 422


@pytest.mark.usefixtures("network")
def test_the_page_of_an_atlas_of_very_many_layers_stays_light_while_it_is_built(
    client: FlaskClient, database: Database
) -> None:
    names = [f"stages.{number // 40}.blocks.{number}.attention" for number in range(180)]
    with database.session() as session:
        register_network(session, RegisterNetwork(id="deep.random"))
        record_inspection(
            session,
            "deep.random",
            weights_sha256="d" * 64,
            preprocessing={"size": 32},
            labels=[],
            layers=[LayerInfo(name, "conv", 1280, (8, 8), 3, 2) for name in names],
        )
    made = client.post("/v1/atlases", json=body(network="deep.random", layers="all", units="0")).get_json()
    page = PageRead(client.get(f"/atlases/{made['id']}").text)
    beside = {link["href"] for link in page.all("link") if link["rel"] in ("stylesheet", "modulepreload")}
    beside |= {script["src"] for script in page.all("script") if "src" in script}
    weight = len(page.html.encode()) + sum(len(client.get(path, buffered=True).data) for path in beside)
    assert page.html.count("<tr data-live-layer=") >= 60
    assert weight < 130_000, "150 KB are aimed at; a strip of pictures and versions come to it"
    assert f"/atlases/{made['id']}?layers=all" in page.links


@pytest.mark.parametrize(
    ("action", "name", "value", "said"),
    [
        ("extend", "layers", "nothing.here", "nothing.here"),
        ("extend", "units", "9-x", "9-x"),
        ("extend", "facets", "many", "whole number"),
        ("extend", "facets", "99", "16"),
        ("rename", "name", " ", "empty"),
    ],
)
def test_what_is_wrong_in_a_form_of_an_atlas_is_said_beside_its_field_and_changes_nothing(
    client: FlaskClient, atlas: str, action: str, name: str, value: str, said: str
) -> None:
    before = client.get(f"/v1{atlas}").get_json()["request"]
    answer = client.post(f"{atlas}/{action}", data={"layers": "", "units": "", "facets": "2", name: value})
    assert answer.status_code == 422
    (_, wrong) = answer.text.split('class="field field-wrong"')
    assert f'<label for="{name}"' in wrong.split("</div>")[0]
    assert said in wrong.split("</div>")[0]
    assert client.get(f"/v1{atlas}").get_json()["request"] == before


def test_a_form_that_adds_nothing_says_so(client: FlaskClient, atlas: str) -> None:
    answer = client.post(f"{atlas}/extend", data={"layers": "", "units": "", "facets": "1"})
    assert (answer.status_code, "names nothing to add" in answer.text) == (422, True)


def test_its_owner_gives_an_atlas_another_name(client: FlaskClient, atlas: str) -> None:
    assert client.post(f"{atlas}/rename", data={"name": "Yours"}).status_code == 303
    assert "<h1>Yours</h1>" in client.get(atlas).text


def test_an_atlas_shows_pictures_and_the_sheet_of_each_layer(client: FlaskClient, atlas: str) -> None:
    page = PageRead(client.get(atlas).text)
    assert page.pictures
    assert f"{atlas}/versions/1/layers/{LAYER}/sheet" in page.links


def test_a_button_that_does_not_exist_is_explained(client: FlaskClient, atlas: str) -> None:
    answer = client.post(f"{atlas}/explode", headers=BROWSER)
    assert answer.status_code == 404
    assert "publish" in answer.text


def test_the_owner_deletes_an_atlas_and_is_led_to_the_others(client: FlaskClient, atlas: str) -> None:
    gone = client.post(f"{atlas}/delete")
    assert (gone.status_code, gone.headers["Location"]) == (303, "/atlases")
    assert client.get(atlas, headers=BROWSER).status_code == 404


@pytest.mark.usefixtures("network")
def test_the_form_says_what_an_atlas_would_take_and_makes_it(client: FlaskClient) -> None:
    asked = client.get("/atlases/new", query_string={**FIELDS, "visibility": "public", "estimate": "true"})
    assert "What it would take" in asked.text
    assert f"<code>{LAYER}</code>" in asked.text
    assert f'data-name="{LAYER}"' in client.get("/atlases/new").text
    assert client.get("/v1/atlases").get_json()["data"] == []
    (sends,) = re.findall(r'action="(/atlases\?once=[^"]+)"', asked.text)
    asked_for = {**FIELDS, "candidates": "2", "visibility": "public"}
    made, again = (client.post(sends, data=asked_for) for _ in range(2))
    assert made.status_code == again.status_code == 303
    assert made.headers["Location"] == again.headers["Location"]
    (atlas,) = client.get("/v1/atlases").get_json()["data"]
    assert made.headers["Location"] == f"/atlases/{atlas['id']}"
    assert (atlas["visibility"], atlas["progress"]["pictures"]["total"]) == ("public", 16)
    assert atlas["request"]["candidates"] == 2


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("layers", "nothing.here", "nothing.here"),
        ("units", "9-x", "9-x"),
        ("facets", "many", "facets"),
        ("facets", "99", "16"),
        ("candidates", "9", "8"),
        ("visibility", "secret", "private"),
    ],
)
def test_what_is_wrong_in_the_form_is_said_beside_its_field_and_makes_nothing(
    client: FlaskClient, name: str, value: str, said: str
) -> None:
    sent = {**FIELDS, "visibility": "public", name: value}
    answer = client.post("/atlases", data=sent)
    assert answer.status_code == 422
    (_, wrong) = answer.text.split('class="field field-wrong"')
    assert f'<label for="{name}"' in wrong.split("</div>")[0]
    assert said in wrong.split("</div>")[0]
    assert client.get("/v1/atlases").get_json()["data"] == []


@pytest.mark.usefixtures("network")
def test_all_that_is_wrong_in_the_form_is_said_in_one_round(client: FlaskClient) -> None:
    mistakes = {"facets": "x", "visibility": "secret", "layers": "blocks.9", "units": "7-3"}
    answer = client.post("/atlases", data={**FIELDS, **mistakes})
    assert answer.status_code == 422
    wrong = answer.text.split('class="field field-wrong"')[1:]
    assert {part.split('label for="')[1].split('"')[0] for part in wrong} == mistakes.keys()


@pytest.mark.usefixtures("network")
def test_someone_without_a_key_is_asked_to_sign_in_before_building(anonymous: FlaskClient) -> None:
    page = anonymous.get("/atlases/new").text
    assert "/signin?next=%2Fatlases%2Fnew" in page
    assert page.index("Sign in</a> with a key") < page.index('<label for="network"')
    asked = anonymous.get("/atlases/new", query_string={**FIELDS, "estimate": "true"}).text
    assert "units%3D0-3" in asked, "what was asked for is there again after signing in"
    assert anonymous.post("/atlases", data=FIELDS).status_code == 401


def test_a_page_that_refuses_a_form_names_the_address_where_it_is_read_anew(
    client: FlaskClient, network: str
) -> None:
    made = client.post("/v1/atlases", json=body(units="0-3")).get_json()
    address = f"/atlases/{made['id']}"
    for action, sent in (("extend", {"facets": "99"}), ("rename", {"name": " "})):
        refused = PageRead(client.post(f"{address}/{action}", data=sent).text)
        (live,) = (each for each in refused.all("div") if each.get("id") == "live")
        assert live["data-page"] == address
        assert live["data-events"]
        assert client.get(live["data-page"], headers=BROWSER).status_code == 200
        (kept,) = re.findall(r'<div id="state".*?</div>\n', refused.html, re.DOTALL)
        assert "Nothing was added" not in kept, "what is read anew does not say that it was refused"
    (live,) = (each for each in PageRead(client.get(address).text).all("div") if each.get("id") == "live")
    assert "data-page" not in live
