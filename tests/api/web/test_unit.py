"""The page of a unit."""

import array
import re
import struct
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from api.web.pages.units.traces import numbers, thinned
from services.base.database import Database
from services.base.storage import ObjectStore
from services.catalog.tables import LayerRow
from services.queue import batches
from services.queue.batches import Failure
from tests.api.conftest import Start
from tests.api.small_catalog import NETWORK, finish_all, job_body
from tests.api.web.browsing import BROWSER, PageRead

OUTPUT = f"/networks/{NETWORK}/layers/classifier/units"
HIDDEN = f"/networks/{NETWORK}/layers/blocks.0.1/units"


def read(client: FlaskClient, path: str, status: int = 200) -> PageRead:
    answer = client.get(path, headers=BROWSER)
    assert answer.status_code == status, answer.text
    return PageRead(answer.text)


def made(
    client: FlaskClient,
    database: Database,
    store: ObjectStore,
    units: str = "3",
    layer: str = "output",
    **more: object,
) -> list[str]:
    """The digests of pictures that are asked for and made."""
    job = client.post("/v1/jobs", json=job_body(units, layer, **more)).get_json()
    finish_all(database, store, crop=True)
    items = client.get(job["links"]["visualizations"]).get_json()["data"]
    return [item["digest"] for item in items]


@pytest.mark.usefixtures("network")
def test_a_unit_without_a_picture_says_so_and_offers_to_have_one_made(client: FlaskClient) -> None:
    page = read(client, f"{HIDDEN}/7")
    assert "No picture yet" in page.text
    assert page.pictures == []
    assert any(form.get("method") == "post" for form in page.all("form"))
    assert f"{HIDDEN}/6?atlas=any" not in page.links
    assert {f"{HIDDEN}/6", f"{HIDDEN}/8"} <= set(page.links)


@pytest.mark.usefixtures("network")
def test_whoever_may_not_submit_is_told_how_to_ask_for_a_picture(anonymous: FlaskClient) -> None:
    page = read(anonymous, f"{HIDDEN}/7")
    assert not any(form.get("method") == "post" for form in page.all("form"))
    assert f"imago submit {NETWORK}/blocks.0.1/7" in page.text
    assert "may submit jobs" in page.text
    assert anonymous.post(f"{HIDDEN}/7", data={}, headers=BROWSER).status_code == 401


