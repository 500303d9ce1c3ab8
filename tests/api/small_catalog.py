"""What the tests of the API share: a network that was never built (only what an inspection would have said of
it), requests, and a stand-in for a worker's results.
"""

import hashlib
import struct
import zlib

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from imago_engine.artifacts import Artifact, ArtifactKind
from imago_engine.networks import LayerInfo
from imago_engine.weights import EYE
from services.access import keys
from services.base.database import Database
from services.base.storage import ObjectStore
from services.catalog import looks
from services.catalog.generators import register_generator
from services.catalog.inspections import record_inspection
from services.catalog.looks import Pair, UnderWay
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.pictures.artifacts import put
from services.queue import batches
from services.queue.batches import Finished
from services.schema import Base
from tests.integration.search.indexed import direction

NETWORK = "small.random"
LABELS = tuple(f"class {index}" for index in range(10))
LAYERS = (
    LayerInfo("conv_stem", "conv", 8, (16, 16), 3, 2, role="stem"),
    LayerInfo("blocks.0.1", "block", 300, (8, 8), 19, 4, role="block"),
    LayerInfo("classifier", "output", 10, None, None, None, role="output"),
)


def with_key(app: Flask, database: Database, *scopes: str) -> FlaskClient:
    with database.session() as session:
        _, token = keys.create_key(session, "test", scopes)
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


def register(database: Database) -> None:
    """The network, ready, and a default generator."""
    with database.session() as session:
        register_network(
            session,
            RegisterNetwork(
                id=NETWORK, source="file", architecture="timm:small", weights="small.safetensors"
            ),
        )
        record_inspection(
            session,
            NETWORK,
            weights_sha256="a" * 64,
            preprocessing={"size": 32, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "bgr": False},
            labels=LABELS,
            layers=LAYERS,
        )
        info = {
            "architecture": "compact",
            "code_shape": [16],
            "image_size": 32,
            "encoder": NETWORK,
            "recommended": {"steps": 20, "learning_rate": 0.5},
            "training": {"pictures": 1000},
        }
        register_generator(session, "small", info, "b" * 64, default=True)


def job_body(units: object = "0-3", layer: str = "output", **more: object) -> dict[str, object]:
    return {"network": NETWORK, "targets": [{"layer": layer, "units": units}], **more}


def png(shade: int) -> bytes:
    """A grey picture of 2 × 2 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes([0, shade, shade]) * 2)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def finish_all(database: Database, store: ObjectStore, *, crop: bool = False) -> int:
    """Do what a worker does, with grey pictures; returns how many were made."""
    made = 0
    while True:
        with database.session() as session:
            claim = batches.claim(session, "tester", limit=64, lease_seconds=60)
        if claim is None:
            return made
        results = []
        for work in claim.items:
            picture = png(int(hashlib.sha256(work.digest.encode()).hexdigest()[:2], 16))
            artifacts = [
                Artifact(ArtifactKind.IMAGE, "image/png", picture, 2, 2),
                *([Artifact(ArtifactKind.CROP, "image/png", png(7), 2, 2)] if crop else []),
                Artifact(ArtifactKind.CODE, "application/octet-stream", b"code of " + work.digest.encode()),
                Artifact(ArtifactKind.TRACE, "application/octet-stream", b"trace of " + work.digest.encode()),
            ]
            results.append(
                Finished(
                    digest=work.digest,
                    activation=1.0 + work.unit,
                    score=-1.0 - work.seed,
                    predictions=[[work.unit % 10, 0.75], [0, 0.25]],
                    artifacts=[put(store, artifact) for artifact in artifacts],
                    crop_box=(0, 0, 1, 1) if crop else None,
                    provenance={"device": "none"},
                    eye=EYE,
                    embedding=direction(work.digest),
                )
            )
        with database.session() as session:
            made += len(batches.conclude(session, claim.lease_id, finished=results))


def look_at_network(database: Database, job: str, seen: int) -> None:
    """What a worker tells that has looked at `seen` of 512 pictures for a job whose recipe needs that."""
    with database.session() as session:
        start = "jsonb_set(request, '{targets,0,recipe,parameters,start}', '\"direction\"')"
        session.execute(sa.text(f"UPDATE jobs SET request = {start} WHERE id = :job"), {"job": job})
        row = session.execute(
            sa.text(
                "SELECT n.id AS network, n.spec_sha256, g.id, g.weights_sha256 FROM networks n, generators g"
                " WHERE n.id = :network AND g.is_default"
            ),
            {"network": NETWORK},
        ).one()
    looks.tell(database, Pair(*row), "a look", UnderWay(seen, 512))


def row_counts(database: Database) -> dict[str, int]:
    """How many rows each table has, but for the sequence of turns, which may have holes."""
    with database.session() as session:
        return {
            table.name: session.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in Base.metadata.sorted_tables
        }


def give_up(database: Database, kind: str) -> None:
    """What comes of chores that fail each time that workers try them."""
    failed = """
        UPDATE work SET given_up = true, error = '{"code": "failed", "message": "no luck"}' WHERE kind = :kind
    """
    with database.session() as session:
        session.execute(sa.text(failed), {"kind": kind})
