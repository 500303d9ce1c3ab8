"""A database that an earlier release has filled is brought up to date, read and worked on."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from sqlalchemy import text

from api import create_app
from api.context import context
from imago_engine.artifacts import ArtifactKind
from infra.local.servers import Servers
from services.access import keys
from services.base.database import Database, check_migrations, migrate, move_to
from services.base.settings import Settings
from services.base.storage import ObjectStore, generator_key
from services.pictures import visualizations
from services.queue.batches import BATCHES
from services.queue.reconciliation import reconcile
from services.trainings import leases as training_leases
from tests.integration import staging
from tests.integration.staging import request, submit
from tests.own_settings import own_settings

RELEASE = "0003"
ROWS = Path(__file__).parents[2] / "data" / f"release_{RELEASE}.sql"
TABLES = {
    "networks": 4, "layers": 6, "generators": 2, "recipes": 1, "leases": 5, "visualizations": 22,
    "api_keys": 2, "jobs": 7, "job_visualizations": 24, "trainings": 4, "training_samples": 2, "workers": 1,
}  # fmt: skip
RESTATED = {"networks": ("weights", "inspection_tries"), "trainings": ("fence",)}
"""Columns that a later release says in another way."""


def fill(url: str) -> None:
    """The schema and the rows of that release."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        move_to(connection, RELEASE)
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        driver.execute(ROWS.read_bytes())


@pytest.fixture
def old(servers: Servers) -> Iterator[Settings]:
    """A database of that release, and its bucket with all objects."""
    with own_settings(servers, "template1") as settings:
        fill(settings.database_url)
        _put_objects(settings)
        yield settings


def _put_objects(settings: Settings) -> None:
    store = ObjectStore(settings)
    store.ensure_bucket()
    engine = sa.create_engine(settings.database_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        digests = connection.scalars(text("SELECT digest FROM visualizations WHERE state = 'done'")).all()
        trained = connection.execute(
            text("SELECT log_object, card_object FROM trainings WHERE card_object IS NOT NULL")
        ).one()
    for kind in ArtifactKind:
        for digest in (*digests, "grid"):
            store.put(kind, f"{kind} of {digest}".encode(), "application/octet-stream")
    others = {
        generator_key(hashlib.sha256(b"generator").hexdigest()): b"generator",
        generator_key(hashlib.sha256(b"trained").hexdigest()): b"trained",
        trained.log_object: b"log",
        trained.card_object: b"card",
    }
    for key, data in others.items():
        store._client.put_object(Bucket=store._bucket, Key=key, Body=data)


@pytest.fixture
def upgraded(old: Settings) -> Iterator[tuple[FlaskClient, Database]]:
    migrate(old.database_url)
    app = create_app(old)
    database = context(app).database
    with database.session() as session:
        _, token = keys.create_key(session, "new", keys.SCOPES)
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    yield client, database
    context(app).close()


def test_everything_that_an_earlier_release_wrote_is_read(upgraded: tuple[FlaskClient, Database]) -> None:
    client, database = upgraded
    with database.session() as session:
        for table, rows in TABLES.items():
            found = session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
            # The training that runs is held by a lease, as batches are.
            assert found == rows + (table in ("api_keys", "leases")), table

    def get(path: str) -> Any:
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.data)
        return answer.get_json(silent=True) or answer.data

    networks = {network["id"]: network for network in get("/v1/networks")["data"]}
    assert networks.keys() == {
        staging.NETWORK,
        "efficientnet_lite0.imagenet",
        "resnet18.IMAGENET1K_V1",
        "vgg11.IMAGENET1K_V1",
    }
    assert networks["vgg11.IMAGENET1K_V1"]["state"] == "failed"
    for layer in get(f"/v1/networks/{staging.NETWORK}/layers")["data"]:
        get(f"/v1/networks/{staging.NETWORK}/layers/{layer['name']}")
    assert {generator["id"] for generator in get("/v1/generators")["data"]} == {staging.GENERATOR, "birds-1"}
    assert {key["name"] for key in get("/v1/keys")["data"]} == {"owner", "admin", "new"}
    _read_jobs(get)
    _read_trainings(get)
    assert get("/v1/queue")["trainings"]["running"] == 1
    pictures = 0
    for item in get("/v1/visualizations?limit=200")["data"]:
        detail = get(f"/v1/visualizations/{item['digest']}")
        with database.session() as session:
            assert visualizations.get(session, item["digest"]).spec.digest == item["digest"]
        if detail["state"] != "done":
            continue
        pictures += 1
        for name in ("image", "code", "trace"):
            assert get(detail["links"][name]) == f"{name} of {item['digest']}".encode()
        if detail["links"].get("crop"):
            assert get(detail["links"]["crop"]) == f"crop of {item['digest']}".encode()
    assert pictures == 12
    staging.assert_consistent(database)


