"""The page of a map: what it says while there is none, and what it has to say without scripts."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from api.schemas.images.maps import MapLabel
from api.web.filters import by_label
from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from tests.api.of_atlases.test_maps import LAYER, built, make_maps
from tests.api.small_catalog import LABELS, NETWORK

BROWSER = {"Accept": "text/html"}


@pytest.fixture
def atlas(client: FlaskClient, database: Database, store: ObjectStore, network: str) -> str:
    """The address of the page of a public atlas."""
    return built(client, database, store, visibility="public").removeprefix("/v1")


def test_a_map_is_asked_for_on_its_page_and_shown_once_it_is_made(
    client: FlaskClient,
    anonymous: FlaskClient,
    atlas: str,
    database: Database,
    store: ObjectStore,
    settings: Settings,
) -> None:
    page = f"{atlas}/versions/open/map"
    assert "There is no map yet" in anonymous.get(page, headers=BROWSER).text
    asked = client.post(page)
    assert (asked.status_code, asked.headers["Location"]) == (303, page)
    waiting = anonymous.get(page, headers=BROWSER).text
    assert "is being made" in waiting
    assert "data-refresh" in waiting
    assert '<noscript><meta http-equiv="refresh"' in waiting
    make_maps(database, store, settings)
    shown = anonymous.get(page, headers=BROWSER).text
    assert "<h1>Map of " in shown
    assert "12 units of 2 layers" in shown
    assert 'src="/static/js/map.js"' in shown
    assert f'data-unit="/networks/{NETWORK}/layers/{LAYER}/units/987654321?' in shown
    assert any(f">{label}</a>" in shown for label in LABELS), "regions are read without scripts, too"


def test_regions_that_are_called_alike_are_one_row_and_the_largest_is_first() -> None:
    regions = [
        MapLabel(label="kite", x=0.1, y=0.1, units=4, of=9),
        MapLabel(label="jay", x=0.2, y=0.1, units=3, of=5),
        MapLabel(label="jay", x=0.9, y=0.9, units=2, of=7),
    ]
    assert by_label(regions) == [
        {"label": "jay", "units": 5, "of": 12},
        {"label": "kite", "units": 4, "of": 9},
    ]


def test_a_region_of_a_class_without_a_name_is_called_by_its_number_and_leads_to_no_search(
    anonymous: FlaskClient,
    client: FlaskClient,
    atlas: str,
    database: Database,
    store: ObjectStore,
    settings: Settings,
) -> None:
    with database.session() as session:
        session.execute(text("UPDATE picture_labels SET label = '17'"))
    page = f"{atlas}/versions/open/map"
    client.post(page)
    make_maps(database, store, settings)
    shown = anonymous.get(page, headers=BROWSER).text
    assert '<th scope="row">class 17</th>' in shown
    assert "q=17" not in shown


def test_a_private_map_has_no_page_for_others(
    client: FlaskClient, anonymous: FlaskClient, database: Database, store: ObjectStore, network: str
) -> None:
    page = f"{built(client, database, store)}/versions/open/map".removeprefix("/v1")
    assert client.get(page, headers=BROWSER).status_code == 200
    assert anonymous.get(page, headers=BROWSER).status_code == 404
    assert anonymous.post(page, headers=BROWSER).status_code == 401
