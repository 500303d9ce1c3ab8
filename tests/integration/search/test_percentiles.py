"""Where pictures stand among real ones that were scanned, in what search finds; units that none excites."""

from typing import Any

import pytest
from sqlalchemy import text

from imago_engine.exemplars.quantiles import LEVELS
from services.base.database import Database
from services.base.errors import Invalid
from services.exemplars import found, percentiles, working
from services.exemplars.request import ScanRequest
from services.exemplars.submission import submit as submit_scan
from services.pictures import visualizations
from services.search import dead_units, labels
from tests.found_exemplars import claim as claim_scan
from tests.integration.query_plans import nodes, plans
from tests.integration.search.indexed import direction, work_off
from tests.integration.staging import NETWORK, request, submit

LAYER, OTHER = "blocks.4", "features.0"


def scan(database: Database, data_root: Any, layers: dict[str, dict[int, float]], **rest: Any) -> None:
    """A scan that found of each unit this share of pictures that excite it, of activations up to 40."""
    asked = {"sources": ["birds"], "layers": ",".join(layers), **rest}
    with database.session() as session:
        submit_scan(
            session,
            NETWORK,
            ScanRequest.model_validate(asked),
            owner=None,
            idempotency_key=None,
            data_root=data_root,
        )
    task = claim_scan(database)
    with database.session() as session:
        for layer, units in layers.items():
            rows = [
                {
                    "layer": layer,
                    "unit": unit,
                    "counted": 50,
                    "non_zero": share,
                    "quantiles": [40 * level if share else 0.0 for level in LEVELS],
                    "usual_quantiles": None,
                }
                for unit, share in units.items()
            ]
            assert working.add_statistics(session, task, rows)
        assert working.add_exemplars(session, task, [], [], {"phase": "cropping", "pictures": 50, "crops": 0})
        assert working.finish(session, task)


def dead(database: Database, **asked: Any) -> list[tuple[str, int]]:
    cursor, seen = None, []
    while True:
        with database.session() as session:
            page = dead_units.dead(session, cursor=cursor, **asked)
        seen += [(unit.layer, unit.unit) for unit in page.data]
        if (cursor := page.next_cursor) is None:
            return seen


def test_units_that_no_scanned_picture_excites_are_found_page_by_page(
    staged: Database, settings: Any
) -> None:
    scan(staged, settings.data_root, {OTHER: {0: 0.0, 1: 0.5}, LAYER: {3: 0.0, 5: 0.25, 9: 0.0}})
    wanted = [(LAYER, 3), (LAYER, 9), (OTHER, 0)]
    assert dead(staged, limit=1) == dead(staged, limit=2) == dead(staged, network=NETWORK) == wanted
    assert dead(staged, network=NETWORK, layer=OTHER) == [(OTHER, 0)]
    with staged.session() as session, pytest.raises(Invalid, match="needs a network"):
        dead_units.dead(session, layer=LAYER)


def test_the_newest_scan_says_whether_a_unit_is_dead_and_earlier_weights_say_nothing(
    staged: Database, settings: Any
) -> None:
    scan(staged, settings.data_root, {LAYER: {3: 0.0, 4: 0.5}, OTHER: {1: 0.0}})
    scan(staged, settings.data_root, {LAYER: {3: 0.1, 4: 0.0}})
    assert dead(staged, limit=1) == [(LAYER, 4), (OTHER, 1)]
    with staged.session() as session:
        session.execute(text("UPDATE scans SET network_sha256 = 'other'"))
    assert dead(staged) == []


def test_a_dead_unit_is_shown_with_its_picture_if_it_has_one(staged: Database, settings: Any) -> None:
    scan(staged, settings.data_root, {LAYER: {3: 0.0, 4: 0.0}})
    submit(staged, request("3", layer=LAYER))
    work_off(staged, {3: direction("3")})
    with staged.session() as session:
        first, second = dead_units.dead(session).data
    assert first.digest is not None
    assert first.activation is not None
    assert (second.digest, second.activation) == (None, None)


def test_percentiles_of_many_pictures_are_those_of_each(staged: Database, settings: Any) -> None:
    scan(staged, settings.data_root, {LAYER: dict.fromkeys(range(8), 0.5)})
    submit(staged, request("0-9", layer=LAYER))
    work_off(staged, {u: direction(str(u)) for u in range(10)})
    with staged.session() as session:
        digests = list(session.scalars(text("SELECT digest FROM visualizations")))
        at_once = percentiles.of_pictures(session, digests)
        alone = {digest: found.of_picture(session, visualizations.get(session, digest)) for digest in digests}
    assert at_once == {digest: level for digest, level in alone.items() if level is not None}
    assert len(at_once) == 8


@pytest.mark.parametrize("least", [0, 10, 42.5, 97.5, 100])
def test_only_pictures_that_stand_high_enough_are_found(
    staged: Database, settings: Any, least: float
) -> None:
    scan(staged, settings.data_root, {LAYER: dict.fromkeys(range(30), 0.5)})
    submit(staged, request("0-39", layer=LAYER))
    work_off(staged, {u: direction(str(u)) for u in range(40)})
    with staged.session() as session:
        everything = labels.saying(session, "class 7", limit=100).data
        standing = percentiles.of_pictures(session, [said.digest for said in everything])
        chosen = labels.saying(session, "class 7", min_percentile=least, limit=100).data
    assert {said.digest for said in chosen} == {
        digest for digest, level in standing.items() if level >= least
    }
    assert len(standing) == 30


def test_responses_to_a_photograph_are_compared_with_the_strongest_of_real_pictures(
    staged: Database, settings: Any
) -> None:
    scan(staged, settings.data_root, {LAYER: {1: 0.5, 2: 0.5}})
    with staged.session() as session:
        standing = percentiles.of_responses(session, NETWORK, LAYER, [(1, 10.0), (2, 99.0), (3, 1.0)])
    assert standing == {1: pytest.approx(25), 2: 100}


def test_dead_units_are_read_from_their_own_index(staged: Database, settings: Any) -> None:
    scan(staged, settings.data_root, {LAYER: {3: 0.0}})
    with staged.session() as session:
        session.execute(
            text("""
            INSERT INTO unit_statistics (scan_no, layer, unit, counted, non_zero, quantiles)
            SELECT max(no), 'many', n, 1, CASE WHEN n % 20 = 0 THEN 0 ELSE 0.5 END, '{}'
            FROM scans, generate_series(0, 29999) AS n GROUP BY n""")
        )
    with staged.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE unit_statistics"))
    used = [
        node["Index Name"]
        for _, plan in plans(staged, lambda session: dead_units.dead(session, limit=50))
        for node in nodes(plan)
        if node.get("Relation Name") == "unit_statistics"
    ]
    assert used == ["ix_unit_statistics_dead"]
