"""Where pictures stand among real ones that were scanned, in what search finds; units that none excites."""

from typing import Any

import pytest
from sqlalchemy import text

from imago_engine.exemplars.quantiles import LEVELS
from services.base.database import Database
from services.base.errors import Invalid
from services.exemplars import percentiles, working
from services.exemplars.request import ScanRequest
from services.exemplars.submission import submit as submit_scan
from services.grids.cells import cells
from services.grids.orders import By, possible
from services.grids.subjects import of_best, of_version
from services.search import dead_units, labels
from tests.found_exemplars import claim as claim_scan
from tests.integration.atlases.building import carry_out, make
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
        alone = {digest: percentiles.of_picture(session, digest) for digest in digests}
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
        size = percentiles.size_of_photographs(session, NETWORK, LAYER)
        assert size is not None
        responses = [(1, 10.0), (2, 99.0), (3, 1.0)]
        standing = percentiles.of_responses(session, NETWORK, LAYER, responses, input_size=size)
    assert standing == {1: pytest.approx(25), 2: 100}


def test_photographs_are_seen_at_the_size_of_the_newest_scan_of_their_layer(
    staged: Database, settings: Any
) -> None:
    with staged.session() as session:
        assert percentiles.size_of_photographs(session, NETWORK, LAYER) is None
    for size, layer in ((112, LAYER), (224, LAYER), (160, OTHER)):
        scan(staged, settings.data_root, {layer: {1: 0.5}}, input_size=size)
    with staged.session() as session:
        assert percentiles.size_of_photographs(session, NETWORK, LAYER) == 224
        earlier = percentiles.of_responses(session, NETWORK, LAYER, [(1, 10.0)], input_size=112)
        none = percentiles.of_responses(session, NETWORK, LAYER, [(1, 10.0)], input_size=160)
    assert earlier == {1: pytest.approx(25)}
    assert not none


def at_size(size: int) -> dict[str, Any]:
    """A recipe whose pictures the network sees at a size."""
    return {"technique": "dgn-am", "parameters": {"input_size": size}}


def test_a_picture_is_compared_with_the_newest_scan_of_its_own_size(staged: Database, settings: Any) -> None:
    for size in (112, 224):
        submit(staged, request("1", layer=LAYER, recipe=at_size(size)))
    work_off(staged, {1: direction("1")})
    for size, most in ((112, 1.0), (112, 2.0), (224, 4.0), (160, 8.0)):
        scan(staged, settings.data_root, {LAYER: {1: 0.5}}, input_size=size)
        newest = "UPDATE unit_statistics SET quantiles = ARRAY(SELECT q * :most FROM unnest(quantiles) q) "
        with staged.session() as session:
            session.execute(text(newest + "WHERE scan_no = (SELECT max(no) FROM scans)"), {"most": most})
    with staged.session() as session:
        pictures = {
            row.size: (row.digest, row.activation)
            for row in session.execute(
                text(
                    "SELECT CAST(parameters ->> 'input_size' AS int) AS size, v.digest, activation "
                    "FROM visualizations v JOIN recipes r ON r.digest = recipe_digest"
                )
            )
        }
        for size, most in ((112, 2.0), (224, 4.0)):
            digest, activation = pictures[size]
            expected = 100 * activation / (40 * most)
            assert percentiles.of_picture(session, digest) == pytest.approx(expected, abs=0.5)


def test_a_picture_of_an_early_layer_is_compared_with_photographs_of_any_size_that_hold_what_it_sees(
    staged: Database, settings: Any
) -> None:
    submit(staged, request("0", layer=OTHER, recipe=at_size(32)))
    submit(staged, request("0", layer=LAYER, recipe=at_size(32)))
    work_off(staged, {0: direction("0")})
    fields = (
        "UPDATE layers SET receptive_field = :field, stride = 2, height = 8, width = 8 WHERE name = :name"
    )
    with staged.session() as session:
        for name, field in ((OTHER, 24), (LAYER, 25)):  # one and four strides fit into 32, or do not
            session.execute(text(fields), {"name": name, "field": field})
    scan(staged, settings.data_root, {OTHER: {0: 0.5}, LAYER: {0: 0.5}}, input_size=112)
    with staged.session() as session:
        rows = session.execute(text("SELECT layer, digest FROM visualizations")).all()
        standing = {row.layer: percentiles.of_picture(session, row.digest) for row in rows}
        shown = {layer: of_best(session, NETWORK, layer) for layer in (OTHER, LAYER)}
        (cell,) = cells(session, shown[OTHER], [0])
        orders = {layer: By.PERCENTILE in possible(subject) for layer, subject in shown.items()}
    assert standing[OTHER] is not None
    assert standing[LAYER] is None
    assert cell.percentile == standing[OTHER]
    assert orders == {OTHER: True, LAYER: False}


@pytest.mark.parametrize("odd", ["0", "5"])
def test_one_picture_of_another_size_takes_the_order_by_percentile_from_no_layer(
    staged: Database, settings: Any, odd: str
) -> None:
    submit(staged, request(odd, layer=LAYER, recipe=at_size(160)))
    submit(staged, request("1-4", layer=LAYER, recipe=at_size(112)))
    work_off(staged, {unit: direction(str(unit)) for unit in range(6)})
    scan(staged, settings.data_root, {LAYER: dict.fromkeys(range(6), 0.5)}, input_size=112)
    with staged.session() as session:
        assert By.PERCENTILE in possible(of_best(session, NETWORK, LAYER))


def test_a_version_from_before_the_network_changed_goes_by_the_photographs_of_that_time(
    staged: Database, settings: Any
) -> None:
    id = make(staged, layers=LAYER, units="0-3", recipe=at_size(112))
    carry_out(staged, id)
    work_off(staged, {unit: direction(str(unit)) for unit in range(4)})
    scan(staged, settings.data_root, {LAYER: dict.fromkeys(range(4), 0.5)}, input_size=112)
    with staged.session() as session:
        session.execute(text("UPDATE networks SET spec_sha256 = :new"), {"new": "c" * 64})
    scan(staged, settings.data_root, {LAYER: dict.fromkeys(range(4), 0.5)}, input_size=112)
    with staged.session() as session:
        scans = session.scalars(text("SELECT no FROM scans ORDER BY no")).all()
        before = of_version(session, NETWORK, LAYER, id, "open", by=None).watched
        now = of_best(session, NETWORK, LAYER).watched
        assert before is not None
        assert now is not None
        assert (before.scan_no, before.compared) == (scans[0], scans[0])
        assert now.scan_no == scans[1]


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
