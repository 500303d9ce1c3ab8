"""The page that searches."""

import io
import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from imago_engine.networks import LayerInfo
from services.base.database import Database
from services.base.storage import ObjectStore
from services.catalog.inspections import record_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.catalog.tables import LayerRow
from services.search import excitations
from tests.api.small_catalog import NETWORK, finish_all, job_body
from tests.api.web.browsing import BROWSER, PageRead
from tests.integration.search.indexed import PNG

OUTPUT = f"/networks/{NETWORK}/layers/classifier/units"
HIDDEN = f"/networks/{NETWORK}/layers/blocks.0.1/units"


def read(client: FlaskClient, query: str = "", status: int = 200) -> PageRead:
    answer = client.get(f"/search{query}", headers=BROWSER)
    assert answer.status_code == status, answer.text
    return PageRead(answer.text)


def units_on(page: PageRead) -> list[str]:
    """Paths of the units that a page leads to, without their parameters."""
    return [link.split("?")[0] for link in page.links if "/units/" in link]


def leads_to(client: FlaskClient, query: str) -> str:
    answer = client.get(f"/search{query}", headers=BROWSER)
    assert answer.status_code == 303
    return answer.location


@pytest.fixture
def indexed(client: FlaskClient, database: Database, store: ObjectStore, network: str) -> str:
    """The network, whose units 2 and 3 of two layers have pictures that are seen as these classes."""
    for layer in ("output", "blocks.0.1"):
        client.post("/v1/jobs", json=job_body("2-3", layer))
    finish_all(database, store)
    return network


def another_network(database: Database) -> None:
    """One with a layer of the same name as the small network's."""
    with database.session() as session:
        register_network(session, RegisterNetwork(id="resnet18.random"))
        record_inspection(
            session,
            "resnet18.random",
            weights_sha256="d" * 64,
            preprocessing={"size": 32},
            labels=[],
            layers=[LayerInfo("conv_stem", "conv", 8, (16, 16), 3, 2)],
        )


def test_every_page_leads_to_it_and_the_entrance_to_the_form_for_photographs(
    client: FlaskClient, indexed: str
) -> None:
    for path in ("/", "/jobs", f"/networks/{indexed}"):
        assert "/search" in PageRead(client.get(path, headers=BROWSER).text).links
    entrance = PageRead(client.get("/", headers=BROWSER).text)
    assert "/search#photograph-form" in entrance.links
    assert any(part.get("id") == "photograph-form" for part in read(client).all("section"))


def test_without_a_network_it_says_what_to_do_first(client: FlaskClient) -> None:
    page = read(client)
    assert "No network yet" in page.text
    assert "/networks" in page.links
    assert not list(page.all("input[type=file]"))


@pytest.mark.usefixtures("network")
def test_without_pictures_it_says_how_there_will_be_some(client: FlaskClient) -> None:
    page = read(client)
    assert "No picture can be searched yet" in page.text
    assert "/atlases" in page.links
    assert "build an atlas" in read(client, "?q=class+3").text


@pytest.mark.usefixtures("indexed")
def test_it_begins_with_labels_that_there_are(client: FlaskClient) -> None:
    assert {"/search?q=class+2", "/search?q=class+3"} <= set(read(client).links)


def test_a_class_without_a_name_is_called_by_its_number_and_searched_for_by_nobody(
    client: FlaskClient, database: Database, store: ObjectStore, network: str
) -> None:
    with database.session() as session:
        session.execute(text("UPDATE networks SET labels = '[]'"))
    client.post("/v1/jobs", json=job_body("2-3", "blocks.0.1"))
    finish_all(database, store)
    assert not any(link.startswith("/search?q=") for link in read(client).links)
    unit = PageRead(client.get(f"{HIDDEN}/3", headers=BROWSER).text)
    assert not any(link.startswith("/search?q=") for link in unit.links)
    assert "sees in it class 3 75" in unit.text
    assert "2 · class 2" in unit.text
    layer = PageRead(client.get(f"/networks/{network}/layers/blocks.0.1", headers=BROWSER).text)
    assert "class 3" in layer.text
    with database.session() as session:  # of a network whose classes are called by digits these are names
        session.execute(text("""UPDATE networks SET labels = '["0", "1", "2", "3"]'"""))
    assert {"/search?q=2", "/search?q=3"} <= set(read(client).links)


