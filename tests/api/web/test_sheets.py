"""The pages of sheets and posters: what they say while there is none, where cells lead."""

import html
import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from tests.api.resources.test_sheets import LAYER, atlas, make_sheets, published
from tests.api.small_catalog import NETWORK, give_up

BROWSER = {"Accept": "text/html"}
PAGES = (f"layers/{LAYER}/sheet", "poster")
__all__ = ["atlas"]


def told(text: str) -> Any:
    """What the script reads."""
    found = re.search(r'data-sheet="([^"]+)"', text)
    assert found is not None
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize("page", PAGES)
def test_a_sheet_is_waited_for_and_then_one_moves_about_in_it(
    anonymous: FlaskClient, atlas: str, database: Database, store: ObjectStore, settings: Settings, page: str
) -> None:
    address = f"{atlas.removeprefix('/v1')}/{page}"
    waiting = anonymous.get(address, headers=BROWSER)
    assert waiting.status_code == 200
    assert "is being made" in waiting.text
    assert "data-refresh" in waiting.text
    assert '<noscript><meta http-equiv="refresh"' in waiting.text
    make_sheets(database, store, settings)
    there = anonymous.get(address, headers=BROWSER)
    assert there.status_code == 200
    assert "an empty cell is one without a picture" not in there.text, "each unit has one"
    data = told(there.text)
    (strip,) = data["strips"]
    assert strip == [LAYER, 0, int(page == "poster"), 20, 0, 1]
    base = f"{data['tiles']}{data['top']}"
    assert anonymous.get(f"{base}/0_0.jpg").mimetype == "image/jpeg"
    unit = data["unit_page"].replace(data["layer_stands_in"], LAYER)
    assert (
        anonymous.get(unit.replace(str(data["number_stands_in"]), "19"), headers=BROWSER).status_code == 200
    )
    plain = re.search(r'<noscript>.*?<img[^>]* src="([^"]+)"', there.text, re.DOTALL)
    assert plain is not None
    assert anonymous.get(plain[1]).status_code == 200, "without scripts there is the whole picture"


def test_a_sheet_that_workers_have_given_up_is_not_waited_for(
    anonymous: FlaskClient, atlas: str, database: Database
) -> None:
    address = f"{atlas.removeprefix('/v1')}/poster"
    assert "data-refresh" in anonymous.get(address, headers=BROWSER).text
    give_up(database, "sheet")
    given_up = anonymous.get(address, headers=BROWSER).text
    assert "could not be made" in given_up
    assert "no luck" in given_up
    assert "refresh" not in given_up
    assert "is being made" not in given_up


def test_a_cell_leads_to_the_unit_that_it_shows_also_where_units_were_chosen_by_chance(
    client: FlaskClient, anonymous: FlaskClient, database: Database, store: ObjectStore, network: str
) -> None:
    version = published(client, database, store, "sample:5@1")
    units = [unit["unit"] for unit in anonymous.get(f"{version}/layers/{LAYER}/units").get_json()["data"]]
    sheet = f"{version.removeprefix('/v1')}/{PAGES[0]}"
    for cell, unit in enumerate(units):
        led = anonymous.get(f"{sheet}/{cell}")
        assert led.status_code == 303
        address = led.headers["Location"]
        assert address.startswith(f"/networks/{NETWORK}/layers/{LAYER}/units/{unit}?atlas=atl_")
    for beyond in (len(units), 2**63, 10**30):
        assert anonymous.get(f"{sheet}/{beyond}", headers=BROWSER).status_code == 404


def test_the_pages_of_layers_and_atlases_lead_to_sheets(
    anonymous: FlaskClient, atlas: str, database: Database, store: ObjectStore, settings: Settings
) -> None:
    version = atlas.removeprefix("/v1")
    make_sheets(database, store, settings)
    of_atlas = anonymous.get(version.partition("/versions")[0], headers=BROWSER).text
    of_layer = anonymous.get(f"/networks/{NETWORK}/layers/{LAYER}", headers=BROWSER).text
    for text, page in ((of_atlas, PAGES[0]), (of_atlas, PAGES[1]), (of_layer, PAGES[0])):
        assert f'href="{version}/{page}"' in text
