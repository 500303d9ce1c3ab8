"""What holds for every list of the API: pages show each item once, whatever comes meanwhile; other cursors
than its own are refused. The lists are those of the contract: a new one needs a line in `LISTS`.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from api.application import build
from api.context import context
from api.openapi.document import document
from services.base.database import Database
from services.base.paging import Keyset
from services.catalog.generators import register_generator
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from tests.api.resources.test_compare import build as build_atlas
from tests.api.resources.test_compare import compare
from tests.api.small_catalog import NETWORK, finish_all, job_body
from tests.integration.atlases.building import carry_out
from tests.small_training import register_encoder


@dataclass(frozen=True)
class Listing:
    """A list with more items than a page has, and how to add others before and after those on its pages."""

    path: Callable[[FlaskClient], str]
    name: str
    """As it stands in cursors."""
    kinds: tuple[type, ...]
    """Of the parts of its key."""
    fill: Callable[[FlaskClient, Database], object] = lambda client, database: None
    grow: Callable[[FlaskClient, Database], object] = lambda client, database: None


def _networks(*names: str) -> Callable[[FlaskClient, Database], None]:
    def add(client: FlaskClient, database: Database) -> None:
        for name in names:
            with database.session() as session:
                request = RegisterNetwork(
                    id=f"{name}.x", source="file", architecture="timm:small", weights=f"{name}.safetensors"
                )
                register_network(session, request)

    return add


def _generators(*names: str) -> Callable[[FlaskClient, Database], None]:
    info = {"architecture": "compact", "code_shape": [16], "image_size": 32, "encoder": NETWORK}

    def add(client: FlaskClient, database: Database) -> None:
        for name in names:
            with database.session() as session:
                register_generator(session, name, info, name.encode().hex().ljust(64, "0"))

    return add


def _trainings(*names: str) -> Callable[[FlaskClient, Database], None]:
    def add(client: FlaskClient, database: Database) -> None:
        register_encoder(database)
        for name in names:
            body = {"name": name, "training": {"sources": ["birds"], "pictures": 1000}}
            assert client.post("/v1/generators", json=body).status_code == 202

    return add


def _scans(*sources: str) -> Callable[[FlaskClient, Database], None]:
    def add(client: FlaskClient, database: Database) -> None:
        for source in sources:
            body = {"network": NETWORK, "sources": [source], "layers": "output"}
            assert client.post("/v1/scans", json=body).status_code == 202

    return add


def _jobs(*units: str, layer: str = "blocks.0.1") -> Callable[[FlaskClient, Database], None]:
    def add(client: FlaskClient, database: Database) -> None:
        for some in units:
            assert client.post("/v1/jobs", json=job_body(some, layer=layer)).status_code == 202

    return add


def _made(*units: str) -> Callable[[FlaskClient, Database], None]:
    def add(client: FlaskClient, database: Database) -> None:
        _jobs(*units)(client, database)
        finish_all(database, context(client.application).store)

    return add


def _items_path(client: FlaskClient) -> str:
    return str(client.get("/v1/jobs").get_json()["data"][0]["links"]["visualizations"])


def _atlases(*names: str) -> Callable[[FlaskClient, Database], None]:
    def add(client: FlaskClient, database: Database) -> None:
        for name in names:
            body = {"network": NETWORK, "name": name, "layers": "all", "units": "1-5"}
            id = client.post("/v1/atlases", json=body).get_json()["id"]
            carry_out(database, id)

    return add


def _versions(client: FlaskClient, database: Database) -> None:
    """An atlas of several versions."""
    _atlases("a")(client, database)
    for _ in range(3):
        _publish(client, database)


def _publish(client: FlaskClient, database: Database) -> None:
    """One more picture is done, and published."""
    with database.session() as session:
        session.execute(
            text("""
                WITH made AS (
                    UPDATE visualizations SET state = 'done', finished_at = now() WHERE digest = (
                        SELECT digest FROM visualizations WHERE state = 'queued' ORDER BY digest LIMIT 1)
                    RETURNING digest)
                UPDATE jobs SET done = done + 1 WHERE id IN (
                    SELECT job_id FROM job_visualizations JOIN made USING (digest))
            """)
        )
    assert client.post(f"{_atlas_path(client)}/publish").status_code == 200


def _atlas_path(client: FlaskClient) -> str:
    return str(client.get("/v1/atlases").get_json()["data"][0]["links"]["self"])


def _compared(client: FlaskClient, database: Database) -> None:
    """Two atlases of the same units, compared."""
    here = context(client.application)
    for count in (5, 7):
        build_atlas(client, database, here.store, units="0-4", recipe={"parameters": {"steps": count}})
    assert client.get(_compared_path(client)).status_code == 200
    compare(database, here.store, here.settings)


def _compared_path(client: FlaskClient) -> str:
    a, b = sorted(atlas["id"] for atlas in client.get("/v1/atlases").get_json()["data"])
    return f"/v1/compare/units?a={a}&b={b}&layer=blocks.0.1"


LISTS = {
    "list_atlases": Listing(
        lambda client: "/v1/atlases", "atlases", (str,), _atlases("b", "d", "f"), _atlases("a")
    ),
    "list_atlas_layers": Listing(
        lambda client: f"{_atlas_path(client)}/layers", "atlas-layers", (int,), _atlases("a")
    ),
    "list_atlas_versions": Listing(
        lambda client: f"{_atlas_path(client)}/versions", "versions", (int,), _versions, _publish
    ),
    "list_atlas_units": Listing(
        lambda client: f"{_atlas_path(client)}/versions/open/layers/blocks.0.1/units",
        "atlas-units",
        (int,),
        _atlases("a"),
    ),
    "list_atlas_entries": Listing(
        lambda client: f"{_atlas_path(client)}/versions/open/entries",
        "atlas-entries",
        (int, int, int),
        _atlases("a"),
    ),
    "list_compared_units": Listing(_compared_path, "changes", (float, int), _compared),
    "list_networks": Listing(
        lambda client: "/v1/networks", "networks", (str,), _networks("b", "d", "f", "h"), _networks("a", "z")
    ),
    "list_layers": Listing(lambda client: f"/v1/networks/{NETWORK}/layers", "layers", (int,)),
    "list_units": Listing(
        lambda client: f"/v1/networks/{NETWORK}/layers/output/units", "units", (int,), grow=_jobs("0,9")
    ),
    "list_generators": Listing(
        lambda client: "/v1/generators",
        "generators",
        (str,),
        _generators("b", "d", "f", "t"),
        _generators("a", "z"),
    ),
    "list_trainings": Listing(
        lambda client: "/v1/trainings",
        "trainings",
        (str,),
        _trainings("b", "d", "f", "h", "j"),
        _trainings("a"),
    ),
    "list_scans": Listing(
        lambda client: "/v1/scans", "scans", (int,), _scans("b", "d", "f", "h"), _scans("a")
    ),
    "list_jobs": Listing(
        lambda client: "/v1/jobs", "jobs", (str,), _jobs("1", "3", "5", "7", "9"), _jobs("0")
    ),
    "list_job_visualizations": Listing(_items_path, "items", (int,), _jobs("1,3,5,7,9"), _jobs("0")),
    "search_visualizations": Listing(
        lambda client: "/v1/visualizations",
        "visualizations",
        (str, str, int, str),
        _jobs("1,3,5,7,9"),
        _jobs("0,4,20", layer="blocks.0.1"),
    ),
    "search_units": Listing(
        lambda client: "/v1/search/units?label=class%200",
        "saying",
        (float, str),
        _made("1,3,5,7,9"),
        _made("0,4,20"),
    ),
    "search_changes": Listing(
        lambda client: f"/v1/search/changes?network={NETWORK}&layer=blocks.0.1&other={NETWORK}",
        "changes",
        (float, int),
        _made("1,3,5,7,9"),
        _made("0,4,20"),
    ),
    "list_presets": Listing(lambda client: "/v1/presets", "presets", (str,)),
    "list_techniques": Listing(lambda client: "/v1/techniques", "techniques", (str,)),
}
ONE_PAGE = {"list_atlas_layers", "list_presets", "list_techniques"}
"""Lists that have no pages, and give no cursors out."""
OF_SEVERAL_PAGES = sorted(LISTS.keys() - ONE_PAGE)


def ids(page: Any) -> list[str]:
    """What a page shows: ids, or the numbers of units where these are all."""
    return [str(entry["id"] if "id" in entry else entry["unit"]) for entry in page["data"]]


def ask(client: FlaskClient, path: str, **query: Any) -> TestResponse:
    """GET a path, which may have a query already."""
    plain, _, fixed = path.partition("?")
    return client.get(plain, query_string={**dict(parse_qsl(fixed)), **query})


def read(client: FlaskClient, path: str, **query: Any) -> Any:
    answer = ask(client, path, **query)
    assert answer.status_code == 200, answer.text
    page = answer.get_json()
    assert ("Link" in answer.headers) == (page["next_cursor"] is not None)
    return page


def rest(client: FlaskClient, path: str, page: Any, limit: int) -> list[str]:
    """The ids of this page and all that follow."""
    found = ids(page)
    while page["next_cursor"]:
        page = read(client, path, limit=limit, cursor=page["next_cursor"])
        assert len(ids(page)) == limit or page["next_cursor"] is None
        found += ids(page)
    return found


def test_every_list_of_the_contract_is_tested_here() -> None:
    lists = {
        operation["operationId"]
        for methods in document(build())["paths"].values()
        for operation in methods.values()
        if any(parameter["name"] == "cursor" for parameter in operation.get("parameters", []))
    }
    assert lists == LISTS.keys()


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("name", sorted(LISTS))
def test_pages_show_everything_once_in_one_order(client: FlaskClient, database: Database, name: str) -> None:
    listing = LISTS[name]
    listing.fill(client, database)
    path = listing.path(client)
    whole = read(client, path)
    everything = ids(whole)
    assert whole["next_cursor"] is None
    assert len(set(everything)) == len(everything) > (0 if name in ONE_PAGE else 2)
    for limit in (1, 2, len(everything) - 1, len(everything)) if name not in ONE_PAGE else ():
        assert rest(client, path, read(client, path, limit=limit), limit) == everything


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("name", OF_SEVERAL_PAGES)
def test_what_is_added_between_two_pages_neither_hides_nor_repeats_an_item(
    client: FlaskClient, database: Database, name: str
) -> None:
    listing = LISTS[name]
    listing.fill(client, database)
    path = listing.path(client)
    before = ids(read(client, path))
    first = read(client, path, limit=2)
    listing.grow(client, database)
    found = rest(client, path, first, 2)
    assert [id for id in found if id in before] == before
    assert len(set(found)) == len(found)


def forged(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("name", sorted(LISTS))
def test_what_is_no_cursor_of_the_list_is_refused(client: FlaskClient, database: Database, name: str) -> None:
    listing = LISTS[name]
    listing.fill(client, database)
    path = listing.path(client)
    key = [{str: "a", int: 1, float: 0.5}[kind] for kind in listing.kinds]
    cursors = [
        "",
        "nonsense",
        "ä",
        forged(),
        forged("another list", *key),
        forged(listing.name),
        forged(listing.name, *key, 1),
        forged(listing.name, *key[:-1], None),
        forged(listing.name, *key[:-1], {str: 1, int: "1"}[listing.kinds[-1]]),
        forged(listing.name, *key[:-1], {str: "a\0", int: -1}[listing.kinds[-1]]),
    ]
    if name in ONE_PAGE:
        cursors.append(forged(listing.name, *key))
    else:
        own = read(client, path, limit=1)["next_cursor"]
        assert own == Keyset(listing.name, listing.kinds).cursor_after(json.loads(_unpacked(own))[1:])
        cursors.append(own[:-4])
    for cursor in cursors:
        answer = ask(client, path, cursor=cursor)
        assert answer.status_code == 422, (cursor, answer.text)
        assert answer.get_json()["errors"][0]["pointer"] == "/cursor"


def _unpacked(cursor: str) -> bytes:
    return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("name", sorted(LISTS))
def test_a_limit_is_between_1_and_200(client: FlaskClient, database: Database, name: str) -> None:
    LISTS[name].fill(client, database)
    for limit in ("0", "201", "-1", "x"):
        answer = ask(client, LISTS[name].path(client), limit=limit)
        assert answer.status_code == 422
        assert answer.get_json()["errors"][0]["pointer"] == "/limit"
