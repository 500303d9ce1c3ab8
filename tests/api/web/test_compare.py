"""The page that shows two atlases side by side."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.comparison import comparisons
from tests.api.resources.test_compare import LAYER, build, compare
from tests.api.small_catalog import give_up
from tests.api.web.browsing import PageRead

BROWSER = {"Accept": "text/html"}


@pytest.mark.usefixtures("network")
def test_what_can_be_compared_is_offered(client: FlaskClient, database: Database, store: ObjectStore) -> None:
    assert "There are not two atlases" in client.get("/compare").text
    first = build(client, database, store)
    assert f'href="/atlases/{first}"' in client.get("/compare").text, "the one that there is"
    build(client, database, store, name="<i>other</i>", recipe={"parameters": {"steps": 7}})
    offered = client.get("/compare").text
    assert offered.count(f'value="{first}@1"') == 2
    assert f'value="{first}@1" selected' in offered
    assert "&lt;i&gt;other&lt;/i&gt;" in offered


@pytest.mark.usefixtures("network")
def test_a_comparison_shows_how_far_it_is_then_layers_and_pairs(
    client: FlaskClient,
    anonymous: FlaskClient,
    database: Database,
    store: ObjectStore,
    settings: Settings,
) -> None:
    first = build(client, database, store)
    second = build(client, database, store, recipe={"parameters": {"steps": 7}})
    query = {"a": first, "b": second}
    waiting = anonymous.get("/compare", query_string=query).text
    assert "A worker compares them" in waiting
    assert "data-refresh" in waiting
    assert '<noscript><meta http-equiv="refresh"' in waiting
    compare(database, store, settings)
    page = anonymous.get("/compare", query_string=query).text
    assert "data-refresh" not in page
    assert f"<code>{LAYER}</code>" in page
    assert page.count('<li class="pair">') == 12
    assert f"layers/{LAYER}/units/0?atlas={first}%401" in page
    assert f"layers/{LAYER}/units/0?atlas={second}%401" in page
    assert "/v1/compare/sheet.jpg" in page


@pytest.mark.usefixtures("network")
def test_a_comparison_that_nobody_makes_is_not_waited_for(
    client: FlaskClient,
    anonymous: FlaskClient,
    database: Database,
    store: ObjectStore,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = build(client, database, store)
    second = build(client, database, store, recipe={"parameters": {"steps": 7}})
    query = {"a": first, "b": second}
    assert "data-refresh" in anonymous.get("/compare", query_string=query).text
    give_up(database, "compare")
    given_up = anonymous.get("/compare", query_string=query).text
    assert "no luck" in given_up
    assert "workers have given it up" in given_up
    with database.session() as session:
        session.execute(text("UPDATE work SET given_up = false, not_before = now() WHERE kind = 'compare'"))
    compare(database, store, settings)
    monkeypatch.setattr(comparisons, "VERSION", comparisons.VERSION + 1)
    monkeypatch.setattr(comparisons, "MOST_WAITING", 0)
    full = anonymous.get("/compare", query_string=query).text
    assert "Too many comparisons wait" in full
    assert f"<code>{LAYER}</code>" in full
    for page in (given_up, full):
        assert "refresh" not in page
        assert "A worker compares" not in page


@pytest.mark.usefixtures("network")
def test_private_atlases_are_not_compared_for_others(
    client: FlaskClient, anonymous: FlaskClient, database: Database, store: ObjectStore
) -> None:
    first = build(client, database, store)
    second = build(client, database, store, visibility="private", recipe={"parameters": {"steps": 7}})
    query = {"a": first, "b": second}
    assert anonymous.get("/compare", query_string=query, headers=BROWSER).status_code == 404
    assert second not in anonymous.get("/compare").text


@pytest.mark.usefixtures("network")
def test_whatever_one_side_is_the_other_is_another_one(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    older = build(client, database, store)
    newer = build(client, database, store, name="newer", recipe={"parameters": {"steps": 7}})
    # Of an atlas that was published, the open version is no choice by itself.
    of_sides = {
        "": (f"{newer}@1", f"{older}@1"),
        f"a={older}@1": (f"{older}@1", f"{newer}@1"),
        f"a={newer}": (f"{newer}@1", f"{older}@1"),
        f"b={newer}@1": (f"{older}@1", f"{newer}@1"),
        f"a={older}@open": (f"{older}@2", f"{newer}@1"),
    }
    for query, sides in of_sides.items():
        page = PageRead(client.get(f"/compare?{query}", headers=BROWSER).text)
        assert tuple(each["value"] for each in page.all("option") if "selected" in each) == sides, query
        assert "@open" not in page.text
    assert client.get("/compare?a=atl_none", headers=BROWSER).status_code == 404
