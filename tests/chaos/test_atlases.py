"""An atlas ends with nothing missing and nothing twice, whatever is killed while it is planned and built."""

import random
import signal
import time
from collections import Counter

import pytest
from sqlalchemy import text

from infra.local.servers import Servers
from services.atlases import atlases, changes, creation, publishing
from services.atlases.atlas_request import AtlasRequest
from services.atlases.building import steps
from services.atlases.progress import AtlasView
from services.base.states import AtlasState
from tests import oracle
from tests.integration.atlases.building import carry_out
from tests.worker_processes import MAX_BATCH, NETWORK, OFTEN, Scene, until

pytestmark = pytest.mark.chaos


# A facet whose best candidate is not what it shows.
_NOT_THE_BEST = """
    SELECT count(*) FROM atlas_entries e JOIN visualizations shown ON shown.digest = e.digest
    WHERE e.until IS NULL AND shown.score IS DISTINCT FROM (
        SELECT max(v.score) FROM visualizations v WHERE v.unit = shown.unit AND v.seed % 10001 = e.facet
    )
"""


def make(scene: Scene, *, units: str, facets: int, steps: int, candidates: int = 1) -> str:
    request = AtlasRequest.model_validate(
        {
            "network": NETWORK,
            "layers": ["output"],
            "units": units,
            "facets": facets,
            "candidates": candidates,
            "recipe": {"parameters": {"steps": steps}},
        }
    )
    with scene.database.session() as session:
        return creation.create(session, request)[0].id


def view(scene: Scene, id: str) -> AtlasView:
    with scene.database.session() as session:
        return atlases.get(session, id)


def hurry(scene: Scene) -> bool:
    """Let the time pass that an expansion waits after a crash. False, for use in a condition."""
    with scene.database.session() as session:
        session.execute(text("UPDATE work SET not_before = now() WHERE kind = 'expand'"))
    return scene.hurry()


def wait_until_complete(scene: Scene, id: str) -> AtlasView:
    def complete() -> bool:
        hurry(scene)
        assert scene.workers[-1].running, scene.workers[-1].tail()
        return view(scene, id).state == AtlasState.COMPLETE

    until(complete, "the atlas is complete")
    return view(scene, id)


def check(scene: Scene, pictures: int, candidates: int = 1) -> None:
    """Each picture is there once, byte by byte, and in one job, and each facet shows the best of its own."""
    until(lambda: not scene.count("SELECT count(*) FROM work WHERE kind = 'expand'"), "nothing is planned")
    verdict = oracle.examine(scene.database, scene.store)
    assert verdict.faults == []
    assert verdict.items == Counter(done=pictures)
    assert scene.count("SELECT count(*) FROM atlas_entries") == pictures // candidates
    assert scene.count(_NOT_THE_BEST) == 0
    assert scene.accepted() == pictures


@pytest.mark.parametrize("point", ["expanding", pytest.param("expanded", marks=pytest.mark.thorough)])
def test_workers_may_die_at_each_step_of_an_expansion(scene: Scene, point: str) -> None:
    id = make(scene, units="0-39", facets=2, steps=10)
    for _ in range(3):
        child = scene.start_child(IMAGO_CRASH_AT=point)
        until(lambda: hurry(scene) or not child.running, "the worker has died")  # noqa: B023
        assert child.wait() == -signal.SIGKILL
        assert oracle.inconsistencies(scene.database) == []
    scene.start_child()
    wait_until_complete(scene, id)
    check(scene, 80)


def test_an_atlas_survives_killed_workers_and_a_database_restarted_at_once(
    scene: Scene, servers: Servers
) -> None:
    id = make(scene, units="0-29", facets=1, candidates=2, steps=30)
    chance = random.Random(1)
    kills = 2
    for _ in range(kills):
        worker = scene.start_child()
        until(lambda: hurry(scene) or scene.computing(), "a batch is being computed", every=OFTEN)
        servers.postgres.restart_immediately()
        until(
            lambda: hurry(scene) or scene.computing(),
            "a batch is being computed after the restart",
            every=OFTEN,
        )
        time.sleep(chance.uniform(0, 0.5))
        worker.kill()
    scene.start_child()
    wait_until_complete(scene, id)
    check(scene, 60, candidates=2)
    assert scene.computed_for_nothing() <= kills * 3 * MAX_BATCH


@pytest.mark.thorough
def test_a_paused_atlas_ends_what_is_computed_and_begins_nothing(scene: Scene) -> None:
    id = make(scene, units="0-59", facets=1, steps=60)
    scene.start_child()
    scene.wait_until_computing()
    with scene.database.session() as session:
        changes.pause(session, id)
    steps.let_go_at_once(scene.database, id, seconds=30)
    begun = scene.count("SELECT max(id) FROM leases WHERE kind = 'batch'")
    leased = scene.count("SELECT count(*) FROM visualizations WHERE state = 'leased'")
    done = scene.count("SELECT count(*) FROM visualizations WHERE state = 'done'")
    until(lambda: not scene.count("SELECT count(*) FROM visualizations WHERE state = 'leased'"), "all ended")
    paused = view(scene, id)
    assert (paused.state, paused.pictures.done) == (AtlasState.PAUSED, done + leased)
    assert scene.count("SELECT max(id) FROM leases WHERE kind = 'batch'") == begun
    with scene.database.session() as session:
        changes.resume(session, id)
    wait_until_complete(scene, id)
    check(scene, 60)


@pytest.mark.thorough
def test_workers_may_die_while_the_best_of_candidates_are_chosen_and_a_version_is_published(
    scene: Scene,
) -> None:
    id = make(scene, units="0-3", facets=2, candidates=3, steps=5)
    carry_out(scene.database, id)
    undecided = "SELECT count(*) FROM jobs WHERE undecided"
    with scene.database.session() as session:  # nobody chooses before the jobs have ended
        session.execute(text("UPDATE work SET not_before = now() + interval '1 day' WHERE kind = 'expand'"))
    scene.start_child()
    until(lambda: not scene.count("SELECT count(*) FROM jobs WHERE finished_at IS NULL"), "all is made")
    scene.workers[-1].kill()
    assert scene.count(undecided) == 2
    assert scene.count(_NOT_THE_BEST) > 0
    assert view(scene, id).state == AtlasState.BUILDING
    with scene.database.session() as session:
        publishing.publish(session, id)
    for point, left in (("expanding", 2), ("expanded", 1), ("expanded", 0)):
        child = scene.start_child(IMAGO_CRASH_AT=point)
        until(lambda: hurry(scene) or not child.running, "the worker has died")  # noqa: B023
        assert child.wait() == -signal.SIGKILL
        assert scene.count(undecided) == left
        assert oracle.inconsistencies(scene.database) == []
        with scene.database.session() as session:
            assert atlases.version(session, id, "latest").published_at is None
    scene.start_child()
    of_atlas = "SELECT count(*) FROM work WHERE kind IN ('expand', 'sheet', 'map')"
    until(lambda: hurry(scene) or not scene.count(of_atlas), "it is published, and its sheets and map made")
    assert view(scene, id).state == AtlasState.COMPLETE
    check(scene, 24, candidates=3)
    assert scene.count("SELECT count(*) FROM atlas_entries WHERE since = 1 AND until IS NULL") == 8
    with scene.database.session() as session:
        published = atlases.version(session, id, "latest")
    assert (published.number, published.published_at is None) == (1, False)
    assert published.layers is not None
    assert [(layer["pictures"], layer["shown_units"]) for layer in published.layers] == [(8, 4)]
