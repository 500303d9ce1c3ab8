"""Orders of large layers are computed once and read in parts; what a grid shows is read unit by unit."""

from collections.abc import Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.atlases import publishing
from services.base.database import Database
from services.grids import kept_orders, orders
from services.grids.cells import cells
from services.grids.kept_orders import Window
from services.grids.orders import By, Wanted
from services.grids.strips import OfVersion, posters, strips_of
from services.grids.subjects import Subject, of_version
from tests.integration import staging
from tests.integration.atlases.building import built, carry_out, make
from tests.integration.query_plans import nodes, plans

LAYER = "blocks.4"
STRONGEST = Wanted(by=By.ACTIVATION)


@pytest.fixture(autouse=True)
def every_layer_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_orders, "KEPT_FROM", 1)


def published(database: Database) -> str:
    id = built(database, layers=LAYER)
    with database.session() as session:
        publishing.publish(session, id)
    carry_out(database, id)
    return id


def subject(session: Session, id: str, version: str = "1") -> Subject:
    return of_version(session, staging.NETWORK, LAYER, id, version, by=None)


def window(database: Database, id: str, version: str = "1") -> Sequence[int] | None:
    with database.session() as session:
        found = kept_orders.window(session, subject(session, id, version), STRONGEST, 10, 20)
    return None if found is None else found.units


def test_publishing_computes_the_orders_that_readers_ask_for_first(staged: Database) -> None:
    id = published(staged)
    with staged.session() as session:
        shown = subject(session, id)
        for by in (By.ACTIVATION, By.LABEL):
            found = kept_orders.window(session, shown, Wanted(by=by), 10, 20)
            assert found is not None
            sorted_now = orders.order(session, shown, Wanted(by=by))
            assert (list(found.units), found.total) == (list(sorted_now[10:30]), len(sorted_now))
            assert kept_orders.whole(session, shown, Wanted(by=by)) == (orders.packed(sorted_now), False)


def test_a_part_of_an_order_is_read_without_a_look_at_a_picture(staged: Database) -> None:
    id = published(staged)
    with staged.session() as session:
        shown = subject(session, id)
    found = plans(staged, lambda session: kept_orders.window(session, shown, STRONGEST, 10, 20))
    read = {node["Relation Name"] for _, plan in found for node in nodes(plan) if "Relation Name" in node}
    assert read == {"grid_orders"}


def test_an_order_is_another_one_once_the_network_was_inspected_again(staged: Database) -> None:
    id = published(staged)
    assert window(staged, id) is not None
    with staged.session() as session:
        session.execute(text("UPDATE networks SET inspected_at = inspected_at + interval '1 hour'"))
    assert window(staged, id) is None


def test_an_order_of_what_is_being_built_is_shown_for_a_while_and_due_before(staged: Database) -> None:
    id = make(staged, layers=LAYER)
    carry_out(staged, id)
    with staged.session() as session:
        kept_orders.renew(session, subject(session, id, "open"), STRONGEST)
    staging.work_off(staged)

    def found() -> Window | None:
        with staged.session() as session:
            return kept_orders.window(session, subject(session, id, "open"), STRONGEST, 0, 20)

    before = found()
    assert before is not None
    assert not before.is_due
    age(staged, "10 minutes")
    due = found()
    assert due is not None
    assert (list(due.units), due.is_due) == (list(before.units), True)
    with staged.session() as session:
        kept_orders.renew(session, subject(session, id, "open"), STRONGEST)
        sorted_now = orders.order(session, subject(session, id, "open"), STRONGEST)
    now = found()
    assert now is not None
    assert (list(now.units), now.is_due) == (list(sorted_now[:20]), False)
    with staged.session() as session:
        session.execute(text("UPDATE grid_orders SET progress = 'of another time'"))
    age(staged, "2 hours")
    assert found() is None


def age(database: Database, by: str) -> None:
    with database.session() as session:
        session.execute(text("UPDATE grid_orders SET made_at = made_at - CAST(:by AS interval)"), {"by": by})


def test_every_facet_has_its_order_once_the_atlas_is_published(staged: Database) -> None:
    id = built(staged, layers=LAYER, facets=3)
    with staged.session() as session:
        publishing.publish(session, id)
    carry_out(staged, id)
    with staged.session() as session:
        shown = subject(session, id)
        for facet in range(3):
            wanted = Wanted(By.ACTIVATION, facet)
            kept = kept_orders.whole(session, shown, wanted)
            assert kept == (orders.packed(orders.order(session, shown, wanted)), False), facet


def test_an_order_goes_with_its_atlas(staged: Database) -> None:
    id = published(staged)
    with staged.session() as session:
        session.execute(text("DELETE FROM atlas_entries"))
        session.execute(text("UPDATE jobs SET atlas_no = NULL, layer_no = NULL"))
        session.execute(text("DELETE FROM atlases WHERE id = :id"), {"id": id})
        assert session.execute(text("SELECT count(*) FROM grid_orders")).scalar_one() == 0


def test_the_pictures_that_stand_for_a_layer_come_from_all_over_it(staged: Database) -> None:
    id = published(staged)
    with staged.session() as session:
        shown = subject(session, id)
        assert shown.place is not None
        place = OfVersion(shown.place.atlas_no, 1, {shown.place.layer_no: LAYER})
        units = [glimpse.unit for glimpse in strips_of(session, place, 4)[LAYER]]
        poster = [glimpse.unit for glimpse in posters(session, [place], 4)[0]]
    last = max(shown.units)
    assert [round(4 * unit / last) for unit in units] == [0, 1, 2, 3]
    assert {round(4 * unit / last) for unit in poster} == {0, 1, 2, 3}


@pytest.mark.parametrize("units", ["30-36", "10-14,110,111", "111"])
def test_the_few_units_of_an_atlas_stand_for_it_wherever_they_lie(staged: Database, units: str) -> None:
    id = built(staged, layers=LAYER, units=units)
    with staged.session() as session:
        shown = subject(session, id, "open")
        assert shown.place is not None
        place = OfVersion(shown.place.atlas_no, shown.place.number, {shown.place.layer_no: LAYER})
        poster = posters(session, [place], 8)[0]
    assert sorted(glimpse.unit for glimpse in poster) == list(shown.units)


def test_what_cells_and_posters_show_is_read_unit_by_unit(staged: Database) -> None:
    """Also where the planner takes a unit to have very many entries, as it does of a layer of 100,000."""
    id = published(staged)

    def act(session: Session) -> object:
        session.execute(text("ALTER TABLE atlas_entries ALTER COLUMN unit SET (n_distinct = 1)"))
        session.execute(text("ANALYZE atlas_entries, visualizations, artifacts"))
        # Tables of a test are small, so that reading all of one looks as cheap: it may not be the only way.
        session.execute(text("SET LOCAL enable_seqscan = off"))
        shown = subject(session, id)
        assert shown.place is not None
        place = OfVersion(shown.place.atlas_no, 1, {shown.place.layer_no: LAYER})
        return cells(session, shown, range(50)), posters(session, [place], 6)

    found = [(s, plan) for s, plan in plans(staged, act) if "atlas_entries" in s and "LATERAL" in s]
    assert len(found) == 2
    for statement, plan in found:
        kinds = {(node["Node Type"], node.get("Relation Name")) for node in nodes(plan)}
        assert not [kind for kind, _ in kinds if kind in ("Hash Join", "Merge Join")], statement
        assert ("Seq Scan", "visualizations") not in kinds, statement
