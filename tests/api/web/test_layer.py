"""The page of a layer, and the order and the cells of its grid."""

import re
import struct
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from api.context import context
from services.base.database import Database
from services.base.storage import ObjectStore
from services.grids import kept_orders, orders
from services.grids.orders import Wanted
from services.queue import batches
from services.queue.batches import Failure
from tests.api.resources.test_atlases import body
from tests.api.small_catalog import NETWORK, finish_all, job_body, with_key
from tests.api.web.browsing import PageRead, scripts_within
from tests.found_exemplars import find_exemplars
from tests.integration.atlases.building import carry_out

LAYER = "blocks.0.1"
PAGE = f"/networks/{NETWORK}/layers/{LAYER}"
GRID = f"/v1{PAGE}/grid"

pytestmark = pytest.mark.usefixtures("network")


def build(client: FlaskClient, database: Database, **asked: Any) -> str:
    """An atlas whose pictures wait; its id."""
    made: dict[str, Any] = client.post("/v1/atlases", json=body(**asked)).get_json()
    carry_out(database, made["id"])
    return str(made["id"])


@pytest.fixture
def atlas(client: FlaskClient, database: Database, store: ObjectStore) -> str:
    """A private atlas of 20 units with two facets, all done and published."""
    id = build(client, database, facets=2)
    finish_all(database, store)
    client.post(f"/v1/atlases/{id}/publish")
    return id


def order(client: FlaskClient, **asked: object) -> list[int]:
    answer = client.get(f"{GRID}/order", query_string=asked)
    assert answer.status_code == 200, answer.text
    assert answer.mimetype == "application/octet-stream"
    return list(struct.unpack(f"<{len(answer.data) // 4}I", answer.data))


def units_on(page: str) -> list[int]:
    """The units that the cells of a page lead to, in their order."""
    paths = (urlsplit(link).path for link in PageRead(page).addresses)
    return [int(path.rsplit("/", 1)[1]) for path in paths if "/units/" in path]


def test_a_page_asks_at_once_for_all_that_its_script_imports(client: FlaskClient, atlas: str) -> None:
    shown = client.get(PAGE, query_string={"atlas": atlas}).text
    asked = re.findall(r'<link rel="modulepreload" href="/static/js/([^"]*)">', shown)
    assert asked == ["grid.js", "grid-cells.js", "grid-rows.js", "figures.js"]


def test_the_order_is_that_of_what_is_wanted(client: FlaskClient, atlas: str) -> None:
    assert order(client, atlas=atlas) == list(range(20))
    # What stands for a worker gives unit n the activation n + 1, and has class n % 10 seen in its picture.
    assert order(client, atlas=atlas, by="activation") == list(range(19, -1, -1))
    by_label = order(client, atlas=atlas, by="label")
    assert [unit % 10 for unit in by_label] == sorted(unit % 10 for unit in range(20))
    assert order(client, atlas=atlas, label="class 3") == [3, 13]
    assert order(client, atlas=atlas, label="class 3", by="activation") == [13, 3]
    assert order(client, atlas=atlas, state="unreachable") == []


