"""Rounds over the store as a worker makes them: how soon the next slice comes."""

from sqlalchemy import text

from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from worker.leasing.held_leases import HeldLeases
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
