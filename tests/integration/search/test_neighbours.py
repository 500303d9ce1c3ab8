"""Units with like pictures: exact where there are few, by the approximate index where there are many."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.weights import EYE
from infra.local.servers import Servers
from services.base.database import Database
from services.base.errors import Invalid, NotFound
from services.search import neighbours
from services.search.neighbours import Neighbours, NotIndexed, Scope, Within
from tests.integration import staging
from tests.integration.query_plans import nodes
from tests.integration.query_plans import plans as plans_of
from tests.integration.search.indexed import digest_of, direction, work_off
from tests.integration.staging import NETWORK, request, submit
from tests.own_settings import own_settings


def around(database: Database, unit: int, layer: str = "blocks.4", **asked: Any) -> Neighbours:
    with database.session() as session:
        return neighbours.neighbours(session, NETWORK, layer, unit, **asked)


@pytest.fixture
def alike(staged: Database) -> Database:
    """Units 0 to 9 of a hidden layer look like `a`, the further the less, 10 to 19 like `b`."""
    a, b = direction("a"), direction("b")
    vectors = {u: direction(str(u), 0.01 * (u % 10 + 1), a if u < 10 else b) for u in range(20)}
    submit(staged, request("0-19", layer="blocks.4"))
    work_off(staged, vectors)
    return staged


def test_the_units_of_a_layer_come_by_likeness_without_the_unit_itself(alike: Database) -> None:
    found = around(alike, 0, limit=19)
    assert {one.unit for one in found.data[:9]} == set(range(1, 10))
    assert {one.unit for one in found.data[9:]} == set(range(10, 20))
    similarities = [one.similarity for one in found.data]
    assert similarities == sorted(similarities, reverse=True)
    assert similarities[0] > 0.9 > 0.5 > similarities[9]
    assert found.complete


def test_a_unit_of_no_activation_is_like_no_other(alike: Database) -> None:
    with alike.session() as session:
        session.execute(text("UPDATE visualizations SET activation = 8e-11 WHERE unit = 3"))
    found = around(alike, 0, limit=19)
    assert sorted(one.unit for one in found.data) == [1, 2, *range(4, 20)]
    assert not found.wants_nothing
    grey = around(alike, 3, limit=19)
    assert (grey.wants_nothing, grey.complete, grey.data) == (True, True, ())


def test_a_unit_with_many_pictures_is_one_neighbour_by_the_likest_of_them(alike: Database) -> None:
    submit(alike, request("3", layer="blocks.4", seeds=[1, 2, 3, 4]))
    work_off(alike, {3: direction("a")})
    with alike.session() as session:
        of_zero = neighbours.best_of(session, NETWORK, "blocks.4", 0)
    found = around(alike, 0, limit=19, digest=of_zero)
    assert sorted(one.unit for one in found.data) == list(range(1, 20))
    assert next(one for one in found.data if one.unit == 3).similarity > 0.99


def test_within_the_network_other_layers_count_too(alike: Database) -> None:
    submit(alike, request("7"))
    work_off(alike, {7: direction("b")})
    assert "classifier" not in {one.layer for one in around(alike, 12, limit=20).data}
    assert around(alike, 12, limit=1, within=Within.NETWORK).data[0].layer == "classifier"
    assert around(alike, 12, limit=1, within=Within.ALL).data[0].layer == "classifier"


def test_pictures_of_an_earlier_inspection_count_only_where_everything_does(alike: Database) -> None:
    submit(alike, request("30", layer="blocks.4"))
    work_off(alike, {30: direction("a")})
    with alike.session() as session:
        session.execute(
            text("UPDATE visualizations SET network_sha256 = repeat('e', 64) WHERE unit = 30"),
        )
    assert around(alike, 0, limit=1).data[0].unit != 30
    assert around(alike, 0, limit=1, within=Within.NETWORK).data[0].unit != 30
    nearest = around(alike, 0, limit=1, within=Within.ALL).data[0]
    assert (nearest.unit, nearest.current) == (30, False)


def test_a_picture_that_is_not_indexed_yet_is_said_to_be_so(alike: Database) -> None:
    submit(alike, request("25", layer="blocks.4"))
    work_off(alike, {})
    with pytest.raises(NotIndexed):
        around(alike, 25)
    assert not around(alike, 0).complete
    with pytest.raises(NotFound, match="picture"):
        around(alike, 60)


def test_only_a_picture_of_the_unit_can_be_compared(alike: Database) -> None:
    with alike.session() as session:
        other = neighbours.best_of(session, NETWORK, "blocks.4", 1)
    with pytest.raises(Invalid, match=r"blocks\.4/1"):
        around(alike, 0, digest=other)
    with pytest.raises(NotFound, match="visualization"):
        around(alike, 0, digest="0" * 64)


def test_embeddings_of_another_eye_are_never_compared(alike: Database) -> None:
    with alike.session() as session:
        session.execute(text("UPDATE embeddings SET eye = 'other-1' WHERE unit IN (1, 2, 3)"))
    assert not {1, 2, 3} & {one.unit for one in around(alike, 0, limit=19).data}


ROWS, CLUSTERS, RARE = 30_000, 300, 200
FEW = 1_000
"""Rows that are searched exactly here, so that all of them are too many."""
_LAYERS = ("blocks.4", "classifier", "features.0")


@pytest.fixture(scope="module")
def crowded(servers: Servers, migrated_template: str) -> Iterator[Database]:
    """Many pictures in clusters; a few of them of another network."""
    with own_settings(servers, migrated_template) as settings:
        database = Database(settings.database_url)
        staging.stage(database)
        submit(database, request("0"))
        centres = np.array([direction(f"cluster {n}") for n in range(CLUSTERS)])
        draw = np.random.default_rng(0)
        with database.session() as session:
            recipe = session.execute(text("SELECT recipe_digest FROM visualizations")).scalar_one()
            session.execute(text("SET LOCAL session_replication_role = replica"))
            session.execute(
                text("INSERT INTO networks (id, source, architecture) VALUES ('rare.x', 'timm', 'rare')")
            )
            # Built at once at the end, in a fraction of the time that 30,000 entries one by one would take.
            built = session.execute(text(_DEFINITION)).scalar_one()
            session.execute(text("DROP INDEX ix_embeddings_near"))
            for first in range(0, ROWS, 2000):
                vectors = centres[draw.integers(CLUSTERS, size=2000)]
                vectors = (vectors + 0.05 * draw.standard_normal(vectors.shape)).round(4).tolist()
                rows = [
                    {
                        "digest": digest_of(str(n)),
                        "unit": n,
                        "network": "rare.x" if n % (ROWS // RARE) == 0 else NETWORK,
                        "vector": vector,
                    }
                    for n, vector in enumerate(vectors, first)
                ]
                given = {"rows": json.dumps(rows), "recipe": recipe, "eye": EYE, "sha256": staging.WEIGHTS}
                for statement in _FILL:
                    session.execute(text(statement), given)
            session.execute(text(built))
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        yield database
        database.dispose()


_DEFINITION = "SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_embeddings_near'"
_FILL = (
    """
    INSERT INTO visualizations (
        digest, network_id, network_sha256, layer, unit, recipe_digest, seed, engine, batch_key, lane,
        queue_order, state, finished_at, activation, eye)
    SELECT digest, network, :sha256, 'blocks.4', unit, :recipe, 0, '1', '', 'bulk', unit, 'done', now(), 1,
        :eye
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (digest text, unit int, network text)
    """,
    """
    INSERT INTO embeddings (digest, eye, network_id, layer, unit, vector)
    SELECT digest, :eye, network, 'blocks.4', unit, CAST(vector AS halfvec)
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (digest text, unit int, network text, vector text)
    WHERE :recipe <> '' AND :sha256 <> ''
    """,
)


def near(database: Database, vector: list[float], scope: Scope, limit: int) -> list[int]:
    with database.session() as session:
        return [one.unit for one in neighbours.nearest(session, vector, scope, limit=limit)]


@pytest.mark.thorough
def test_the_approximate_index_finds_what_an_exact_search_does(
    crowded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything, found, wanted = Scope(None, None), [], []
    queries = [direction(f"query {n}", 0.05, direction(f"cluster {n}")) for n in range(20)]
    monkeypatch.setattr(neighbours, "EXACT_ROWS", FEW)
    for query in queries:
        found.append(set(near(crowded, query, everything, 20)))
    monkeypatch.setattr(neighbours, "EXACT_ROWS", ROWS + 1)
    for query in queries:
        wanted.append(set(near(crowded, query, everything, 20)))
    shared = sum(len(a & b) for a, b in zip(found, wanted, strict=True))
    assert shared / sum(map(len, wanted)) >= 0.95


def test_of_a_rare_network_as_many_are_found_as_were_asked_for(
    crowded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with crowded.session() as session:
        session.execute(text("UPDATE networks SET spec_sha256 = :sha"), {"sha": staging.WEIGHTS})
    monkeypatch.setattr(neighbours, "EXACT_ROWS", 10)
    query = direction("query", 0.05, direction("cluster 1"))
    assert len(near(crowded, query, Scope("rare.x", None), 50)) == 50


def test_however_many_without_activation_are_nearest_one_statement_finds_the_others(
    crowded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "EXACT_ROWS", FEW)
    query = direction("query", 0.05, direction("cluster 1"))
    grey = set(near(crowded, query, Scope(None, None), 90))
    found: list[int] = []

    def among_grey(session: Session) -> None:
        session.execute(
            text("UPDATE visualizations SET activation = 8e-11 WHERE unit = ANY(:units)"),
            {"units": list(grey)},
        )
        nearest = neighbours.nearest(session, query, Scope(None, None), limit=20)
        found.extend(one.unit for one in nearest)

    asked = [plan for statement, plan in plans_of(crowded, among_grey) if "<=>" in statement]
    assert len(asked) == 1
    assert "ix_embeddings_near" in {node.get("Index Name") for node in nodes(asked[0])}
    assert len(found) == 20
    assert not grey & set(found)


def test_searching_everything_uses_the_index_of_the_eye_and_a_layer_its_own(
    crowded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "EXACT_ROWS", FEW)

    def indexes(scope: Scope) -> set[str]:
        plans = plans_of(
            crowded, lambda session: neighbours.nearest(session, direction("query"), scope, limit=20)
        )
        read = [node for _, plan in plans for node in nodes(plan)]
        whole = {node["Relation Name"] for node in read if node["Node Type"] == "Seq Scan"}
        assert "visualizations" not in whole, "activations are looked up of the nearest alone"
        return {node["Index Name"] for node in read if "Index Name" in node}

    assert "ix_embeddings_near" in indexes(Scope(None, None))
    layer = indexes(Scope("rare.x", "blocks.4"))
    assert "ix_embeddings_unit" in layer
    assert "ix_embeddings_near" not in layer
