"""Which atlas the pages of a network show to somebody who names none."""

import pytest
from flask.testing import FlaskClient

from services.base.database import Database
from services.base.storage import ObjectStore
from tests.api.resources.test_atlases import body
from tests.api.resources.test_compare import LAYER, build
from tests.api.small_catalog import NETWORK


@pytest.mark.usefixtures("network")
def test_what_is_being_tried_out_does_not_take_the_place_of_what_was_published(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    layer = f"/networks/{NETWORK}/layers/{LAYER}"
    tried = client.post("/v1/atlases", json=body(name="tried")).get_json()["id"]
    assert f"atlas={tried}%40open" in client.get(layer).text
    published = build(client, database, store)
    client.post("/v1/atlases", json=body(name="tried again"))
    page = client.get(layer).text
    assert f"atlas={published}%401" in page
    assert f"/units/0?atlas={tried}" not in page
    card = client.get("/networks").text
    assert f'href="/networks/{NETWORK}?' not in card
    assert f"/units/0?atlas={published}%401" in card