@pytest.mark.usefixtures("indexed")
def test_units_are_found_by_label_hidden_ones_alone_if_wanted(client: FlaskClient) -> None:
    assert set(units_on(read(client, "?q=Class+3"))) == {f"{OUTPUT}/3", f"{HIDDEN}/3"}
    page = read(client, "?q=class+3&show=hidden")
    assert units_on(page) == [f"{HIDDEN}/3"]
    assert "75 %" in page.text.replace("\u00a0", " ")
    assert units_on(read(client, "?q=class+3&show=output")) == [f"{OUTPUT}/3"]
    nothing = read(client, "?q=class+9&show=hidden")
    assert "No hidden unit says so yet" in nothing.text
    assert "/search?q=class+9" in nothing.links
    for picture in page.pictures:
        assert client.get(picture, buffered=True).status_code == 200


@pytest.mark.usefixtures("indexed")
def test_words_that_are_no_label_lead_to_some_that_are_and_are_escaped(client: FlaskClient) -> None:
    page = read(client, "?q=clas")
    assert "/search?q=class+3" in page.links
    hostile = read(client, "?q=%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in hostile.html
    assert "No class is called just" in hostile.text


@pytest.mark.usefixtures("indexed")
def test_names_lead_straight_to_what_they_name(client: FlaskClient, database: Database) -> None:
    assert leads_to(client, f"?q={NETWORK}/blocks.0.1/7") == f"{HIDDEN}/7"
    assert leads_to(client, "?q=blocks.0.1/7") == f"{HIDDEN}/7"
    assert leads_to(client, "?q=output/7").endswith("/units/7")
    assert leads_to(client, "?q=blocks.0.1") == f"/networks/{NETWORK}/layers/blocks.0.1"
    assert leads_to(client, f"?q={NETWORK}") == f"/networks/{NETWORK}"
    assert "has 300 units" in read(client, "?q=blocks.0.1/300").text
    assert "No network has a layer" in read(client, "?q=blocks.9/0").text
    another_network(database)
    both = read(client, "?q=conv_stem/7")
    owners = ("resnet18.random", NETWORK)
    assert units_on(both) == [f"/networks/{owner}/layers/conv_stem/units/7" for owner in owners]
    assert leads_to(client, f"?q=conv_stem/7&network={NETWORK}").startswith(f"/networks/{NETWORK}/")


@pytest.mark.usefixtures("network")
def test_it_has_one_box_to_search_in(client: FlaskClient) -> None:
    boxes = [field for field in read(client).all("input") if field.get("type") == "search"]
    assert [box["data-shortcut"] for box in boxes] == ["/"]


@pytest.mark.usefixtures("indexed")
def test_units_like_one_are_found_where_one_looks(client: FlaskClient) -> None:
    page = read(client, f"?like={NETWORK}/blocks.0.1/3")
    assert set(units_on(page)) == {f"{HIDDEN}/2", f"{HIDDEN}/3", f"{OUTPUT}/2", f"{OUTPUT}/3"}
    assert "Units like blocks.0.1/3" in page.text
    assert len(page.pictures) == 4, "its own picture, and those of the three others"
    assert "Units like class 3" in read(client, f"?like={NETWORK}/output/3").text
    called = re.findall(r"<b>([^<]*)</b>.*?caption quiet.>([^<]*)<", page.html, re.DOTALL)
    assert {("class 2", "classifier/2"), ("2 · class 2", "blocks.0.1")} <= set(called)
    within = read(client, f"?like={NETWORK}/blocks.0.1/3&within=layer")
    assert set(units_on(within)) == {f"{HIDDEN}/2", f"{HIDDEN}/3"}
    assert "no picture yet" in read(client, f"?like={NETWORK}/blocks.0.1/9").text
    assert "does not name one unit" in read(client, "?like=nothing").text


def photograph(name: str = "photo.png", data: bytes = PNG, **more: str) -> dict[str, object]:
    return {"photograph": (io.BytesIO(data), name), "network": NETWORK, **more}


def answer_all(database: Database) -> int:
    """Do what a worker does with photographs; returns how many waited."""
    answered = 0
    while True:
        with database.session() as session:
            claim = excitations.claim(session, "tester", lease_seconds=60)
            if claim is None:
                return answered
            result = {
                "excited": [{"unit": 3, "activation": 7.5}, {"unit": 1, "activation": 2.5}],
                "alike": [],
            }
            assert excitations.finish(session, claim, result)
            answered += 1


@pytest.mark.usefixtures("indexed")
def test_a_photograph_is_looked_at_and_its_units_shown_layer_by_layer(
    client: FlaskClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.web.pages.search.photographs.WAIT_SECONDS", 0)
    sent = client.post("/search", data=photograph(), headers=BROWSER)
    assert sent.status_code == 303
    waiting = client.get(sent.location, headers=BROWSER)
    assert "This page looks again" in waiting.text
    assert '<meta http-equiv="refresh"' in waiting.text
    assert answer_all(database) == 3
    page = PageRead(client.get(sent.location, headers=BROWSER).text)
    assert not any(meta.get("http-equiv") == "refresh" for meta in page.all("meta"))
    assert {f"{OUTPUT}/3", f"{HIDDEN}/3", f"/networks/{NETWORK}/layers/conv_stem/units/3"} <= set(
        units_on(page)
    )
    assert "7.5" in page.text
    assert "class 3" in page.text
    assert len(page.pictures) == 2
    one = client.post("/search", data=photograph(layer="output"), headers=BROWSER)
    assert "%2C" not in one.location


@pytest.mark.usefixtures("indexed")
def test_what_is_no_photograph_is_refused_beside_its_field(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for data in (photograph(data=b"GIF89a"), photograph(data=b""), {"network": NETWORK}):
        answer = client.post("/search", data=data, headers=BROWSER)
        assert answer.status_code == 422
        assert answer.text.count("field-wrong") == 1
        PageRead(answer.text)
    monkeypatch.setattr(excitations, "MOST_BYTES", 1000)
    large = client.post("/search", data=photograph(data=PNG + bytes(2000)), headers=BROWSER)
    assert "make it smaller" in large.text


@pytest.mark.usefixtures("indexed")
def test_a_layer_of_another_network_is_refused_beside_its_field(
    client: FlaskClient, database: Database
) -> None:
    another_network(database)
    with database.session() as session:
        session.get_one(LayerRow, ("resnet18.random", "conv_stem")).role = "stem"
    for network, layer, field in (
        ("resnet18.random", "blocks.0.1", "layer"),
        ("none.here", "", "of-network"),
        (NETWORK, "none", "layer"),
    ):
        sent = {**photograph(layer=layer), "network": network}
        answer = client.post("/search", data=sent, headers=BROWSER)
        assert answer.status_code == 422, network
        (_, wrong) = answer.text.split('class="field field-wrong"')
        assert f'<label for="{field}"' in wrong.split("</div>")[0]


@pytest.mark.usefixtures("network")
def test_whoever_may_not_ask_is_told_how(anonymous: FlaskClient) -> None:
    page = read(anonymous)
    assert f"imago excites photo.jpg {NETWORK}/output" in page.text
    assert not any(form.get("method") == "post" for form in page.all("form"))
    assert anonymous.post("/search", data=photograph(), headers=BROWSER).status_code == 401


@pytest.mark.usefixtures("network")
def test_an_answer_that_is_too_old_is_explained(client: FlaskClient) -> None:
    assert "kept for an hour" in read(client, "?photograph=exc_none", 404).text
