"""What workers have in hand when their leases move into one table stays theirs, and is freed if they die."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import text

from infra.local.servers import Servers
from services.base.database import Database, migrate, move_to
from services.base.settings import Settings
from services.queue import chores, leases
from services.queue.reconciliation import Reconciled, reconcile
from services.queue.registry import BY_NAME
from services.trainings import leases as training_leases
from tests.integration import staging
from tests.integration.base.test_upgrade import fill
from tests.own_settings import own_settings

BEFORE = "0013"
_IN_HAND = (
    """
    INSERT INTO work (kind, subject, fence, worker_id, expires_at, attempt, crash_count) VALUES
        ('repair', 'visualization:1', 700, 'old', now() + interval '1 hour', 1, 0),
        ('repair', 'visualization:2', 700, 'old', now() + interval '1 hour', 0, 0),
        ('repair', 'visualization:3', 701, 'dead', now() - interval '1 hour', 0, 1),
        ('scrub', 'store', 702, 'dead', now() - interval '1 hour', 0, 0)
    """,
    "INSERT INTO work (kind, subject, fence) VALUES ('repair', 'visualization:4', 699)",
    "UPDATE trainings SET fence = 800 WHERE state = 'running'",
    """
    UPDATE networks SET inspection_until = now() + interval '1 hour', inspection_tries = 2
    WHERE state = 'pending'
    """,
)
_ROWS = {
    "work": "SELECT * FROM work ORDER BY kind, subject",
    "networks": "SELECT id, state, inspection_until, inspection_tries FROM networks ORDER BY id",
    "trainings": "SELECT * FROM trainings ORDER BY id",
    "leases": "SELECT * FROM leases ORDER BY id",
}


@pytest.fixture
def old(servers: Servers) -> Iterator[Settings]:
    """A database whose workers are in the midst of everything."""
    with own_settings(servers, "template1") as settings:
        fill(settings.database_url)
        with sa.create_engine(settings.database_url, poolclass=sa.NullPool).begin() as connection:
            move_to(connection, BEFORE)
            for statement in _IN_HAND:
                connection.execute(text(statement))
        yield settings


def _rows(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    with sa.create_engine(settings.database_url, poolclass=sa.NullPool).connect() as connection:
        return {
            name: [dict(row) for row in connection.execute(text(query)).mappings()]
            for name, query in _ROWS.items()
        }


def _open(database: Database, kind: str) -> list[tuple[str, int]]:
    query = text("SELECT worker_id, items FROM leases WHERE ended_at IS NULL AND kind = :kind ORDER BY id")
    with database.session() as session:
        return [(row.worker_id, row.items) for row in session.execute(query, {"kind": kind})]


def test_what_is_in_hand_is_held_by_a_lease_with_a_number_that_no_claim_had(old: Settings) -> None:
    migrate(old.database_url)
    database = Database(old.database_url)
    assert _open(database, "repair") == [("old", 2), ("dead", 1)]
    assert _open(database, "scrub") == [("dead", 1)]
    assert _open(database, "inspection") == [("unknown", 1)]
    assert _open(database, "training") == [("old-worker", 1)]
    with database.session() as session:
        new = session.execute(text("SELECT min(id) FROM leases WHERE kind <> 'batch'")).scalar_one()
        assert new > 702
        # What lives is left alone, what is dead is taken back, and what is free is free.
        assert reconcile(session, BY_NAME["inspection"]) == Reconciled()
    with database.session() as session:
        assert reconcile(session, BY_NAME["repair"]) == Reconciled(1, 1, 0, 0)
    with database.session() as session:
        claim = chores.claim(session, "repair", "new", limit=9, lease_seconds=60)
        assert claim is not None
        assert [task.subject for task in claim.tasks] == ["visualization:4"]
        assert claim.lease_id > new
    with database.session() as session:
        assert reconcile(session, BY_NAME["training"]).requeued == 1  # it has expired long ago
    with database.session() as session:
        training = training_leases.claim(session, "new", lease_seconds=60)
        assert training is not None
        assert training.lease_id > 800  # no key of what it stores can be one of its earlier claims
        [alive] = leases.open_leases(session, "inspection")
        BY_NAME["inspection"].give_back(session, alive)
        tries = text("SELECT inspection_tries FROM networks WHERE state = 'pending'")
        assert session.execute(tries).scalar_one() == 1  # that it was begun is no death yet
    staging.assert_consistent(database)
    database.dispose()


def test_the_way_back_gives_everything_back_to_who_has_it(old: Settings) -> None:
    before = _rows(old)
    migrate(old.database_url)
    with sa.create_engine(old.database_url, poolclass=sa.NullPool).begin() as connection:
        move_to(connection, BEFORE)
    after = _rows(old)
    for rows in (before, after):
        for row in (*rows["work"], *rows["trainings"]):
            row.pop("fence")
    assert after == before
    migrate(old.database_url)