def _read_jobs(get: Any) -> None:
    jobs = get("/v1/jobs")["data"]
    assert sorted(job["state"] for job in jobs) == [
        "canceled", "failed", "queued", "running", "succeeded", "succeeded", "succeeded",
    ]  # fmt: skip
    for job in jobs:
        assert get(f"/v1/jobs/{job['id']}")["progress"] == job["progress"]
        items, units = get(job["links"]["visualizations"])["data"], job["progress"]["units"]
        assert len(items) == units["total"]
        for state in ("done", "failed", "unreachable", "canceled"):
            assert sum(item["state"] == state for item in items) == units[state]


def _read_trainings(get: Any) -> None:
    trainings = {training["name"]: training for training in get("/v1/trainings")["data"]}
    states = {name: training["state"] for name, training in trainings.items()}
    assert states == {"birds-1": "succeeded", "birds-2": "failed", "birds-3": "running", "birds-4": "queued"}
    path = f"/v1/trainings/{trainings['birds-1']['id']}"
    assert get(f"{path}/log") == b"log"
    assert get(f"{path}/card") == b"card"
    assert get(f"{path}/samples/50/image") == b"image of grid"
    assert trainings["birds-2"]["error"]["message"] == "Its pictures are too few."


def test_work_goes_on_where_the_earlier_release_left_it(
    upgraded: tuple[FlaskClient, Database],
) -> None:
    _, database = upgraded
    staging.inspect_again(database)
    # The technique has another version since: its pictures are made anew, and those of before stay readable.
    submitted = submit(database, request("0-5"))
    assert staging.job(database, submitted.job.id).units.cached == 0
    with database.session() as session:
        session.execute(text("UPDATE leases SET expires_at = now() - interval '1 s' WHERE ended_at IS NULL"))
    for kind, requeued in ((BATCHES, 3), (training_leases.TRAININGS, 1)):
        with database.session() as session:
            assert reconcile(session, kind).requeued == requeued
    staging.hurry(database)
    assert staging.work_off(database) == 5 + 6
    with database.session() as session:
        claimed = training_leases.claim(session, "new-worker", lease_seconds=60)
    assert claimed is not None
    assert claimed.name == "birds-3"
    staging.assert_consistent(database)


