"""What the examples of the contract name: they can be sent as they stand."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from api.context import context
from api.openapi import examples
from imago_engine.artifacts import ArtifactKind
from imago_engine.networks import LayerInfo
from services.atlases.building import steps
from services.atlases.building.steps import JobCursor
from services.base.database import Database
from services.base.storage import ObjectStore, sha256_of_file, training_key
from services.catalog.generators import register_generator
from services.catalog.inspections import record_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.schema import Base
from services.search import excitations
from services.trainings import leases as training_leases
from services.trainings.leases import Sample
from tests.api.of_atlases.test_export_tar import make_exports
from tests.api.of_atlases.test_maps import make_maps
from tests.api.resources.test_compare import compare
from tests.api.resources.test_sheets import make_sheets
from tests.api.small_catalog import finish_all, png, with_key
from tests.found_exemplars import find_exemplars


def build(app: Flask, database: Database, store: ObjectStore, folder: Path) -> FlaskClient:
    """A network, a job that is done, a training that made a generator, and a key, with the ids of the
    examples. Returns an admin. `folder` is for files on their way to the store.
    """
    with database.session() as session:
        register_network(session, RegisterNetwork(id=examples.NETWORK))
        record_inspection(
            session,
            examples.NETWORK,
            weights_sha256="a" * 64,
            preprocessing={"size": 224, "mean": [0.5] * 3, "std": [0.5] * 3, "bgr": False},
            labels=("golden retriever", *(f"class {index}" for index in range(1, 1000))),
            layers=(
                LayerInfo("bn2", "conv", 1280, (7, 7), None, 32),
                LayerInfo(examples.LAYER, "output", 1000, None, None, None),
            ),
        )
        made = {"architecture": "compact", "code_shape": [16], "image_size": 32, "encoder": examples.NETWORK}
        register_generator(session, "small", made, "b" * 64, default=True)
        asked = excitations.ask(session, examples.NETWORK, examples.LAYER, png(3))
    admin = with_key(app, database, "admin")
    body = {"network": examples.NETWORK, "targets": [{"layer": examples.LAYER, "units": [examples.UNIT]}]}
    job = admin.post("/v1/jobs", json=body).get_json()
    finish_all(database, store)
    item = admin.get(f"{job['links']['self']}/visualizations").get_json()["data"][0]
    key = admin.post("/v1/keys", json={"name": "x", "scopes": ["read"]}).get_json()
    training = admin.post(
        "/v1/generators",
        json={"name": examples.GENERATOR, "training": {"sources": ["birds"], "pictures": 1000}},
    ).get_json()
    finish_training(database, store, made, folder)
    atlas = admin.post("/v1/atlases", json=examples.ATLAS_BODY).get_json()
    scan = admin.post("/v1/scans", json=examples.SCAN_BODY).get_json()
    find_exemplars(database, store, examples.LAYER, [examples.UNIT])
    with database.session() as session:
        steps.step(session, atlas["id"], JobCursor())
    finish_all(database, store)
    assert admin.post(f"{atlas['links']['self']}/publish").status_code == 200
    make_sheets(database, store, context(app).settings)
    make_maps(database, store, context(app).settings)
    make_exports(database, store, context(app).settings)
    for table, old, new in (
        ("jobs", job["id"], examples.JOB),
        ("excitations", asked.id, examples.EXCITATION),
        ("visualizations", item["digest"], examples.DIGEST),
        ("api_keys", key["id"], examples.KEY),
        ("trainings", training["id"], examples.TRAINING),
    ):
        rename(database, table, old, new)
    with database.session() as session:
        names = {"old": atlas["id"], "new": examples.ATLAS}
        session.execute(sa.text("UPDATE atlases SET id = :new WHERE id = :old"), names)
        names = {"old": scan["id"], "new": examples.SCAN}
        session.execute(sa.text("UPDATE scans SET id = :new WHERE id = :old"), names)
    admin.get("/v1/compare", query_string={"a": f"{examples.ATLAS}@1", "b": f"{examples.ATLAS}@open"})
    compare(database, store, context(app).settings)
    return admin


def finish_training(database: Database, store: ObjectStore, made: dict[str, Any], folder: Path) -> None:
    """Do what a worker does, without training anything."""
    with database.session() as session:
        claimed = training_leases.claim(session, "tester", lease_seconds=60)
    assert claimed is not None
    keys = []
    for suffix in ("jsonl", "md"):
        (folder / suffix).write_text(f"of the training: {suffix}")
        sha256 = sha256_of_file(folder / suffix)
        keys.append(training_key(claimed.id, claimed.lease_id, sha256, suffix))
        store.put_file(keys[-1], folder / suffix)
    grid = store.put(ArtifactKind.IMAGE, png(3), "image/png")
    with database.session() as session:
        training_leases.finish(
            session,
            claimed,
            info=made,
            sha256="c" * 64,
            log=keys[0],
            card=keys[1],
            progress={},
            samples=[Sample(1000, {"pixels": 0.25}, grid, datetime.now(UTC))],
        )


def rename(database: Database, table: str, old: str, new: str) -> None:
    """Give a row the id of an example, wherever it stands."""
    with database.session() as session:
        session.execute(sa.text("SET LOCAL session_replication_role = replica"))
        column = next(iter(Base.metadata.tables[table].primary_key.columns))
        referring = [
            key.parent
            for other in Base.metadata.sorted_tables
            for key in other.foreign_keys
            if key.column is column
        ]
        if table == "visualizations":  # to whose digests these refer without a foreign key
            tables = Base.metadata.tables
            referring += [tables[name].c.digest for name in ("atlas_entries", "job_visualizations")]
        for place in (column, *referring):
            session.execute(sa.update(place.table).where(place == old).values({place.name: new}))