@pytest.mark.usefixtures("network")
def test_a_unit_shows_its_picture_with_all_that_is_known_of_it(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    (digest,) = made(client, database, store, units="3")
    page = read(client, f"{OUTPUT}/3")
    assert "class 3" in page.text
    assert f"/v1/visualizations/{digest}/image.png" in page.pictures
    assert f"/v1/visualizations/{digest}/image.png?view=crop" in page.pictures
    assert "75 %" in page.text.replace("\u00a0", " ")
    assert f"/search?q=class+3&network={NETWORK}" in page.links
    assert digest in page.text
    assert "Learning rate" in page.text
    assert page.text.index("Units that want") < page.text.index("No photographs have been scanned")
    (card,) = (meta["content"] for meta in page.all("meta") if meta.get("property") == "og:image")
    assert client.get(urlsplit(card).path, buffered=True).mimetype == "image/jpeg"
    for picture in page.pictures:
        assert client.get(picture, buffered=True).status_code == 200
    assert all("width" in image and "height" in image for image in page.all("img"))
    assert not re.search(r"<[^>]*\s(style|on[a-z]+)=", page.html)


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize(
    ("field", "of_layer", "of_unit"),
    [
        (19, "each sees 19\u00a0px of 32", "19 px"),
        (32, "each sees the whole picture", "all of it"),
        (45, "each sees the whole picture", "all of it"),
    ],
)
def test_all_pages_say_the_same_of_how_much_a_unit_sees(
    client: FlaskClient, database: Database, store: ObjectStore, field: int, of_layer: str, of_unit: str
) -> None:
    """A field that is larger than the network's input, which is 32 pixels wide, is all of it."""
    with database.session() as session:
        session.get_one(LayerRow, (NETWORK, "blocks.0.1")).receptive_field = field
    job = client.post("/v1/jobs", json=job_body("3", "blocks.0.1")).get_json()
    finish_all(database, store, crop=field < 32)
    assert client.get(job["links"]["self"]).get_json()["state"] == "succeeded"
    assert of_layer in client.get(f"/networks/{NETWORK}/layers/blocks.0.1").text
    stack = client.get(f"/networks/{NETWORK}").text
    assert ("sees 19 of 32 pixels" in stack) == (field < 32)
    page = read(client, f"{HIDDEN}/3")
    assert f"Receptive field {of_unit}" in page.text
    assert ("the frame is what the unit sees" in page.text) == (field < 32)
    assert (f"sees {field} pixels of the network's input" in page.text) == (field < 32)


@pytest.mark.usefixtures("network")
def test_parameters_that_are_no_defaults_are_named_first(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    recipe = {"technique": "dgn-am", "parameters": {"zoom": 1.5}}
    made(client, database, store, units="3", recipe=recipe)
    text = read(client, f"{OUTPUT}/3").text
    others = text.index("parameters with their defaults")
    assert text.index("Zoom 1.5") < others < text.index("Momentum 0")


@pytest.mark.usefixtures("network")
def test_each_facet_has_an_address_of_its_own(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    digests = made(client, database, store, units="3", seeds=[0, 1, 5])
    page = read(client, f"{OUTPUT}/3")
    assert "3 facets" in page.text
    for seed, digest in zip([0, 1, 5], digests, strict=True):
        assert f"{OUTPUT}/3?facet={seed}" in page.links
        shown = read(client, f"{OUTPUT}/3?facet={seed}")
        assert f"/v1/visualizations/{digest}/image.png" in shown.pictures
    assert "There are: 0, 1, 5." in read(client, f"{OUTPUT}/3?facet=2", 404).text
    read(client, f"{OUTPUT}/3?facet=x", 422)


@pytest.mark.usefixtures("network")
def test_pictures_by_two_recipes_are_compared_side_by_side(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    (one,) = made(client, database, store, units="3")
    recipe = {"technique": "dgn-am", "parameters": {"steps": 7}}
    (other,) = made(client, database, store, units="3", recipe=recipe)
    for large, rest in ((other, one), (one, other)):
        page = read(client, f"{OUTPUT}/3?picture={large}")
        assert "By other recipes" in page.text
        (beside,) = [link for link in page.links if "beside=" in link]
        assert beside.endswith(rest)
    compared = read(client, beside)
    for digest in (one, other):
        assert f"/v1/visualizations/{digest}/image.png" in compared.pictures
    assert "Steps 20 7" in compared.text
    assert "Learning rate" not in compared.text[: compared.text.index("How it was made")]


@pytest.mark.usefixtures("network")
def test_a_picture_of_another_unit_is_not_shown(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    (digest,) = made(client, database, store, units="3")
    read(client, f"{OUTPUT}/4?picture={digest}", 422)
    read(client, f"{OUTPUT}/4?beside={'0' * 64}", 404)
    read(client, f"{OUTPUT}/10", 404)
    read(client, f"/networks/{NETWORK}/layers/none/units/0", 404)


@pytest.mark.usefixtures("network")
def test_a_failure_is_explained_and_escaped(client: FlaskClient, database: Database) -> None:
    client.post("/v1/jobs", json=job_body("3"))
    waiting = read(client, f"{OUTPUT}/3")
    assert "waits for a worker" in waiting.text
    assert any(meta.get("http-equiv") == "refresh" for meta in waiting.all("meta"))
    with database.session() as session:
        claim = batches.claim(session, "tester", limit=1, lease_seconds=60)
        assert claim is not None
        failure = Failure(claim.items[0].digest, "broken", "<script>alert(1)</script>", retryable=False)
        batches.conclude(session, claim.lease_id, failures=[failure])
    page = read(client, f"{OUTPUT}/3")
    assert "<script>alert(1)</script>" in page.text
    assert "&lt;script&gt;alert(1)" in page.html
    assert not any(meta.get("http-equiv") == "refresh" for meta in page.all("meta"))


@pytest.mark.usefixtures("network")
def test_the_form_submits_a_job_and_shows_what_becomes_of_it_beside_what_was_there(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    (known,) = made(client, database, store, units="3")
    form = {"technique": "dgn-am", "seed": "4", "parameters.steps": "9", "parameters.zoom": "1.25"}
    answer = client.post(f"{OUTPUT}/3", data=form, headers=BROWSER)
    assert answer.status_code == 303
    coming = read(client, answer.location)
    assert f"/v1/visualizations/{known}/image.png" in coming.pictures
    assert any(element.get("data-refresh") for element in coming.all("div"))
    (link,) = (link for link in coming.links if link.startswith("/jobs/job_"))
    finish_all(database, store)
    there = read(client, answer.location)
    assert not any(element.get("data-refresh") for element in there.all("div"))
    assert "What differs" in there.text
    job = client.get(f"/v1{link}").get_json()
    assert job["request"]["seeds"] == [4]
    parameters = job["request"]["recipe"]["parameters"]
    assert (parameters["steps"], parameters["zoom"]) == (9, 1.25)
    again = client.post(f"{OUTPUT}/3", data=form, headers=BROWSER)
    assert again.status_code == 303
    assert "beside=" in again.location
    assert f"/v1/visualizations/{known}/image.png" in read(client, again.location).pictures


@pytest.mark.usefixtures("network")
def test_a_first_picture_is_waited_for_on_the_unit_s_page(client: FlaskClient) -> None:
    answer = client.post(
        f"{OUTPUT}/3", data={"technique": "dgn-am", "parameters.steps": "9"}, headers=BROWSER
    )
    page = read(client, answer.location)
    assert "waits for a worker" in page.text
    assert any(link.startswith("/jobs/job_") for link in page.links)


@pytest.mark.usefixtures("network")
def test_wrong_values_come_back_beside_their_fields(client: FlaskClient, database: Database) -> None:
    form = {"technique": "dgn-am", "seed": "-1", "parameters.steps": "many", "parameters.zoom": "<b>"}
    answer = client.post(f"{OUTPUT}/3", data=form, headers=BROWSER)
    assert answer.status_code == 422
    page = PageRead(answer.text)
    fields = {field["name"]: field for field in page.all("input") if "name" in field}
    assert fields["parameters.zoom"]["value"] == "<b>"
    assert fields["parameters.steps"]["value"] == "many"
    assert answer.text.count("field-wrong") >= 1
    alone = client.post(f"{OUTPUT}/3", data={**form, "seed": "1"}, headers=BROWSER)
    assert alone.text.count("field-wrong") == 2
    assert "must be a whole number" in alone.text or "valid integer" in alone.text


@pytest.mark.usefixtures("network")
def test_every_technique_has_a_form_of_its_own(client: FlaskClient) -> None:
    page = read(client, f"{OUTPUT}/3?technique=fourier")
    names = {field.get("name") for field in page.all("input")}
    assert "parameters.rotation" in names
    assert "parameters.zoom" not in names
    read(client, f"{OUTPUT}/3?technique=none", 404)


@pytest.mark.usefixtures("network")
def test_the_link_to_be_copied_shows_the_same_picture_for_good(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    (one,) = made(client, database, store, units="3")
    link = urlsplit(read(client, f"{OUTPUT}/3").copied("Link"))
    assert parse_qs(link.query) == {"atlas": ["any"], "picture": [one]}
    made(client, database, store, units="3", seeds=[1, 2, 3, 4])
    later = read(client, f"{link.path}?{link.query}")
    assert f"/v1/visualizations/{one}/image.png" in later.pictures
    assert urlsplit(later.copied("Link")).query == link.query


@pytest.mark.usefixtures("network")
def test_others_may_frame_the_small_page_and_no_other(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    (digest,) = made(client, database, store, units="3")
    frame = read(client, f"{OUTPUT}/3").copied("Embed")
    found = re.search(r'src="http://[^/]+([^"]+)"', frame)
    assert found is not None
    embedded = client.get(found[1], headers=BROWSER)
    policy = embedded.headers["Content-Security-Policy"]
    assert "frame-ancestors *" in policy
    assert "default-src 'none'" in policy
    page = PageRead(embedded.text)
    assert page.pictures == [f"/v1/visualizations/{digest}/image.png"]
    assert not {"form", "script", "button"} & {tag for tag, _ in page.elements}
    whole = client.get(f"{OUTPUT}/3", headers=BROWSER)
    assert "frame-ancestors 'none'" in whole.headers["Content-Security-Policy"]


@pytest.mark.usefixtures("network")
def test_neighbours_are_looked_for_where_one_says(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    made(client, database, store, units="3-5")
    made(client, database, store, units="3", layer="blocks.0.1")
    for within, hidden in (("layer", False), ("network", True), ("all", True)):
        page = read(client, f"{OUTPUT}/3?within={within}")
        neighbours = [urlsplit(link).path for link in page.links if "near=" not in link]
        assert f"{OUTPUT}/4" in neighbours
        assert (f"{HIDDEN}/3" in neighbours) is hidden
        assert f"class 4 {'classifier/4' if hidden else 'unit 4'} " in page.text
        assert ("3 · class 3 blocks.0.1 " in page.text) is hidden


@pytest.mark.usefixtures("network")
def test_a_picture_of_no_activation_is_said_to_be_like_none(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    made(client, database, store, units="3-5")
    with database.session() as session:
        session.execute(text("UPDATE visualizations SET activation = 8e-11 WHERE unit = 3"))
    page = read(client, f"{OUTPUT}/3")
    assert "reaches no activation to speak of" in page.text
    assert f"{OUTPUT}/5" not in [urlsplit(link).path for link in page.links]
    assert "reaches no activation to speak of" in read(client, f"/search?like={NETWORK}/output/3").text


@pytest.mark.usefixtures("network")
def test_another_layer_is_entered_at_the_nearest_unit(client: FlaskClient) -> None:
    answer = client.get(f"{OUTPUT}/250?near=true")
    assert (answer.status_code, answer.location) == (303, f"{OUTPUT}/9")
    assert client.get(f"{HIDDEN}/250?near=true").location == f"{HIDDEN}/250"


def test_nothing_is_shown_to_who_may_not_read(start: Start, network: str) -> None:
    closed = start(public_read=False).test_client()
    assert closed.get(f"/networks/{network}/layers/output/units/3", headers=BROWSER).status_code in (303, 401)


def npy(values: list[float], kind: str = "<f4") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({len(values)},), }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + array.array("f", values).tobytes()


def test_a_trace_is_read_as_numpy_wrote_it() -> None:
    assert numbers(npy([1.5, -2.0, float("inf"), float("nan")])) == [1.5, -2.0]
    assert numbers(npy([1.0], kind="<f8")) == ()
    for wrong in (b"", b"trace of something", npy([1.0, 2.0])[:-3], npy([1.0])[:20]):
        assert numbers(wrong) in ((), [1.0])


def test_a_long_trace_keeps_its_ends() -> None:
    values = [float(step) for step in range(2000)]
    kept = thinned(values, 100)
    assert (len(kept), kept[0], kept[-1]) == (100, 0.0, 1999.0)
    assert thinned(values[:50], 100) == values[:50]


@pytest.mark.usefixtures("network")
def test_of_more_pictures_than_are_looked_at_the_best_is_shown_and_all_are_counted(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    # What stands for a worker gives the picture of seed n the score −1 − n.
    (best,) = made(client, database, store, units="3")
    for first in (1, 17, 33, 49):
        made(client, database, store, units="3", seeds=list(range(first, first + 16)))
    page = read(client, f"{OUTPUT}/3")
    assert f"/v1/visualizations/{best}/image.png" in page.pictures
    assert "50 of 65 facets" in page.text
    last = read(client, f"{OUTPUT}/3?facet=64")
    assert "seed 64" in last.text
    read(client, f"{OUTPUT}/3?facet=65", 404)