def test_the_way_back_and_up_again_loses_no_row(old: Settings) -> None:
    before = _rows(old.database_url)
    assert {table: len(rows) for table, rows in before.items()} == TABLES
    migrate(old.database_url)
    engine = sa.create_engine(old.database_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        move_to(connection, RELEASE)
    assert _rows(old.database_url) == before
    migrate(old.database_url)
    check_migrations(old.database_url)


def test_pictures_of_an_earlier_release_have_no_score_and_a_score_is_lost_on_the_way_back(
    old: Settings,
) -> None:
    before = _rows(old.database_url)
    migrate(old.database_url)
    engine = sa.create_engine(old.database_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        assert set(connection.scalars(text("SELECT score FROM visualizations"))) == {None}
        connection.execute(text("UPDATE visualizations SET score = -0.5 WHERE state = 'done'"))
    with engine.begin() as connection:
        move_to(connection, RELEASE)
    assert _rows(old.database_url) == before
    migrate(old.database_url)
    with engine.begin() as connection:
        assert set(connection.scalars(text("SELECT score FROM visualizations"))) == {None}


def test_what_a_scan_has_found_outlives_it_until_the_way_back(old: Settings) -> None:
    engine = sa.create_engine(old.database_url, poolclass=sa.NullPool)
    found = text("SELECT count(*) FROM unit_statistics")
    with engine.begin() as connection:
        move_to(connection, "0041")
        connection.execute(
            text("""
                WITH scan AS (
                    INSERT INTO scans (id, network_id, network_sha256, request, request_hash)
                    SELECT 'scn_' || n, id, '', '{}', '' FROM generate_series(1, 2) n,
                        (SELECT min(id) AS id FROM networks) networks RETURNING no
                )
                INSERT INTO unit_statistics (scan_no, layer, unit, counted, non_zero, quantiles)
                SELECT no, 'conv1', 1, 1, 1, '{0}' FROM scan
            """)
        )
    migrate(old.database_url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM scans WHERE id = 'scn_1'"))
        assert connection.scalar(found) == 2
    with engine.begin() as connection:
        move_to(connection, "0041")
        assert connection.scalar(found) == 1
        connection.execute(text("DELETE FROM scans"))
        assert connection.scalar(found) == 0


def test_artifacts_are_what_an_earlier_release_has_noted_in_columns(old: Settings) -> None:
    expected = {}
    for row in _rows(old.database_url)["visualizations"]:
        left, top, right, bottom = row["crop_box"] or (0, 0, 0, 0)
        sizes = {"image": (row["image_bytes"], row["width"], row["height"])}
        sizes["crop"] = (None, right - left, bottom - top)
        for kind in ("image", "crop", "code", "trace"):
            if (key := row[f"{kind}_object"]) is not None:
                expected[row["digest"], kind] = (key, *sizes.get(kind, (None, None, None)))
    assert {kind for _, kind in expected} == {"image", "crop", "code", "trace"}
    migrate(old.database_url)
    with sa.create_engine(old.database_url, poolclass=sa.NullPool).connect() as connection:
        found = connection.execute(text("SELECT * FROM artifacts")).all()
    types = {"png": "image/png", "safetensors": "application/octet-stream", "npy": "application/octet-stream"}
    assert {
        (row.digest, row.kind): (row.object, row.bytes, row.width, row.height) for row in found
    } == expected
    assert all(row.media_type == types[row.object.rpartition(".")[2]] for row in found)


def test_the_way_back_is_refused_while_there_are_pictures_that_it_has_no_place_for(old: Settings) -> None:
    migrate(old.database_url)
    engine = sa.create_engine(old.database_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(
            text("""
                UPDATE visualizations SET generator_id = NULL
                WHERE digest = (SELECT min(digest) FROM visualizations)
            """)
        )
    with pytest.raises(ValueError, match="without a generator"), engine.begin() as connection:
        move_to(connection, RELEASE)
    check_migrations(old.database_url)


def test_the_way_back_is_refused_while_there_are_pictures_of_other_tokens(old: Settings) -> None:
    migrate(old.database_url)
    engine = sa.create_engine(old.database_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        at_a_token = """
            UPDATE visualizations SET token = 7, position_y = NULL, position_x = NULL
            WHERE digest = (SELECT min(digest) FROM visualizations)
        """
        connection.execute(text(at_a_token))
    with pytest.raises(ValueError, match="at a token"), engine.begin() as connection:
        move_to(connection, RELEASE)
    check_migrations(old.database_url)


def _rows(url: str) -> dict[str, list[dict[str, Any]]]:
    """All rows, but for what later releases say in another way."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    found: dict[str, list[dict[str, Any]]] = {}
    with engine.connect() as connection:
        for table in TABLES:
            query = text(f"SELECT to_jsonb(t) AS whole FROM {table} t ORDER BY to_jsonb(t)::text")
            rows = [cast(dict[str, Any], row.whole) for row in connection.execute(query)]
            restated = RESTATED.get(table, ())
            found[table] = sorted(
                ({name: value for name, value in row.items() if name not in restated} for row in rows),
                key=str,
            )
    return found
