"""What scans have found goes after them in small steps, and nobody sees it meanwhile."""

import pytest
import sqlalchemy as sa
from sqlalchemy import text

from services.base.database import Database
from services.base.errors import NotFound
from services.base.storage import ObjectStore
from services.catalog import removal
from services.exemplars import forgetting, found, scans
from services.exemplars.tables import FOUND
from services.upkeep.collection import collect
from tests.integration import staging

LAYER = staging.LAYERS[0].name
UNITS = 30
STEP = 7
TABLES = ("exemplars", "crop_packs", "unit_statistics")


@pytest.fixture(autouse=True)
def steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many rows at once."""
    monkeypatch.setattr(forgetting, "AT_ONCE", STEP)


def scanned(database: Database, id: str, network: str = staging.NETWORK) -> str:
    """A scan that has ended and found two exemplars of each unit; returns its id."""
    with database.session() as session:
        session.execute(
            text("""
                WITH scan AS (
                    INSERT INTO scans
                        (id, network_id, network_sha256, state, request, request_hash, finished_at)
                    SELECT :id, id, spec_sha256, 'succeeded',
                        '{"layer_names": [], "input_size": 224, "exemplars": 2}', '', now()
                    FROM networks WHERE id = :network RETURNING no
                ), pack AS (
                    INSERT INTO crop_packs (scan_no, number, object, bytes)
                    SELECT no, number, 'objects/of-' || no || '/' || number, 9
                    FROM scan, generate_series(0, 9) number
                ), statistics AS (
                    INSERT INTO unit_statistics (scan_no, layer, unit, counted, non_zero, quantiles)
                    SELECT no, :layer, unit, 9, 1, '{0}' FROM scan, generate_series(1, :units) unit
                )
                INSERT INTO exemplars
                    (scan_no, layer, unit, rank, activation, picture, pack, start, length)
                SELECT no, :layer, unit, rank, 1, 'a.png', 0, 0, 9
                FROM scan, generate_series(1, :units) unit, generate_series(0, 1) rank
            """),
            {"id": id, "network": network, "layer": LAYER, "units": UNITS},
        )
    return id


def counted(database: Database) -> list[int]:
    """Rows of each table."""
    with database.session() as session:
        return [session.scalar(text(f"SELECT count(*) FROM {table}")) or 0 for table in TABLES]


WHOLE = [2 * UNITS, 10, UNITS]


def test_a_removed_scan_is_gone_at_once_and_its_rows_go_in_small_steps(staged: Database) -> None:
    kept, removed = scanned(staged, "scn_1"), scanned(staged, "scn_2")
    with staged.session() as session:
        assert found.of_unit(session, staging.NETWORK, LAYER, 3).statistics.scan == removed
        scans.remove(session, removed)
    with staged.session() as session:
        assert found.of_unit(session, staging.NETWORK, LAYER, 3).statistics.scan == kept
        with pytest.raises(NotFound):
            scans.get(session, removed)
    left = [sum(counted(staged))]
    assert left == [2 * sum(WHOLE)]
    while forgetting.forget_removed(staged, lambda: False):
        left.append(sum(counted(staged)))
        assert left[-2] - STEP <= left[-1] < left[-2]
    assert counted(staged) == WHOLE
    assert not forgetting.forget_removed(staged, lambda: True)
    assert counted(staged) == WHOLE


def test_what_the_scans_of_a_removed_network_have_found_goes_with_the_next_round(
    staged: Database, emptied: ObjectStore
) -> None:
    with staged.session() as session:
        session.execute(
            text("""
                INSERT INTO networks
                SELECT (jsonb_populate_record(n, '{"id": "other.net"}')).* FROM networks n WHERE id = :id
            """),
            {"id": staging.NETWORK},
        )
    scanned(staged, "scn_1", "other.net")
    scanned(staged, "scn_2", "other.net")
    scanned(staged, "scn_3")
    with staged.session() as session:
        removal.remove_network(session, "other.net")
    assert counted(staged) == [3 * count for count in WHOLE]
    # The round is not begun before all of it is gone.
    assert collect(staged, emptied, "", min_age=0, may_go_on=lambda: False).after == ""
    after: str | None = ""
    while after is not None:
        after = collect(staged, emptied, after, min_age=0).after
    assert counted(staged) == WHOLE


def test_rows_are_found_by_their_index_however_many_there_are(staged: Database) -> None:
    scanned(staged, "scn_1")
    with staged.session() as session:
        session.execute(forgetting._BY_INDEX)
        for table in FOUND:
            for query in (forgetting._GONE[table], forgetting._REMOVE[table]):
                explain = sa.text(f"EXPLAIN {query.text}")
                plan = "\n".join(session.scalars(explain, {"scan": 1, "most": STEP}))
                assert f"pk_{table.__tablename__}" in plan
                assert f"Seq Scan on {table.__tablename__}" not in plan
