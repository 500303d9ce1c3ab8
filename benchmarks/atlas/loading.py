"""Let the pictures of an atlas be done without computing any: what workers write of each, layer by layer, in
whole arrays. Each layer is one transaction, so that a run that was stopped goes on with the next one."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.orm import Session

from benchmarks.atlas.pictures import Vectors, drawn
from imago_engine.weights import DIMENSIONS, EYE
from services.base.database import Database
from services.search.indexing import LABEL

DEFERRED = ("ix_embeddings_near", "ix_embeddings_unit", "ix_picture_labels_label")
"""Indexes that are built after loading."""
_INDEXED = text("SELECT indexname, indexdef FROM pg_indexes WHERE indexname = ANY(CAST(:names AS text[]))")
_JOBS_LEFT = text("""
    SELECT DISTINCT layer FROM visualizations WHERE network_id = :network AND state = 'queued' ORDER BY layer
""")
_DIGESTS = text("""
    SELECT digest, unit FROM visualizations WHERE network_id = :network AND layer = :layer ORDER BY digest
""")
_SET = text("""
    CREATE TEMPORARY TABLE made ON COMMIT DROP AS SELECT * FROM unnest(
        CAST(:digests AS text[]), CAST(:activations AS float[]), CAST(:predictions AS text[]),
        CAST(:images AS int[])
    ) AS made (digest, activation, predictions, image)
""")
_DONE = text("""
    UPDATE visualizations v SET state = 'done', finished_at = now(), activation = made.activation,
        score = made.activation / 50, predictions = CAST(made.predictions AS jsonb), eye = :eye,
        provenance = CAST(:provenance AS jsonb)
    FROM made WHERE v.digest = made.digest COLLATE "C"
""")
_ARTIFACTS = text("""
    INSERT INTO artifacts (digest, kind, object, media_type, bytes, width, height)
    SELECT made.digest, a.kind, a.object, a.media_type, a.bytes, a.width, a.height
    FROM made JOIN bench_images a ON a.image = made.image
""")
_NO_IMAGES = text("DROP TABLE IF EXISTS bench_images")
_IMAGES = text("""
    CREATE UNLOGGED TABLE bench_images AS SELECT * FROM jsonb_to_recordset(CAST(:artifacts AS jsonb)) AS a (
        image int, kind text, object text, media_type text, bytes int, width int, height int)
""")
_LABELS = text(
    LABEL.format(
        source="""(SELECT v.digest, v.network_id, v.layer, v.unit, v.predictions
        FROM made JOIN visualizations v ON v.digest = made.digest COLLATE "C")"""
    )
)
_JOBS = text("""
    UPDATE jobs SET state = 'succeeded', done = total, started_at = now(), finished_at = now()
    WHERE id IN (
        SELECT jobs.id FROM jobs JOIN atlas_layers USING (atlas_no, layer_no)
        JOIN atlases ON atlases.no = jobs.atlas_no
        WHERE atlases.network_id = :network AND atlas_layers.layer = :layer)
