"""What workers make on request is waited for as long as they try, and no longer."""

from collections.abc import Callable
from typing import TypeAlias

import pytest
from sqlalchemy import text

import imago
from imago.atlases.awaited import Awaited
from services.queue import chores
from services.queue.chores import ChoreName
from tests.client.conftest import NETWORK, Service
from tests.client.test_atlases import carry_out

Pair: TypeAlias = tuple[str, str]
Asked: TypeAlias = Callable[[imago.Client, Pair], Awaited]
REASON = "The disk of a worker is full."
ASKED: dict[ChoreName, Asked] = {
    "sheet": lambda client, pair: client.atlases.get(pair[0]).sheet("classifier", "open"),
    "compare": lambda client, pair: client.compare(*pair),
    "map": lambda client, pair: client.atlases.get(pair[0]).map("open").make(),
}


@pytest.fixture
def pair(service: Service, client: imago.Client) -> Pair:
    """Two recipes of one network, all done."""

    def built(steps: int) -> str:
        recipe = {"steps": steps}
        atlas = client.atlases.create(NETWORK, layers=["output"], units="0-3", parameters=recipe)
        carry_out(service, atlas.id)
        service.work()
        return atlas.id

    return built(5), built(7)


def fail(service: Service, kind: ChoreName, *, final: bool) -> None:
    """Do what a worker does that cannot make it."""
    with service.database.session() as session:
        session.execute(text("UPDATE work SET not_before = now()"))
        claim = chores.claim(session, kind, "tester", lease_seconds=60)
        assert claim is not None
        chores.fail(session, claim.lease_id, claim.tasks[0].subject, "internal", REASON, final=final)


@pytest.mark.parametrize("kind", ["sheet", "compare", "map"])
def test_a_failed_attempt_ends_no_wait_and_the_last_one_does(
    client: imago.Client, service: Service, pair: Pair, kind: ChoreName
) -> None:
    asked = ASKED[kind](client, pair)
    fail(service, kind, final=False)
    asked.refresh()
    assert (asked.made, asked.coming, asked.raw["problem"]) == (False, True, REASON)
    with pytest.raises(imago.WaitTimeout):
        asked.wait(timeout=0)
    fail(service, kind, final=True)
    asked.refresh()
    assert not asked.coming
    with pytest.raises(imago.ImagoError, match=f"given up: {REASON}"):
        asked._await(asked._given(10))
