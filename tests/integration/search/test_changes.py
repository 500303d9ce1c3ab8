"""Units of two networks by how unlike their pictures are, and units without a picture."""

import pytest
from sqlalchemy import text

from imago_engine.networks import LayerInfo
from services.base.database import Database
from services.base.errors import Invalid
from services.catalog.inspections import record_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.queue import batches
from services.search import changes, without_pictures
from tests.integration.search.indexed import direction, work_off
from tests.integration.staging import NETWORK, claim, request, submit

LATER = "later.x"


@pytest.fixture
def both(staged: Database) -> Database:
    """A network and a later checkpoint of it: a hidden unit has moved the more, the larger its number is."""
    with staged.session() as session:
        wanted = {"source": "file", "architecture": "timm:small", "weights": "later.safetensors"}
        register_network(session, RegisterNetwork.model_validate({"id": LATER, **wanted}))
        layers = [
            LayerInfo("blocks.4", "block", 112, (7, 7), 99, 16),
            LayerInfo("narrow", "conv", 3, (7, 7), 9, 2),
        ]
        found = {"preprocessing": {"size": 32}, "labels": [], "layers": layers}
        record_inspection(session, LATER, weights_sha256="c" * 64, **found)  # type: ignore[arg-type]
    submit(staged, request("0-8", layer="blocks.4"))
    work_off(staged, {u: direction(str(u)) for u in range(9)})
    submit(staged, request("1-9", layer="blocks.4").model_copy(update={"network": LATER}))
    work_off(staged, {u: direction(f"moved {u}", 0.005 * u, direction(str(u))) for u in range(10)})
    return staged


def test_the_units_that_changed_most_come_first_page_by_page(both: Database) -> None:
    found: list[int] = []
    cursor = None
    while True:
        with both.session() as session:
            seen = changes.changes(session, NETWORK, "blocks.4", LATER, cursor=cursor, limit=3)
        found += [change.unit for change in seen.page.data]
        distances = [change.distance for change in seen.page.data]
        assert distances == sorted(distances, reverse=True)
        if (cursor := seen.page.next_cursor) is None:
            break
    assert found == list(range(8, 0, -1))
    assert seen.complete


def test_only_layers_with_as_many_units_are_compared(both: Database) -> None:
    with both.session() as session, pytest.raises(Invalid, match="has 3 units in narrow"):
        changes.changes(session, NETWORK, "blocks.4", LATER, other_layer="narrow")


def test_units_are_without_a_picture_where_all_that_was_tried_found_them_so(staged: Database) -> None:
    submit(staged, request("0-3", layer="blocks.4", seeds=[0, 1]))
    claimed = claim(staged)
    with staged.session() as session:
        batches.conclude(session, claimed.lease_id, unreachable=[(work.digest, {}) for work in claimed.items])
        seen = session.execute(text("SELECT digest FROM visualizations WHERE unit = 2 LIMIT 1")).scalar_one()
        session.execute(
            text("UPDATE visualizations SET state = 'done' WHERE digest = :digest"), {"digest": seen}
        )
    with staged.session() as session:
        first = without_pictures.unreachable(session, limit=2)
        assert [one.unit for one in first.data] == [0, 1]
        second = without_pictures.unreachable(
            session, network=NETWORK, layer="blocks.4", cursor=first.next_cursor
        )
        assert [one.unit for one in second.data] == [3]
