"""Rounds over the store as a worker makes them: how soon the next slice comes."""

from functools import partial

import pytest
from sqlalchemy import text

from imago_engine.artifacts import ArtifactKind
from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.queue import chores
from services.queue.chores import CHORES, WorkClaim
from services.upkeep import collected, collection
from worker.leasing.chore_turns import ChoreTurns
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import LeaseKeeper
from worker.leasing.work_kinds import REMOVAL_SECONDS, Tend
from worker.process.stopping import StopFlag
from worker.upkeep.rounds import COLLECT_PAUSE_SECONDS, ROUND_PAUSE_SECONDS, Collecting


def collecting(database: Database, store: ObjectStore, settings: Settings) -> Collecting:
    stop = StopFlag()
    held = HeldLeases(database, settings, "worker", stop)
    return Collecting(held, store=store, settings=settings, stop=stop)


def test_a_round_goes_on_in_a_moment_while_rows_of_removed_scans_are_left(
    staged: Database, emptied: ObjectStore, shared_settings: Settings
) -> None:
    work = collecting(staged, emptied, shared_settings)
    with staged.session() as session:
        session.execute(
            text("""
                INSERT INTO unit_statistics (scan_no, layer, unit, counted, non_zero, quantiles)
                VALUES (1000, 'layer', 0, 9, 1, '{0}')
            """)
        )
    payload, pause = work.slice({}, lambda: False)
    assert pause == COLLECT_PAUSE_SECONDS
    while pause == COLLECT_PAUSE_SECONDS:
        payload, pause = work.slice(payload, lambda: True)
    assert pause == ROUND_PAUSE_SECONDS
    with staged.session() as session:
        assert session.scalar(text("SELECT count(*) FROM unit_statistics")) == 0


class Writing(ChoreTurns):
    """A chore that comes to bytes that lie in the store unused."""

    kind = CHORES["sheet"]

    def __init__(self, held: HeldLeases, store: ObjectStore, stop: StopFlag) -> None:
        super().__init__(held, stop, alternating=False)
        self._store = store

    def run(self, claim: WorkClaim, keeper: LeaseKeeper, tend: Tend) -> None:
        key = self._store.put(ArtifactKind.IMAGE, b"nobody's", "image/png")
        with self._database.session() as session:
            collected.guard(session, [key])


def test_a_chore_whose_object_is_being_removed_lets_the_collector_have_its_turn(
    staged: Database, emptied: ObjectStore, shared_settings: Settings
) -> None:
    key = emptied.put(ArtifactKind.IMAGE, b"nobody's", "image/png")
    with staged.session() as session:
        collection.write_down(session, [key])  # by a slice that had no time left to remove it
        chores.plan(session, "sheet", "1")
    stop = StopFlag()
    held = HeldLeases(staged, shared_settings, "worker", stop)
    collector = collecting(staged, emptied, shared_settings)
    collector.tidy()
    kinds = (Writing(held, emptied, stop), collector)
    # As the loop does: after each piece of work the first kind is asked again.
    while any(kind.look() for kind in kinds):
        pass
    with staged.session() as session:
        assert session.scalar(text("SELECT count(*) FROM collected WHERE removed_at IS NULL")) == 0
        rest = text("SELECT extract(epoch FROM not_before - now()) FROM work WHERE kind = 'sheet'")
        assert 0 < session.execute(rest).scalar_one() <= REMOVAL_SECONDS
        assert session.scalar(text("SELECT max(attempt + crash_count) FROM work")) == 0


def test_no_more_is_written_down_than_is_removed_at_once(
    staged: Database, emptied: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "AT_ONCE", 2)
    keys = [emptied.put(ArtifactKind.IMAGE, bytes([n]), "image/png") for n in range(7)]
    written, after = [0], ""
    while True:
        time_for_one = partial(next, iter([True]), False)
        done = collection.collect(staged, emptied, after, min_age=-60, may_go_on=time_for_one)
        with staged.session() as session:
            written.append(
                session.scalar(text("SELECT count(*) FROM collected WHERE removed_at IS NULL")) or 0
            )
        if done.after is None:
            break
        after = done.after
    assert 0 < max(written) <= collection.AT_ONCE
    assert not any(emptied.has(key) for key in keys)
