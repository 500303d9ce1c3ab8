"""A worker's index: pictures as they are made, those of before, and photographs, by the shipped eye."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import text

from imago_engine.artifacts import Artifact, ArtifactKind
from imago_engine.weights import DIMENSIONS, EYE
from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.pictures import artifacts
from services.queue import batches, chores
from services.search import excitations, indexing
from tests.integration.staging import NETWORK, claim, picture, request, submit
from worker.indexing.backlog import Indexing
from worker.indexing.sight import Sight
from worker.leasing.held_leases import HeldLeases
from worker.process.devices import choose_device
from worker.process.stopping import StopFlag


def png(red: int) -> bytes:
    pixels = np.full((32, 32, 3), (red, 90, 255 - red), np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG")
    return encoded.getvalue()


@pytest.fixture(scope="module")
def sight() -> Sight:
    return Sight(choose_device("cpu", 1))


@pytest.fixture
def made_before(staged: Database, emptied: ObjectStore) -> Database:
    """Four pictures that no eye has seen; the store has lost one of them."""
    submit(staged, request("0-3"))
    claimed = claim(staged)
    results = []
    for number, work in enumerate(claimed.items):
        image = artifacts.put(emptied, Artifact(ArtifactKind.IMAGE, "image/png", png(60 * number), 32, 32))
        results.append(dataclasses.replace(picture(work.digest), artifacts=[image]))
    with staged.session() as session:
        batches.conclude(session, claimed.lease_id, finished=results)
    emptied.delete(results[3].artifacts[0].object)
    return staged


def test_what_was_made_before_is_indexed_and_what_the_store_lost_is_left_and_noted(
    made_before: Database, emptied: ObjectStore, shared_settings: Settings, sight: Sight
) -> None:
    worker = Indexing(
        HeldLeases(made_before, shared_settings, "worker", StopFlag()),
        store=emptied,
        sight=sight,
        stop=StopFlag(),
    )
    worker.tidy()
    assert worker.look()
    with made_before.session() as session:
        rows = session.execute(text("SELECT eye, vector_dims(vector) AS dims FROM embeddings")).all()
        assert [tuple(row) for row in rows] == [(EYE, DIMENSIONS)] * 3
        assert indexing.lacks(session)
        assert session.execute(text("SELECT count(*) FROM work WHERE kind = 'repair'")).scalar_one() == 1
    assert not worker.look()  # what is lost has its turn later


def test_once_everything_is_indexed_the_chore_is_gone_and_so_are_other_eyes(
    made_before: Database, emptied: ObjectStore, shared_settings: Settings, sight: Sight
) -> None:
    with made_before.session() as session:
        session.execute(text("DELETE FROM job_visualizations"))
        session.execute(text("DELETE FROM visualizations WHERE unit = 3"))
        session.execute(
            text(
                "INSERT INTO embeddings SELECT digest, 'other-1', network_id, layer, unit,"
                " (SELECT array_agg(1)::real[]::vector::halfvec(128) FROM generate_series(1, 128))"
                " FROM visualizations"
            )
        )
    worker = Indexing(
        HeldLeases(made_before, shared_settings, "worker", StopFlag()),
        store=emptied,
        sight=sight,
        stop=StopFlag(),
    )
    worker.tidy()
    assert worker.look()
    with made_before.session() as session:
        assert not indexing.lacks(session)
        assert set(session.scalars(text("SELECT eye FROM embeddings"))) == {EYE}
        assert session.execute(text("SELECT count(*) FROM work WHERE kind = 'index'")).scalar_one() == 0
        labels = session.execute(text("SELECT label, rank FROM picture_labels")).all()
        assert [tuple(row) for row in labels] == [("class 7", 1)] * 3
    worker.tidy()
    with made_before.session() as session:
        assert chores.claim(session, "index", "worker", lease_seconds=60) is None


def test_a_picture_that_is_made_again_is_indexed_again(made_before: Database) -> None:
    with made_before.session() as session:
        digests = list(session.scalars(text("SELECT digest FROM visualizations")))
        indexing.add(session, {digest: [1.0] + [0.0] * 127 for digest in digests})
        assert not indexing.lacks(session)
        indexing.forget(session, digests[:1])
        assert [one.digest for one in indexing.following(session, indexing.Place(), 9)] == digests[:1]


def test_answers_about_photographs_are_forgotten_after_an_hour(staged: Database) -> None:
    with staged.session() as session:
        asked = excitations.ask(session, NETWORK, "output", png(1))
        claimed = excitations.claim(session, "worker", lease_seconds=60)
        assert claimed is not None
        assert excitations.finish(session, claimed, {"excited": [], "alike": []})
        assert not excitations.finish(session, claimed, {"excited": [], "alike": []})
        assert excitations.get(session, asked.id).ended
        kept = session.execute(text("SELECT photograph FROM excitations")).scalar_one()
        assert kept is None
        session.execute(text("UPDATE excitations SET expires_at = now() - interval '1 second'"))
        excitations.forget_expired(session)
        assert session.execute(text("SELECT count(*) FROM excitations")).scalar_one() == 0
