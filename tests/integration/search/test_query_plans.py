"""What is searched is found by index: nothing that grows with all pictures is read."""

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.database import Database
from services.search import changes, labels
from services.search.without_pictures import unreachable
from tests.integration.query_plans import nodes, plans
from tests.integration.search.indexed import direction, work_off
from tests.integration.staging import NETWORK, request, submit

LARGE = {"embeddings", "picture_labels", "visualizations"}


@pytest.fixture
def searched(staged: Database) -> Database:
    """Pictures of two layers, all indexed."""
    submit(staged, request("0-199"))
    submit(staged, request("0-99", layer="blocks.4"))
    work_off(staged, {unit: direction(f"unit {unit}") for unit in range(200)})
    with staged.session() as session:
        session.execute(text("ANALYZE"))
    return staged


@pytest.mark.parametrize(
    "act",
    [
        lambda session: labels.saying(session, "class 7"),
        lambda session: labels.saying(session, "class 7", network=NETWORK, layer="blocks.4"),
        lambda session: changes.changes(
            session, NETWORK, "blocks.4", NETWORK, other_layer="blocks.4", limit=10
        ),
        lambda session: unreachable(session, network=NETWORK),
    ],
    ids=["label", "label in a layer", "changes", "unreachable"],
)
def test_a_search_reads_by_index(searched: Database, act: Callable[[Session], object]) -> None:
    def without_reading_all(session: Session) -> object:
        # Tables of a test are small, so that reading all of one looks as cheap: it may not be the only way.
        session.execute(text("SET LOCAL enable_seqscan = off"))
        return act(session)

    found = plans(searched, without_reading_all)
    assert any(name in statement for statement, _ in found for name in LARGE)
    for statement, plan in found:
        for node in nodes(plan):
            whole = node["Node Type"] == "Seq Scan" and node["Relation Name"] in LARGE
            assert not whole, f"{node} in {statement}"


def test_what_changed_is_told_without_reading_a_picture(searched: Database) -> None:
    """The index alone says which picture of each unit is the best, and the vectors of the layer are read in
    one go: neither is looked up one by one, however many pictures there are of a unit."""

    def act(session: Session) -> object:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        return changes.changes(session, NETWORK, "blocks.4", NETWORK, other_layer="blocks.4", limit=10)

    with searched.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    (plan,) = [plan for statement, plan in plans(searched, act) if "<=>" in statement]
    read = {
        (node["Node Type"], node["Index Name"])
        for node in nodes(plan)
        if node.get("Relation Name") == "visualizations"
    }
    assert read == {("Index Only Scan", "ix_visualizations_best")}
    vectors = [node.get("Index Name") for node in nodes(plan) if "embeddings" in str(node.get("Index Name"))]
    assert set(vectors) == {"ix_embeddings_unit"}


def test_units_that_say_a_word_are_read_in_the_order_of_the_index(searched: Database) -> None:
    """So that a page costs the same whatever a word's pictures are, also where the planner takes few of them
    to be of a network as it is now, as it does where there are many networks."""

    def act(session: Session) -> object:
        session.execute(text("ALTER TABLE networks ALTER COLUMN spec_sha256 SET (n_distinct = 1000)"))
        session.execute(text("ANALYZE networks"))
        session.execute(text("SET LOCAL enable_seqscan = off"))
        session.execute(text("SET LOCAL enable_bitmapscan = off"))
        return labels.saying(session, "class 7", limit=5)

    (plan,) = [plan for statement, plan in plans(searched, act) if "picture_labels" in statement]
    scans = [node for node in nodes(plan) if node.get("Index Name") == "ix_picture_labels_label"]
    assert scans
    limits = [node for node in nodes(plan) if node["Node Type"] == "Limit"]
    assert limits[-1]["Plans"][0]["Node Type"] != "Sort"


def test_no_search_starts_processes(searched: Database) -> None:
    """On two cores to start them takes longer than to read."""

    def act(session: Session) -> object:
        for setting in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"):
            session.execute(text(f"SET LOCAL {setting} = 0"))
        return changes.changes(session, NETWORK, "blocks.4", NETWORK, other_layer="blocks.4", limit=10)

    found = [node["Node Type"] for _, plan in plans(searched, act) for node in nodes(plan)]
    assert not [kind for kind in found if kind.startswith("Gather")]
