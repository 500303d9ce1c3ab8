"""What a picture consists of: stored, listed, found by its objects, replaced, whatever its kinds are."""

import dataclasses

import pytest
from sqlalchemy import event, text

from imago_engine.artifacts import Artifact, ArtifactKind
from services.base.database import Database
from services.base.storage import ObjectStore
from services.pictures import artifacts, losses, repairs, visualizations
from services.pictures.artifacts import StoredArtifact
from services.pictures.losses import Subject
from services.queue import batches, chores
from services.queue.batches import Finished
from services.upkeep import collection
from tests.integration import staging
from tests.integration.staging import claim, picture, real_picture, request, submit

UNHEARD_OF = StoredArtifact("hologram", "objects/ab/hologram.holo", "image/holo", 5, 7, 9)


def _report(database: Database, results: list[Finished], lease_id: int) -> set[str]:
    with database.session() as session:
        return batches.conclude(session, lease_id, finished=results)


def _finished(database: Database, *more: StoredArtifact) -> Finished:
    """A picture that is done, with these artifacts beside its own."""
    submit(database, request("0"))
    claimed = claim(database)
    made = picture(claimed.items[0].digest)
    made = dataclasses.replace(made, artifacts=[*made.artifacts, *more])
    assert _report(database, [made], claimed.lease_id) == {made.digest}
    return made


def test_what_is_put_says_what_it_is(emptied: ObjectStore) -> None:
    frames = Artifact(ArtifactKind.FRAMES, "image/webp", b"many pictures", 32, 24)
    stored = artifacts.put(emptied, frames)
    assert stored == StoredArtifact("frames", stored.object, "image/webp", 13, 32, 24)
    assert stored.object.endswith(".webp")
    assert emptied.get(stored.object) == b"many pictures"


def test_a_kind_that_nobody_has_heard_of_is_kept_listed_checked_and_not_collected(staged: Database) -> None:
    made = _finished(staged, UNHEARD_OF)
    with staged.session() as session:
        for found in (
            visualizations.get(session, made.digest),
            visualizations.objects_of(session, made.digest),
            visualizations.search(session, network=staging.NETWORK).data[0],
        ):
            assert found.artifacts == {artifact.kind: artifact for artifact in made.artifacts}
        assert UNHEARD_OF.object in losses.keys_of(session, Subject("visualization", made.digest))
        keys = [UNHEARD_OF.object, "objects/ab/nobody.holo"]
        assert collection.pointed_to(session, keys) == {UNHEARD_OF.object}
    staging.assert_consistent(staged)


def test_what_is_not_done_has_no_artifacts(staged: Database) -> None:
    submit(staged, request("0"))
    digest = claim(staged).items[0].digest
    with staged.session() as session:
        assert visualizations.get(session, digest).artifacts == {}
        assert visualizations.objects_of(session, digest).artifacts == {}


def test_a_batch_is_ended_with_one_statement_for_all_of_its_artifacts(staged: Database) -> None:
    submit(staged, request("0-39"))
    claimed = claim(staged)
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(staged.engine, "before_cursor_execute", note)
    try:
        assert len(staging.finish(staged, claimed)) == 40
    finally:
        event.remove(staged.engine, "before_cursor_execute", note)
    assert sum("artifacts" in statement for statement in statements) == 1
    with staged.session() as session:
        assert session.scalar(text("SELECT count(*) FROM artifacts")) == 80


def test_a_batch_reported_again_or_late_lists_nothing_twice(staged: Database) -> None:
    submit(staged, request("0-1"))
    claimed = claim(staged)
    results = [picture(work.digest) for work in claimed.items]
    assert len(_report(staged, [*results, *results], claimed.lease_id)) == 2
    other = dataclasses.replace(results[0], artifacts=[*results[0].artifacts, UNHEARD_OF])
    assert _report(staged, [other], claimed.lease_id) == set()
    with staged.session() as session:
        assert session.scalar(text("SELECT count(*) FROM artifacts")) == 4


@pytest.mark.parametrize("kinds", [(), ("code",), ("image", "image"), ("image", "code", "code")])
def test_a_picture_has_one_image_and_no_kind_twice(kinds: tuple[str, ...]) -> None:
    given = [StoredArtifact(kind, f"objects/{kind}", "image/png", 1) for kind in kinds]
    with pytest.raises(ValueError, match="each kind of artifact is given once"):
        dataclasses.replace(picture("a" * 64), artifacts=given)


def test_a_repaired_picture_consists_of_what_was_made_now(staged: Database, emptied: ObjectStore) -> None:
    before = _finished(staged, UNHEARD_OF)
    after = real_picture(emptied, before.digest)
    with staged.session() as session:
        subject = Subject("visualization", before.digest)
        assert losses.note(session, subject, before.objects[0], "missing", "read") is not None
        claimed = chores.claim(session, "repair", "worker", limit=1, lease_seconds=60)
        assert claimed is not None
        assert repairs.replace(session, claimed, [after]) == {before.digest}
    with staged.session() as session:
        found = visualizations.objects_of(session, before.digest).artifacts
    assert found == {artifact.kind: artifact for artifact in after.artifacts}
    staging.assert_consistent(staged)


def test_artifacts_go_with_their_visualization(staged: Database) -> None:
    made = _finished(staged)
    with staged.session() as session:
        session.execute(text("DELETE FROM job_visualizations"))
        session.execute(text("DELETE FROM visualizations WHERE digest = :digest"), {"digest": made.digest})
        assert session.scalar(text("SELECT count(*) FROM artifacts")) == 0
