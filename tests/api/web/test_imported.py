"""Pages of an atlas whose layers no inspection has found here: it was imported, or its network changed."""

import json
import re
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from api.openapi import examples
from services.base.database import Database
from services.base.storage import ObjectStore
from tests.api.resources.test_atlases import body
from tests.api.small_catalog import NETWORK, finish_all, job_body, with_key
from tests.api.web.browsing import BROWSER, PageRead
from tests.integration.atlases.building import carry_out


def read(client: FlaskClient, path: str) -> PageRead:
    answer = client.get(path, headers=BROWSER)
    assert answer.status_code == 200, (path, answer.text)
    return PageRead(answer.text)


def links_of(page: PageRead) -> set[str]:
    """Where it leads to networks, layers, units and atlases, pages alone."""
    return {
        link
        for link in page.links
        if link.startswith(("/networks/", "/atlases/")) and urlsplit(link).path != "/atlases/new"
    }


@pytest.fixture
def imported(app: Flask, database: Database) -> tuple[FlaskClient, str, str]:
    """Who imported an atlas of a network that is not here, its network and its id."""
    admin = with_key(app, database, "admin", "read", "jobs:write")
    manifest = examples.manifest()
    begun = admin.post("/v1/atlases:import", json=manifest)
    assert begun.status_code in (200, 201), begun.text
    id = begun.get_json()["id"]
    sent = admin.post(f"/v1/atlases/{id}/entries", json=examples.entries())
    assert sent.status_code == 200, sent.text
    return admin, str(manifest["network"]), str(id)


def test_every_link_of_an_imported_atlas_works_while_its_network_is_not_inspected(
    imported: tuple[FlaskClient, str, str],
) -> None:
    client, network, atlas = imported
    seen: set[str] = set()
    coming = {f"/atlases/{atlas}", f"/networks/{network}"}
    while coming:
        path = coming.pop()
        seen.add(path)
        coming |= links_of(read(client, path)) - seen
        assert len(seen) < 60, seen
    paths = {urlsplit(path).path for path in seen}
    assert any("/units/" in path for path in paths)
    of_network = read(client, f"/networks/{network}")
    assert "A worker is to look at it" in of_network.text
    assert any("/layers/" in link for link in of_network.links)
    assert not any("/atlases/new" in link for link in of_network.links)
    # Without the atlas there is nothing to be shown but where there is something.
    bare = read(client, f"/networks/{network}?atlas=any")
    assert f"/networks/{network}?atlas={atlas}%401" in bare.links


def test_an_imported_unit_is_shown_with_its_picture_and_what_is_wrong_with_asking_for_another(
    imported: tuple[FlaskClient, str, str],
) -> None:
    client, network, atlas = imported
    (unit,) = {link for link in read(client, f"/atlases/{atlas}").links if "/units/" in link}
    page = read(client, unit)
    assert any(picture.endswith("/image.png") for picture in page.pictures)
    assert 'class="rail"' in page.html
    refused = client.post(unit, data={}, headers=BROWSER)
    assert refused.status_code == 422
    assert network in refused.text


def test_the_links_of_a_picture_last_where_no_inspection_has_found_its_layer(
    imported: tuple[FlaskClient, str, str],
) -> None:
    client, network, atlas = imported
    assert client.get(f"/v1/atlases/{atlas}").get_json()["visibility"] == "private"
    (unit,) = {link for link in read(client, f"/atlases/{atlas}").links if "/units/" in link}
    shared = read(client, unit).copied("Link").removeprefix("http://localhost")
    assert "atlas=any&picture=" in shared
    page = read(client, shared)
    assert any(picture.endswith("/image.png") for picture in page.pictures)
    assert read(client, f"{shared}&embed=true").pictures
    for link in links_of(page):
        assert atlas not in link
        read(client, link)
    (data,) = (link["href"] for link in page.all("link") if link.get("type") == "application/json")
    assert client.get(data).status_code == 200
    refused = client.post(shared, data={}, headers=BROWSER)
    assert (refused.status_code, network in refused.text) == (422, True)


def test_whose_picture_it_is_says_the_atlas_alone_and_on_which_machine_nobody(
    imported: tuple[FlaskClient, str, str], anonymous: FlaskClient, database: Database
) -> None:
    client, _, atlas = imported
    origin = client.get(f"/v1/atlases/{atlas}").get_json()["request"]["imported"]["atlas"]
    (unit,) = {link for link in read(client, f"/atlases/{atlas}").links if "/units/" in link}
    assert f"Imported from {origin}" in read(client, unit).text
    (digest,) = re.findall(r"/v1/visualizations/([0-9a-f]{64})/image.png", read(client, unit).html)[:1]
    earlier = {"worker": "gpu-7", "lease": 4, "imported": {"atlas": origin, "version": 1, "changed": True}}
    with database.session() as session:
        session.execute(
            text("UPDATE visualizations SET provenance = provenance || CAST(:earlier AS jsonb)"),
            {"earlier": json.dumps(earlier)},
        )
    path = f"/v1/visualizations/{digest}"
    for who in (anonymous, client):
        provenance = who.get(path).get_json()["provenance"]
        assert provenance["imported"] == {"changed": True}
        assert not {"worker", "lease"} & set(provenance)
        page = f"{unit.partition('?')[0]}?atlas=any&picture={digest}"
        assert "Imported from another service" in read(who, page).text
        assert origin not in read(who, page).html


def test_units_like_one_of_a_former_layer_are_found_by_its_picture(
    client: FlaskClient, database: Database, store: ObjectStore, network: str
) -> None:
    client.post("/v1/jobs", json=job_body("0-3", "blocks.0.1"))
    finish_all(database, store)
    unit = f"/networks/{NETWORK}/layers/blocks.0.1/units/2"
    with database.session() as session:
        digest = session.scalars(text("SELECT digest FROM visualizations WHERE unit = 2")).one()
        session.execute(text("UPDATE layers SET is_current = false WHERE name = 'blocks.0.1'"))
    page = read(client, f"{unit}?atlas=any&picture={digest}")
    (alike,) = {link for link in page.links if link.startswith("/search?like=")}
    assert f"picture={digest}" in alike
    for path in (alike, f"{alike}&within=layer"):
        found = read(client, path)
        assert f"{unit}?atlas=any&picture={digest}" in found.links
        for link in links_of(found):
            read(client, link)


def test_an_atlas_keeps_the_pages_of_a_layer_that_its_network_has_no_more(
    client: FlaskClient, database: Database, store: ObjectStore, network: str
) -> None:
    made = client.post("/v1/atlases", json=body(units="0-3")).get_json()["id"]
    carry_out(database, made)
    finish_all(database, store)
    client.post(f"/v1/atlases/{made}/publish")
    layer = f"/networks/{NETWORK}/layers/blocks.0.1"
    with database.session() as session:
        session.execute(text("UPDATE layers SET is_current = false WHERE name = 'blocks.0.1'"))
    for path in (layer, f"{layer}/units/2", f"{layer}/units/2?atlas={made}%401"):
        assert f"atlas={made}%401" in read(client, path).html
    nearest = client.get(f"{layer}/units/99?near=true", headers=BROWSER)
    assert nearest.headers["Location"].startswith(f"{layer}/units/3")
    for path in (f"{layer}?atlas=any", f"{layer}/units/2?atlas=any"):
        assert client.get(path, headers=BROWSER).status_code == 404
    other = client.post("/v1/atlases", json=body(layers="classifier", units="0-3")).get_json()["id"]
    assert client.get(f"{layer}?atlas={other}", headers=BROWSER).status_code == 404
