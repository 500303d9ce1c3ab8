"""What is read of an atlas is found by index, and costs the same whatever else there is."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from infra.local.servers import Servers
from services.atlases import atlases, entries, publishing
from services.atlases.building import steps
from services.base.database import Database
from services.jobs import jobs
from tests.integration import staging
from tests.integration.atlases.building import carry_out, make, step
from tests.integration.query_plans import nodes, plans
from tests.own_settings import own_settings

LARGE = {"atlas_entries", "visualizations", "job_visualizations", "artifacts"}


@pytest.fixture(scope="module")
def staged(servers: Servers, migrated_template: str) -> Iterator[Database]:
    """One for all tests, which change nothing: to fill it takes longer than any of them."""
    with own_settings(servers, migrated_template) as settings:
        database = Database(settings.database_url)
        staging.stage(database)
        yield database
        database.dispose()


@pytest.fixture(scope="module")
def id(staged: Database) -> str:
    """One of four atlases, of 6,400 entries each; its expansion has a last step to go."""
    ids = [make(staged, layers="classifier", facets=16) for _ in range(3)]
    for other in ids:
        carry_out(staged, other)
    last = make(staged, layers="classifier", facets=16, recipe={"parameters": {"steps": 21}})
    for _ in range(16):
        step(staged, last)
    with staged.session() as session:
        session.execute(
            text("""
                UPDATE visualizations SET state = 'done', finished_at = now() WHERE digest IN (
                    SELECT digest FROM atlas_entries JOIN atlases ON no = atlas_no WHERE id = :id LIMIT 50)
            """),
            {"id": last},
        )
        # As their jobs count them.
        session.execute(
            text("""
                UPDATE jobs SET done = 50 WHERE id = (
                    SELECT min(jobs.id) FROM jobs JOIN atlases ON no = atlas_no
                    WHERE atlases.id = :id AND total > 50)
            """),
            {"id": last},
        )
        session.execute(text("ANALYZE"))
    return last


@pytest.mark.parametrize(
    "act",
    [
        lambda session, id: atlases.get(session, id),
        lambda session, id: atlases.layers(session, id),
        lambda session, id: atlases.list(session),
        lambda session, id: entries.units_of(session, id, "open", "classifier").read(session, 100, 50),
        lambda session, id: jobs.list(session, atlas_no=1),
        lambda session, id: steps.step(session, id, steps.JobCursor()),
    ],
    ids=["atlas", "layers", "list", "units", "jobs", "step"],
)
def test_an_atlas_is_read_by_index(staged: Database, id: str, act: Callable[[Session, str], object]) -> None:
    for statement, plan in plans(staged, lambda session: act(session, id)):
        for node in nodes(plan):
            whole = node["Node Type"] == "Seq Scan" and node["Relation Name"] in LARGE
            assert not whole, f"{node} in {statement}"


def test_a_page_of_units_begins_where_the_cursor_says(staged: Database, id: str) -> None:
    def act(session: Session) -> object:
        return entries.units_of(session, id, "open", "classifier").read(session, 100, 50)

    (page,) = [plan for statement, plan in plans(staged, act) if "e.unit >" in statement]
    scans = [node for node in nodes(page) if node.get("Relation Name") == "atlas_entries"]
    assert [node["Index Name"] for node in scans] == ["pk_atlas_entries"]
    assert "unit > " in scans[0]["Index Cond"]
    assert not [node for node in nodes(page) if node["Node Type"] == "Sort"]


def test_publishing_finds_the_entries_of_its_atlas_by_index(staged: Database, id: str) -> None:
    def act(session: Session) -> object:
        # A quarter of the table is this atlas's, so that reading all of it may look as cheap: it may not be
        # the only way.
        session.execute(text("SET LOCAL enable_seqscan = off"))
        row, version = publishing.publish(session, id)
        publishing.publish_slice(session, row, version)
        return row

    found = plans(staged, act)
    scans = [
        node
        for statement, plan in found
        if "atlas_entries" in statement
        for node in nodes(plan)
        if node.get("Relation Name") == "atlas_entries"
    ]
    assert scans
    assert not [node for node in scans if node["Node Type"] == "Seq Scan"], scans


def test_to_ask_for_a_version_to_be_published_looks_at_no_entry(staged: Database, id: str) -> None:
    statements = [
        statement for statement, _ in plans(staged, lambda session: publishing.publish(session, id))
    ]
    assert not [statement for statement in statements if "atlas_entries" in statement]
    assert not [statement for statement in statements if "visualizations" in statement]


def test_a_list_of_atlases_takes_as_many_statements_as_one_atlas(staged: Database, id: str) -> None:
    one = plans(staged, lambda session: atlases.list(session, limit=1))
    several = plans(staged, lambda session: atlases.list(session, limit=50))
    # But for two that say of each that is being built how fast that goes and when it ends: all four are.
    assert len(several) - len(one) <= 2 * 3