""")
_PROVENANCE = {
    "dtype": "float32",
    "torch": "2.14.1",
    "device": "CPU, 2 of 2 cores",
    "engine": "3",
    "revision": "0" * 40,
    "batch_size": 64,
    "group_size": 8,
    "batch_seconds": 12.3,
    "skipped_steps": 0,
}


def drop_indexes(database: Database) -> Mapping[str, str]:
    """Take the deferred indexes away; returns how each is made. Those that are gone are left out."""
    with database.session() as session:
        found = {row[0]: row[1] for row in session.execute(_INDEXED, {"names": [*DEFERRED]})}
        for name in found:
            session.execute(text(f"DROP INDEX {name}"))
    return found


def build_indexes(database: Database, definitions: Mapping[str, str], memory: str = "2GB") -> None:
    """Make them again."""
    for name in DEFERRED:
        with database.patient_session() as session:
            session.execute(text("SET LOCAL statement_timeout = 0"))
            session.execute(text(f"SET LOCAL maintenance_work_mem = '{memory}'"))
            if session.execute(_INDEXED, {"names": [name]}).first() is None:
                session.execute(text(definitions[name]))


def load(
    database: Database,
    network: str,
    images: Sequence[Mapping[str, Any]],
    real: Vectors,
    said: Callable[[int, int], None],
) -> None:
    """Let all queued pictures of a network be done. `images` are artifacts that pictures share, each with the
    number of its image; `said` hears how many layers are left, of how many."""
    with database.session() as session:
        layers = list(session.scalars(_JOBS_LEFT, {"network": network}))
        session.execute(_NO_IMAGES)
        session.execute(_IMAGES, {"artifacts": json.dumps(images)})
        session.execute(text("ANALYZE bench_images"))
    count = 1 + max(image["image"] for image in images)
    for index, layer in enumerate(layers):
        said(index, len(layers))
        seed = int.from_bytes(f"{network}/{layer}".encode()[-4:])
        with database.session() as session:
            session.execute(text("SET LOCAL statement_timeout = 0"))
            # What the foreign keys point to is there.
            session.execute(text("SET LOCAL session_replication_role = replica"))
            _load_layer(session, network, layer, count, real, seed)
    with database.session() as session:
        session.execute(_NO_IMAGES)


def _load_layer(session: Session, network: str, layer: str, images: int, real: Vectors, seed: int) -> None:
    rows = session.execute(_DIGESTS, {"network": network, "layer": layer}).all()
    draw = np.random.default_rng(seed)
    made = {
        "digests": [row.digest for row in rows],
        "activations": draw.gamma(4.0, 3.0, len(rows)).tolist(),
        "predictions": [json.dumps(_predictions(draw)) for _ in rows],
        "images": draw.integers(images, size=len(rows)).tolist(),
    }
    session.execute(_SET, made)
    session.execute(text("ANALYZE made"))
    session.execute(_DONE, {"eye": EYE, "provenance": json.dumps(_PROVENANCE)})
    session.execute(_ARTIFACTS)
    session.execute(_LABELS)
    vectors = drawn(real, len(rows), seed)
    units = np.array([row.unit for row in rows])
    copy_embeddings(session, embeddings_as_copied(made["digests"], network, layer, units, vectors))
    session.execute(_JOBS, {"network": network, "layer": layer})


def _predictions(draw: np.random.Generator) -> list[list[float]]:
    """Five classes with probabilities; some classes are seen much oftener than others."""
    classes = np.minimum(draw.zipf(1.3, size=12) - 1, 999)
    chosen = list(dict.fromkeys(classes.tolist()))[:5]
    shares = sorted(draw.dirichlet(np.full(len(chosen) + 1, 0.4))[: len(chosen)].tolist(), reverse=True)
    return [[number, share] for number, share in zip(chosen, shares, strict=True)]


def embeddings_as_copied(
    digests: Sequence[str], network: str, layer: str, units: NDArray[np.int64], vectors: Vectors
) -> bytes:
    """Rows of `embeddings` as PostgreSQL's binary COPY has them: all of one layer are equally long."""
    texts = {"digest": digests[0], "eye": EYE, "network_id": network, "layer": layer}
    fields: list[tuple[Any, ...]] = [("columns", ">i2")]
    for name, value in texts.items():
        fields += [(f"{name}_length", ">i4"), (name, f"S{len(value.encode())}")]
    fields += [("unit_length", ">i4"), ("unit", ">i4"), ("vector_length", ">i4")]
    fields += [("dimensions", ">i2"), ("unused", ">i2"), ("vector", ">f2", (DIMENSIONS,))]
    rows = np.zeros(len(digests), dtype=fields)
    rows["columns"] = 6
    for name, value in texts.items():
        rows[f"{name}_length"] = len(value.encode())
        rows[name] = np.array(digests if name == "digest" else [value] * len(digests), dtype=np.bytes_)
    rows["unit_length"], rows["unit"] = 4, units
    rows["vector_length"], rows["dimensions"], rows["vector"] = 4 + 2 * DIMENSIONS, DIMENSIONS, vectors
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows.tobytes() + b"\xff\xff"


def copy_embeddings(session: Session, data: bytes) -> None:
    """Into the table, as `embeddings_as_copied` gives them."""
    connection: Any = session.connection().connection.driver_connection
    command = "COPY embeddings (digest, eye, network_id, layer, unit, vector) FROM STDIN (FORMAT binary)"
    with connection.cursor() as cursor, cursor.copy(command) as copy:
        copy.write(data)
