"""Shorthands for what people and workers do with comparisons."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from PIL import Image
from sqlalchemy import text

from imago_engine.artifacts import Artifact, ArtifactKind
from imago_engine.weights import EYE
from services.base.database import Database
from services.base.storage import ObjectStore
from services.comparison import comparisons
from services.comparison.compared_units import ComparedUnit, page
from services.comparison.comparisons import Comparison
from services.pictures.artifacts import put
from services.queue import batches
from tests.integration.staging import picture
from worker.comparison.comparison_turn import Comparing

LAYER, LATER = "blocks.4", "later.x"
UNITS = range(10)


def colour(digest: str) -> tuple[int, int, int]:
    return int(digest[:2], 16), int(digest[2:4], 16), int(digest[4:6], 16)


def finish(
    database: Database, store: ObjectStore, vectors: Mapping[int, Sequence[float] | None], **made: Any
) -> None:
    """Do what a worker does: a picture of one colour for each unit, seen by the eye as its vector."""
    while True:
        with database.session() as session:
            claim = batches.claim(session, "tester", limit=64, lease_seconds=60)
        if claim is None:
            return
        results = []
        for work in claim.items:
            file, vector = io.BytesIO(), vectors.get(work.unit)
            Image.new("RGB", (128, 128), colour(work.digest)).save(file, "PNG")
            image = put(store, Artifact(ArtifactKind.IMAGE, "image/png", file.getvalue(), 128, 128))
            eye = None if vector is None else EYE
            said = {**made, "eye": eye, "embedding": vector, "artifacts": [image]}
            results.append(replace(picture(work.digest), **said))
        with database.session() as session:
            batches.conclude(session, claim.lease_id, finished=results)


def shown(database: Database, a: str, b: str, **rest: Any) -> Comparison:
    with database.session() as session:
        return comparisons.find(session, a, b, **rest)


def units(database: Database, a: str, b: str, layer: str, limit: int = 50) -> Iterator[ComparedUnit]:
    cursor = None
    while True:
        with database.session() as session:
            found = comparisons.find(session, a, b)
            read = page(session, found, found.layer(layer), cursor, limit)
        yield from read.data
        if (cursor := read.next_cursor) is None:
            return


def work(worker: Comparing) -> int:
    slices = 0
    while worker.look():
        slices += 1
        assert slices < 1000
    return slices


def hurry(database: Database) -> None:
    with database.session() as session:
        session.execute(text("UPDATE work SET not_before = now() WHERE kind = 'compare'"))


def rows(database: Database, table: str) -> int:
    with database.session() as session:
        return int(session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())