def test_units_whose_pictures_look_alike_come_first(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    atlas = build(client, database)
    finish_all(database, store)
    like = order(client, atlas=atlas, like=7)
    assert like[0] == 7
    assert sorted(like) == list(range(20))
    nearest = client.get(f"/v1{PAGE}/units/7/neighbours?limit=19").get_json()["data"]
    assert like[1:] == [found["unit"] for found in nearest]


def test_without_an_atlas_every_unit_is_there_and_those_with_pictures_come_first(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    client.post("/v1/jobs", json=job_body("5,9", layer=LAYER))
    finish_all(database, store)
    assert order(client) == list(range(300))
    assert order(client, by="activation")[:3] == [9, 5, 0]
    assert order(client, state="done") == [5, 9]
    assert len(order(client, state="waiting")) == 298
    assert client.get(f"{GRID}/order?facet=1").status_code == 422


@pytest.mark.parametrize(
    ("asked", "status", "pointer"),
    [
        ({"by": "colour"}, 422, "/by"),
        ({"facet": 2}, 422, "/facet"),
        ({"by": "percentile"}, 422, "/by"),
        ({"state": "dead"}, 422, "/state"),
        ({"label": "no such class"}, 404, None),
        ({"like": 299}, 404, None),
        ({"version": "7"}, 404, None),
    ],
)
def test_an_order_that_is_not_there_is_refused(
    client: FlaskClient, atlas: str, asked: dict[str, Any], status: int, pointer: str | None
) -> None:
    answer = client.get(f"{GRID}/order", query_string={"atlas": atlas, **asked})
    assert answer.status_code == status
    if pointer:
        assert [error["pointer"] for error in answer.get_json()["errors"]] == [pointer]


def test_photographs_say_where_pictures_stand_and_which_units_are_dead(
    client: FlaskClient, database: Database, store: ObjectStore, atlas: str
) -> None:
    client.post("/v1/scans", json={"network": NETWORK, "sources": ["birds"], "layers": LAYER})
    find_exemplars(database, store, LAYER, range(20))
    with database.session() as session:
        # Unit 4 is excited by none; the photographs excite unit 6 so much that its picture is nothing.
        session.execute(text("UPDATE unit_statistics SET non_zero = 0 WHERE unit = 4"))
        session.execute(
            text("UPDATE unit_statistics SET quantiles = ARRAY(SELECT x * 100 FROM unnest(quantiles) x)")
        )
        most = "ARRAY(SELECT 100 FROM unnest(quantiles))"
        session.execute(text(f"UPDATE unit_statistics SET quantiles = {most} WHERE unit = 6"))
    by_percentile = order(client, atlas=atlas, by="percentile")
    assert by_percentile == [*(unit for unit in range(19, -1, -1) if unit != 6), 6]
    assert order(client, atlas=atlas, state="dead") == [4]
    shown = client.get(f"{GRID}/cells", query_string={"atlas": atlas, "units": "3,4,6"}).get_json()["data"]
    assert [(cell["unit"], cell["dead"]) for cell in shown] == [(3, False), (4, True), (6, False)]
    assert shown[0]["percentile"] == pytest.approx(100 * 4 / 2000, rel=0.2)
    assert shown[2]["percentile"] == 0
    page = client.get(PAGE, query_string={"atlas": f"{atlas}@1", "order": "percentile"}).text
    assert units_on(page) == by_percentile
    assert "1 dead" in page


def test_what_has_ended_since_changes_a_kept_order(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    id = build(client, database)
    assert order(client, atlas=id, state="done") == []
    assert order(client, atlas=id, by="activation") == list(range(20))
    finish_all(database, store)
    assert order(client, atlas=id, state="done") == list(range(20))
    assert order(client, atlas=id, by="activation") == list(range(19, -1, -1))


def test_nobody_waits_for_the_order_of_a_large_layer_that_is_being_built(
    app: Flask,
    client: FlaskClient,
    database: Database,
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept_orders, "KEPT_FROM", 1)
    computed: list[Wanted] = []
    monkeypatch.setattr(orders, "order", _noted(computed, orders.order))
    build(client, database)
    finish_all(database, store)
    by_index, strongest = list(range(20)), list(range(19, -1, -1))
    assert units_on(client.get(PAGE).text) == by_index, "the first look is shown what is there"
    context(app).aside.wait()
    assert len(computed) == 1
    assert units_on(client.get(PAGE).text) == strongest
    assert units_on(client.get(f"{PAGE}?order=activation").text) == strongest
    with database.session() as session:
        session.execute(text("UPDATE grid_orders SET progress = '', made_at = now() - interval '10 minutes'"))
    assert units_on(client.get(PAGE).text) == strongest
    context(app).aside.wait()
    assert len(computed) == 2, "what is due is computed after it was shown, once"
    assert units_on(client.get(f"{PAGE}?order=label").text) != strongest, "who asks for an order gets it"


def _noted(calls: list[Wanted], order: Callable[..., Any]) -> Callable[..., Any]:
    """Notes what was sorted, which units by their number are not."""

    def noted(session: object, subject: object, wanted: Wanted) -> Any:
        if not wanted.is_plain:
            calls.append(wanted)
        return order(session, subject, wanted)

    return noted


def test_cells_say_what_there_is_of_each_unit(client: FlaskClient, atlas: str) -> None:
    answer = client.get(f"{GRID}/cells", query_string={"atlas": atlas, "units": "3,25", "facet": 1})
    assert answer.headers["Cache-Control"].startswith("private")
    done, missing = answer.get_json()["data"]
    assert (done["unit"], done["state"], done["activation"], done["side"]) == (3, "done", 4.0, 2)
    assert done["seen"] == {"label": "class 3", "probability": 0.75}
    assert client.get(done["links"]["image"], buffered=True).status_code == 200
    assert (missing["unit"], missing["state"], missing["links"]["image"]) == (25, None, None)
    for wrong in ("0-299", "300", "x", "0-5:0"):
        refused = client.get(f"{GRID}/cells?units={wrong}")
        assert (refused.status_code, refused.get_json()["errors"][0]["pointer"]) == (422, "/units")


def test_a_private_atlas_is_not_there_for_others(
    app: Flask, database: Database, anonymous: FlaskClient, client: FlaskClient, atlas: str
) -> None:
    stranger = with_key(app, database, "read", "jobs:write")
    order(client, atlas=atlas, by="activation")  # kept for whoever may see it
    for other in (anonymous, stranger):
        assert other.get(f"{GRID}/order?atlas={atlas}&by=activation").status_code == 404
        assert other.get(f"{GRID}/cells?atlas={atlas}&units=0").status_code == 404
        assert other.get(f"{PAGE}?atlas={atlas}@1").status_code == 404
        plain = other.get(PAGE).text
        assert atlas not in plain
    assert f"{atlas}@1" in client.get(PAGE).text


def test_the_page_shows_the_units_of_the_newest_atlas_with_what_is_known_of_them(
    client: FlaskClient, atlas: str
) -> None:
    answer = client.get(PAGE)
    page = PageRead(answer.text)
    assert units_on(answer.text) == list(range(19, -1, -1))
    pictures = [link for link in page.addresses if link.endswith("/image.webp?size=128")]
    assert len(set(pictures)) == 20
    assert client.get(pictures[0], buffered=True).status_code == 200
    for said in ("300 channels", "8 × 8 map", "each sees 19\u00a0px of 32", "20 of them chosen"):
        assert said in answer.text
    for repeated in ("of 40 pictures", "20 units"):
        assert repeated not in answer.text
    assert "class 9" in answer.text
    assert 'class="pixels"' in answer.text, "pictures of two pixels keep them as squares"
    assert f'<option value="{atlas}@1" selected>' in answer.text
    assert scripts_within(answer.text) == ""
    assert units_on(client.get(f"{PAGE}?order=index&label=class+3").text) == [3, 13]
    assert units_on(client.get(f"{PAGE}?like=7").text)[0] == 7


def test_a_picture_is_called_by_what_its_network_clearly_sees_alone(
    client: FlaskClient, database: Database, atlas: str
) -> None:
    with database.session() as session:
        unclear = "'[[9, 0.09]]'::jsonb"
        session.execute(text(f"UPDATE visualizations SET predictions = {unclear} WHERE unit = 9"))
    page = client.get(PAGE).text
    named = re.findall(r'<b>(\d+)</b>.*?<span class="caption quiet">([^<]*)</span>', page, re.DOTALL)
    assert dict(named)["9"] == "—"
    assert dict(named)["19"] == "class 9"
    assert "activation and what the network sees, from 10\u00a0% on" in page
    assert 'data-clear-from="0.1"' in page, "the script does the same"


def test_a_cell_without_a_picture_says_why_and_escapes_it(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    client.post("/v1/jobs", json=job_body("0-1", layer=LAYER))
    with database.session() as session:
        claim = batches.claim(session, "tester", limit=1, lease_seconds=60)
        assert claim is not None
        failure = Failure(claim.items[0].digest, "broken", "<script>alert(1)</script>", retryable=False)
        batches.conclude(session, claim.lease_id, failures=[failure])
    page = client.get(f"{PAGE}?order=index").text
    assert "&lt;script&gt;" in page
    assert scripts_within(page) == ""
    assert ("waiting" in page, "not asked for yet" in page) == (True, True)


def test_a_large_layer_goes_on_on_the_next_page_and_back(client: FlaskClient) -> None:
    first = client.get(f"{PAGE}?order=index").text
    assert units_on(first) == list(range(120))
    (following,) = [link for link in PageRead(first).addresses if "from=" in link]
    second = client.get(following).text
    assert units_on(second) == list(range(120, 240))
    back = re.search(r'rel="prev" href="([^"]+)"', second)
    assert back is not None
    assert units_on(client.get(unescape(back[1])).text) == list(range(120))
    # Whoever asks for more than there is gets the last page.
    assert units_on(client.get(f"{PAGE}?order=index&from=99999").text) == list(range(240, 300))


def test_what_is_not_there_is_said_with_what_to_do_next(client: FlaskClient, atlas: str) -> None:
    nothing = client.get(f"{PAGE}?label=none+such").text
    assert "Nothing is shown" in nothing
    assert "Show all units" in nothing
    assert "No such unit" in client.get(f"{PAGE}?state=failed").text
    other = client.get(f"/networks/{NETWORK}/layers/conv_stem").text
    assert "Not in this atlas" in other
    assert "imago build" in other
    browser = {"Accept": "text/html"}
    for path in (f"/networks/{NETWORK}/layers/none", "/networks/none/layers/none"):
        missing = client.get(path, headers=browser)
        assert (missing.status_code, missing.mimetype) == (404, "text/html")
    for wrong in ("order=colour", "state=none", "density=huge", "from=-1", "like=x"):
        assert client.get(f"{PAGE}?{wrong}", headers=browser).status_code == 422
