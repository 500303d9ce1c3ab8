from typing import Any

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from sqlalchemy import text

from imago_engine.techniques import all_techniques
from services.base.database import Database
from services.base.storage import ObjectStore
from tests.api.small_catalog import LABELS, LAYERS, NETWORK, finish_all, job_body, row_counts


def get(client: FlaskClient, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.get_json()
    return answer.get_json()


def test_a_network_is_shown_with_its_classes(client: FlaskClient, network: str) -> None:
    shown = get(client, f"/v1/networks/{network}")
    assert (shown["id"], shown["object"], shown["state"]) == (NETWORK, "network", "ready")
    assert shown["labels"] == list(LABELS)
    assert shown["links"] == {
        "self": f"/v1/networks/{NETWORK}",
        "layers": f"/v1/networks/{NETWORK}/layers",
    }
    (entry,) = get(client, "/v1/networks")["data"]
    assert entry == shown | {"labels": []}


def test_a_new_network_waits_for_inspection_and_registering_it_again_changes_nothing(
    client: FlaskClient, database: Database
) -> None:
    body = {"id": "resnet18.IMAGENET1K_V1"}
    first = client.post("/v1/networks", json=body)
    assert first.status_code == 202
    assert first.headers["Location"] == "/v1/networks/resnet18.IMAGENET1K_V1"
    assert first.get_json()["state"] == "pending"
    assert first.get_json()["source"] == "torchvision"
    counts = row_counts(database)
    assert client.post("/v1/networks", json=body).get_json() == first.get_json()
    assert row_counts(database) == counts


@pytest.mark.usefixtures("network")
def test_layers_are_listed_in_execution_order(client: FlaskClient) -> None:
    shown = get(client, f"/v1/networks/{NETWORK}/layers")["data"]
    assert [layer["name"] for layer in shown] == [layer.name for layer in LAYERS]
    assert shown[0] == {
        "id": f"{NETWORK}/conv_stem",
        "object": "layer",
        "network": NETWORK,
        "name": "conv_stem",
        "ordinal": 0,
        "kind": "conv",
        "units": 8,
        "height": 16,
        "width": 16,
        "receptive_field": 3,
        "stride": 2,
        "tokens": None,
        "usual_token": None,
        "class_token": None,
        "role": "stem",
        "twin_of": None,
        "links": {
            "self": f"/v1/networks/{NETWORK}/layers/conv_stem",
            "network": f"/v1/networks/{NETWORK}",
            "units": f"/v1/networks/{NETWORK}/layers/conv_stem/units",
        },
    }


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("blocks", ["conv_stem", "blocks.0.1", "classifier"]),
        ("convolutions", ["conv_stem"]),
        ("blocks.*", ["blocks.0.1"]),
        ("output,conv_stem", ["conv_stem", "classifier"]),
        ("all", ["conv_stem", "blocks.0.1", "classifier"]),
    ],
)
def test_layers_are_listed_by_words_for_them(client: FlaskClient, words: str, names: list[str]) -> None:
    path = f"/v1/networks/{NETWORK}/layers?layers={words}"
    assert [layer["name"] for layer in get(client, path)["data"]] == names
    paged: list[str] = []
    following = None
    while following is not None or not paged:
        page = get(client, path + "&limit=1" + (f"&cursor={following}" if following else ""))
        paged += [layer["name"] for layer in page["data"]]
        following = page["next_cursor"]
    assert paged == names


@pytest.mark.usefixtures("network")
def test_words_for_no_layer_are_refused_with_what_there_is(client: FlaskClient) -> None:
    answer = client.get(f"/v1/networks/{NETWORK}/layers?layers=blocks.9.*")
    assert answer.status_code == 422
    (error,) = answer.get_json()["errors"]
    assert error["pointer"] == "/layers"
    assert "matches no layer of small.random" in error["detail"]
    assert "blocks.0.1" in error["detail"]


def test_a_network_that_waits_for_its_inspection_has_no_layers_by_any_words(client: FlaskClient) -> None:
    client.post("/v1/networks", json={"id": "resnet18.IMAGENET1K_V1"})
    assert get(client, "/v1/networks/resnet18.IMAGENET1K_V1/layers?layers=blocks")["data"] == []
    assert client.get("/v1/networks/resnet50.IMAGENET1K_V1/layers?layers=blocks").status_code == 404


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("name", ["blocks.0.1", "blocks%2E0%2E1", "output", "logits"])
def test_a_layer_is_found_by_its_dotted_name_however_it_is_written(client: FlaskClient, name: str) -> None:
    shown = get(client, f"/v1/networks/{NETWORK}/layers/{name}")
    assert shown["name"] in ("blocks.0.1", "classifier")
    assert get(client, shown["links"]["self"]) == shown


@pytest.mark.usefixtures("network")
def test_units_are_paged_through_by_the_links(client: FlaskClient) -> None:
    path: str | None = f"/v1/networks/{NETWORK}/layers/blocks.0.1/units?limit=120"
    units: list[int] = []
    while path:
        answer = client.get(path)
        units += [unit["unit"] for unit in answer.get_json()["data"]]
        link = answer.headers.get("Link", "")
        path = link[1 : link.index(">")] if link else None
    assert units == list(range(300))


