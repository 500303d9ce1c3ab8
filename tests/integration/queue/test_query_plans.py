"""What is asked often costs the same whatever the tables hold: the plans are read, nothing is timed."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import TextClause, event, text
from sqlalchemy.orm import Session

from infra.local.servers import Servers
from services.base.database import Database
from services.base.states import Lane, State
from services.estimates import forecast
from services.jobs import jobs
from services.pictures import losses, visualizations
from services.pictures.losses import Subject
from services.queue import batches, takeable, workers
from services.queue import chores as work
from services.queue.batches import BATCHES
from services.queue.kinds import pulse
from services.queue.queue_order import next_turn
from services.queue.reconciliation import reconcile
from services.trainings.precedence import work_goes_before
from services.upkeep import collection, scrubbing
from tests.integration import staging
from tests.integration.query_plans import nodes
from tests.integration.query_plans import plans as plans_of
from tests.integration.staging import claim, finish, picture, request, submit
from tests.own_settings import own_settings

ROWS = 100_000
LARGE = ("visualizations", "job_visualizations", "artifacts")
"""Tables that grow without bounds."""


@pytest.fixture(scope="module")
def crowded(servers: Servers, migrated_template: str) -> Iterator[Database]:
    """Many items: a fifth waits in each lane, the rest is done; ten jobs want a tenth each."""
    with own_settings(servers, migrated_template) as settings:
        database = Database(settings.database_url)
        staging.stage(database)
        submit(database, request("0"))
        with database.session() as session:
            recipe = session.execute(text("SELECT recipe_digest FROM visualizations")).scalar_one()
            # Without the triggers of the foreign keys: these rows are known to be right.
            session.execute(text("SET LOCAL session_replication_role = replica"))
            for statement in _FILL:
                session.execute(text(statement), {"rows": ROWS, "recipe": recipe})
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        yield database
        database.dispose()


_FILL = (
    f"""
    INSERT INTO visualizations (
        digest, network_id, network_sha256, layer, unit, generator_id, recipe_digest, seed, engine, batch_key,
        lane, queue_order, state, finished_at)
    SELECT encode(sha256(i::text::bytea), 'hex'), '{staging.NETWORK}', '{staging.WEIGHTS}', 'classifier', i %
    400,
        '{staging.GENERATOR}', :recipe, i / 400, '1', lpad((i % 20)::text, 16, '0'),
        CASE WHEN i % 2 = 0 THEN 'interactive' ELSE 'bulk' END, i,
        CASE WHEN i % 5 < 2 THEN 'queued' ELSE 'done' END,
        CASE WHEN i % 5 < 2 THEN NULL ELSE now() END
    FROM generate_series(1, :rows) AS i WHERE :recipe <> ''
    """,
    """
    INSERT INTO artifacts (digest, kind, object, media_type)
    SELECT encode(sha256(i::text::bytea), 'hex'), kind, 'objects/' || kind || i, 'image/png'
    FROM generate_series(1, :rows) AS i CROSS JOIN (VALUES ('image'), ('code'), ('trace')) AS kinds (kind)
    WHERE i % 5 >= 2 AND :recipe <> ''
    """,
    """
    INSERT INTO jobs (id, state, lane, request, request_hash, total, cached, done, turn)
    SELECT 'job_' || lpad(i::text, 26, '0'), 'running', 'bulk', '{}', '', :rows / 10, 0, :rows * 3 / 50, i
    FROM generate_series(0, 9) AS i WHERE :recipe <> ''
    """,
    """
    INSERT INTO job_visualizations (job_id, ordinal, digest)
    SELECT 'job_' || lpad(((i - 1) / (:rows / 10))::text, 26, '0'), (i - 1) % (:rows / 10),
        encode(sha256(i::text::bytea), 'hex')
    FROM generate_series(1, :rows) AS i WHERE :recipe <> ''
    """,
)
JOB = "job_" + "5".rjust(26, "0")


def _assert_by_index(plans: list[tuple[str, dict[str, Any]]]) -> None:
    """No table that grows is read whole."""
    for statement, plan in plans:
        for node in nodes(plan):
            whole = node["Node Type"] == "Seq Scan" and node["Relation Name"] in LARGE
            assert not whole, f"{node} in {statement}"


def test_a_claim_reads_the_queue_in_its_order_and_nothing_else(crowded: Database) -> None:
    plans = plans_of(
        crowded,
        lambda session: batches.claim(session, "worker", limit=64, lease_seconds=60, lanes=(Lane.BULK,)),
    )
    _assert_by_index(plans)
    ordered = [(s, p) for s, p in plans if "SKIP LOCKED" in s]
    indexes = [[node["Index Name"] for node in nodes(plan) if "Index Name" in node] for _, plan in ordered]
    assert indexes == [["ix_visualizations_turn"], ["ix_visualizations_batch"]]
    assert not any(node["Node Type"] == "Sort" for _, plan in ordered for node in nodes(plan))


NETWORK_LACKS = [f"network:{staging.NETWORK}"]


@pytest.mark.parametrize("analyzed", [True, False])
@pytest.mark.parametrize(
    "act",
    [
        lambda session: batches.claim(session, "worker", limit=64, lease_seconds=60, lacks=NETWORK_LACKS),
        lambda session: batches.interactive_waits(session, lacks=NETWORK_LACKS),
        lambda session: work_goes_before(session, "worker", lacks=NETWORK_LACKS),
    ],
    ids=["claim", "look", "training"],
)
def test_a_worker_that_lacks_a_network_reads_few_of_the_pictures_that_wait_for_it(
    crowded: Database, act: Callable[[Session], object], analyzed: bool
) -> None:
    def acts(session: Session) -> None:
        if not analyzed:
            session.execute(text("DELETE FROM pg_statistic WHERE starelid = 'visualizations'::regclass"))
        assert not act(session)

    found = plans_of(crowded, acts, executed=True)
    _assert_by_index(found)
    read = [
        node for _, plan in found for node in nodes(plan) if node.get("Relation Name") == "visualizations"
    ]
    rows = [
        node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) for node in read
    ]
    assert 0 < sum(rows) < 5 * takeable.NEAR, read


def test_what_a_worker_reports_finds_its_rows_by_index(crowded: Database) -> None:
    claimed = claim(crowded)
    digests = [work.digest for work in claimed.items]
    failures = [batches.Failure(digest, "broken", "Broken.", True) for digest in digests]
    acts: list[Callable[[Session], object]] = [
        lambda session: pulse(session, BATCHES, claimed.lease_id, steps=1, lease_seconds=60),
        lambda session: batches.conclude(
            session, claimed.lease_id, finished=[picture(digest) for digest in digests]
        ),
        lambda session: batches.conclude(session, claimed.lease_id, failures=failures),
        lambda session: batches.release(session, claimed.lease_id),
    ]
    for act in acts:
        _assert_by_index(plans_of(crowded, act))
    assert finish(crowded, claimed) == set(digests)


def test_taking_back_an_expired_lease_finds_its_rows_by_index(crowded: Database) -> None:
    claimed = claim(crowded)
    staging.expire(crowded, claimed.lease_id)
    _assert_by_index(plans_of(crowded, lambda session: reconcile(session, BATCHES)))
    with crowded.session() as session:
        batches.release(session, claimed.lease_id)


@pytest.mark.parametrize(
    "act",
    [
        lambda session: jobs.get(session, JOB),
        lambda session: jobs.list(session, limit=10),
        lambda session: jobs.items(session, JOB, limit=200),
        lambda session: visualizations.search(session, limit=50),
        lambda session: visualizations.search(session, network=staging.NETWORK, layer="classifier", unit=3),
        lambda session: visualizations.search(session, network=staging.NETWORK, state=State.FAILED),
        lambda session: visualizations.best(session, staging.NETWORK, "classifier", 3),
        workers.queue,
    ],
    ids=["job", "jobs", "items", "any", "unit", "failed", "best", "queue"],
)
def test_reading_finds_its_rows_by_index(crowded: Database, act: Callable[[Session], object]) -> None:
    _assert_by_index(plans_of(crowded, act))


def test_what_is_held_is_found_by_index_before_the_tables_were_ever_analyzed(crowded: Database) -> None:
    """As in the minutes after a large atlas was planned."""

    def unknown(act: Callable[[Session], object]) -> Callable[[Session], object]:
        def acts(session: Session) -> None:
            session.execute(text("DELETE FROM pg_statistic WHERE starelid = 'visualizations'::regclass"))
            act(session)

        return acts

    acts: list[Callable[[Session], object]] = [
        workers.queue,
        forecast.held,
        lambda session: next_turn(session, Lane.BULK, None),
        lambda session: jobs.list(session, limit=10),
    ]
    for act in acts:
        _assert_by_index(plans_of(crowded, unknown(act)))


def test_a_list_of_jobs_in_a_rare_state_reads_no_others(crowded: Database) -> None:
    def act(session: Session) -> object:
        ended = """
            INSERT INTO jobs (id, state, lane, request, request_hash, total, cached, done, turn, finished_at)
            SELECT 'job_z' || lpad(i::text, 25, '0'), 'succeeded', 'bulk', '{}', '', 1, 0, 1, 0, now()
            FROM generate_series(1, 5000) AS i
        """
        session.execute(text(ended))
        session.execute(text("ANALYZE jobs"))
        return jobs.list(session, state="failed", limit=50)

    lists = [plan for statement, plan in plans_of(crowded, act) if "ORDER BY jobs.id DESC" in statement]
    indexes = [node["Index Name"] for plan in lists for node in nodes(plan) if "Index Name" in node]
    assert indexes == ["ix_jobs_state"]


def test_items_in_a_rare_state_are_looked_for_in_a_part_of_the_job(crowded: Database) -> None:
    found = plans_of(crowded, lambda session: jobs.items(session, JOB, state="failed", limit=50))
    _assert_by_index(found)
    of_items = [plan for statement, plan in found if "candidates.count" in statement]
    assert 1 < len(of_items) <= jobs.LOOKED_AT // jobs._LOOKED_AT_ONCE
    for plan in of_items:
        bounds = [node.get("Index Cond", "") for node in nodes(plan) if node.get("Alias") == "jv"]
        assert any("ordinal <=" in bound for bound in bounds), plan


def test_a_page_of_jobs_that_wait_asks_no_more_than_two_of_them(crowded: Database) -> None:
    """What goes before each of them is counted in one look at the queue, up to its cap."""
    unended = "WHERE finished_at IS NULL"
    with crowded.session() as session:
        session.execute(text(f"UPDATE jobs SET state = 'queued', done = 0 {unended}"))
    try:
        two = plans_of(crowded, lambda session: jobs.list(session, limit=2))
        all_of_them = plans_of(crowded, lambda session: jobs.list(session, limit=11))
    finally:
        with crowded.session() as session:
            session.execute(text(f"UPDATE jobs SET state = 'running', done = total * 3 / 5 {unended}"))
    assert len(all_of_them) == len(two)
    counted = [
        (statement, plan) for statement, plan in all_of_them if "width_bucket(queue_order" in statement
    ]
    assert counted
    for _, plan in counted:
        reads = [node for node in nodes(plan) if node.get("Relation Name") == "visualizations"]
        assert [(node["Node Type"], node["Index Name"]) for node in reads] == [
            ("Index Only Scan", "ix_visualizations_turn")
        ]
        assert [node for node in nodes(plan) if node["Node Type"] == "Limit"]


def test_a_later_page_starts_where_the_cursor_says(crowded: Database) -> None:
    with crowded.session() as session:
        first = visualizations.search(session, network=staging.NETWORK, limit=50)
    plans = plans_of(
        crowded,
        lambda session: visualizations.search(
            session, network=staging.NETWORK, limit=50, cursor=first.next_cursor
        ),
    )
    _assert_by_index(plans)
    scans = [n for _, plan in plans for n in nodes(plan) if n.get("Relation Name") == "visualizations"]
    assert any("ROW(network_id, layer, unit, digest) >" in node.get("Index Cond", "") for node in scans), (
        scans
    )


def test_keeping_the_store_whole_finds_its_rows_by_index(crowded: Database) -> None:
    with crowded.session() as session:
        for stage in scrubbing.STAGES:
            _assert_by_index(_explained(session, scrubbing._ROWS[stage], after="0", limit=100))
    keys = [f"objects/image{n}" for n in range(1000)]
    acts: list[Callable[[Session], object]] = [
        lambda session: collection.write_down(session, keys),
        lambda session: collection.pointed_to(session, keys),
        lambda session: losses.keys_of(session, Subject("visualization", "0" * 64)),
    ]
    for act in acts:
        _assert_by_index(plans_of(crowded, act))


def test_work_is_claimed_in_its_order_however_much_there_is(crowded: Database) -> None:
    fill = """
        INSERT INTO work (kind, subject, not_before)
        SELECT 'repair', 'visualization:' || i, now() + make_interval(secs => i - 100000)
        FROM generate_series(1, 100000) AS i
    """
    with crowded.session() as session:
        session.execute(text(fill))
    with crowded.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE work"))
    acts: list[Callable[[Session], object]] = [
        lambda session: work.claim(session, "repair", "worker", limit=8, lease_seconds=60),
        lambda session: pulse(session, work.CHORES["repair"], 1, lease_seconds=60),
        lambda session: work.done(session, 1, ["visualization:1"]),
        lambda session: work.release(session, 1),
        lambda session: work.CHORES["repair"].take_back(session, [1]),
    ]
    try:
        for act in acts:
            for statement, plan in plans_of(crowded, act):
                for node in nodes(plan):
                    assert (node["Node Type"], node.get("Relation Name")) != ("Seq Scan", "work"), statement
    finally:
        with crowded.session() as session:
            session.execute(text("TRUNCATE work"))


def _explained(
    session: Session, statement: TextClause, **parameters: Any
) -> list[tuple[str, dict[str, Any]]]:
    explain = text("EXPLAIN (FORMAT JSON) " + statement.text)
    return [(statement.text, session.execute(explain, parameters).scalar_one()[0]["Plan"])]


def test_a_job_of_many_items_is_submitted_with_a_few_statements(crowded: Database) -> None:
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(crowded.engine, "before_cursor_execute", note)
    try:
        submit(crowded, request("all", seeds=[7001, 7002, 7003, 7004, 7005, 7006]))
    finally:
        event.remove(crowded.engine, "before_cursor_execute", note)
    assert len(statements) < 25, statements