@pytest.mark.usefixtures("network")
def test_a_unit_is_shown_with_its_visualizations(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    before = get(client, f"/v1/networks/{NETWORK}/layers/output/units/3")
    assert (before["label"], before["pictures"], before["visualizations"]) == ("class 3", 0, [])
    assert before["links"]["image"] is None
    client.post("/v1/jobs", json=job_body("3", seeds=[0, 1]))
    finish_all(database, store)
    after = get(client, f"/v1/networks/{NETWORK}/layers/output/units/3")
    assert after["pictures"] == 2
    assert {shown["seed"] for shown in after["visualizations"]} == {0, 1}
    assert after["links"]["best"] in [shown["links"]["self"] for shown in after["visualizations"]]


@pytest.mark.usefixtures("network")
def test_units_of_a_layer_that_the_network_has_no_more_are_listed_where_former_ones_count(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    layer, now = f"/v1/networks/{NETWORK}/layers/blocks.0.1", f"/v1/networks/{NETWORK}/layers/classifier"
    client.post("/v1/jobs", json=job_body("3", layer="blocks.0.1"))
    finish_all(database, store)
    before = get(client, f"{layer}/units/3")
    with database.session() as session:
        session.execute(text("UPDATE layers SET is_current = false WHERE name = 'blocks.0.1'"))
    for path in (layer, f"{layer}/units", f"{layer}/units/3?former=false"):
        assert client.get(path).status_code == 404
    links = get(client, f"{layer}?former=true")["links"]
    assert links["self"] == f"{layer}?former=true"
    first = client.get(f"{links['units']}&limit=4")
    units = first.get_json()["data"]
    assert [unit["unit"] for unit in units] == [0, 1, 2, 3]
    following = first.headers["Link"]
    assert get(client, following[1 : following.index(">")])["data"][0]["unit"] == 4
    assert (units[3]["pictures"], units[3]["activation"]) == (1, before["activation"])
    assert client.get(units[3]["links"]["image"]).status_code == 200
    assert get(client, units[3]["links"]["best"])["state"] == "done"
    # Others may embed the address of a unit's picture: it goes on leading there.
    assert client.get(f"{layer}/units/3/image").status_code == 200
    assert client.get(f"{layer}/units/3/image.webp?size=64").status_code == 200
    shown = get(client, units[3]["links"]["self"])
    assert shown["visualizations"] == before["visualizations"]
    assert (shown["pictures"], shown["links"]["exemplars"]) == (1, None)
    assert client.get(f"{layer}/units/300?former=true").status_code == 404
    # A layer that the network has is the same with and without.
    assert get(client, f"{now}/units?former=true")["data"] == get(client, f"{now}/units")["data"]
    with database.session() as session:
        session.execute(text("UPDATE networks SET spec_sha256 = repeat('e', 64)"))
    assert get(client, f"{layer}/units?former=true&limit=4")["data"][3]["pictures"] == 0


@pytest.mark.usefixtures("network")
def test_a_generator_is_shown_with_the_recipe_that_suits_it(client: FlaskClient) -> None:
    (shown,) = get(client, "/v1/generators")["data"]
    assert shown == get(client, shown["links"]["self"])
    assert shown["is_default"] is True
    assert shown["recommended"] == {"steps": 20, "learning_rate": 0.5}
    assert shown["code_shape"] == [16]
    assert "location" not in shown  # where workers find the file is nobody's business


def test_a_technique_publishes_the_schema_of_its_parameters(client: FlaskClient) -> None:
    listed = get(client, "/v1/techniques")["data"]
    assert [technique["id"] for technique in listed] == list(all_techniques())
    shown = get(client, "/v1/techniques/dgn-am")
    assert shown in listed
    validator = Draft202012Validator(shown["schema"])
    assert validator.is_valid({"steps": 200, "decay": 0.99})
    assert not validator.is_valid({"steps": 0})
    assert not validator.is_valid({"stepz": 1})


@pytest.mark.usefixtures("network")
def test_a_technique_shows_the_values_that_a_job_would_use(client: FlaskClient) -> None:
    """And a job's request shows them as it uses them."""
    for asked in ("/v1/techniques/dgn-am", "/v1/techniques/dgn-am?generator=small"):
        shown = get(client, asked)
        assert shown["generator"] == "small"
        job = client.post("/v1/jobs", json=job_body("0", recipe={"parameters": {"steps": 7}})).get_json()
        assert job["request"]["generator"] == "small"
        assert job["request"]["recipe"]["parameters"] == shown["values"] | {"steps": 7}
    assert client.get("/v1/techniques/dgn-am?generator=none").status_code == 404


@pytest.mark.usefixtures("network")
def test_the_queue_counts_what_waits_by_lane(client: FlaskClient) -> None:
    client.post("/v1/jobs", json=job_body("0-3"))
    client.post("/v1/jobs", json=job_body("4-5", lane="bulk"))
    shown = get(client, "/v1/queue")
    assert {lane["name"]: lane["queued"] for lane in shown["lanes"]} == {"interactive": 4, "bulk": 2}
    assert shown["workers"] == 0
