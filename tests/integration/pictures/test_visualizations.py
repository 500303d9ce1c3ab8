"""Finding visualizations: by digest, by what they show, and the best of a unit."""

import pytest

from imago_engine.objectives import place_of
from services.base.database import Database
from services.base.errors import Invalid, NotFound
from services.base.states import State
from services.pictures import visualizations
from tests.integration.staging import NETWORK, claim, fail, finish, request, submit, work_off


def test_an_unknown_digest_is_not_found(staged: Database) -> None:
    with pytest.raises(NotFound), staged.session() as session:
        visualizations.get(session, "0" * 64)


def test_a_search_narrows_from_network_to_unit_and_state(staged: Database) -> None:
    targets = [{"layer": "classifier", "units": "0-2"}, {"layer": "blocks.4", "units": "1-2"}]
    submit(staged, request(targets=targets, seeds=[0, 1]))
    fail(staged, claim(staged, limit=1))
    work_off(staged)
    with staged.session() as session:
        everything = visualizations.search(session).data
        failed = visualizations.search(session, network=NETWORK, state=State.FAILED).data
        layer = visualizations.search(session, network=NETWORK, layer="logits").data
        unit = visualizations.search(session, network=NETWORK, layer="blocks.4", unit=2, state="done").data
    assert len(everything) == 10
    assert [(found.objective.unit, found.error is not None) for found in failed] == [(0, True)]
    assert {found.objective.layer for found in layer} == {"classifier"}
    assert sorted((found.objective.unit, found.spec.seed) for found in unit) == [(2, 0), (2, 1)]


def test_pages_together_are_the_whole(staged: Database) -> None:
    targets = [{"layer": "classifier", "units": "0-4"}, {"layer": "blocks.4", "units": "0-4"}]
    submit(staged, request(targets=targets, seeds=[0, 1, 2]))
    found, cursor = [], None
    with staged.session() as session:
        while True:
            page = visualizations.search(session, network=NETWORK, cursor=cursor, limit=7)
            found += [(seen.objective.layer, seen.objective.unit, seen.digest) for seen in page.data]
            if (cursor := page.next_cursor) is None:
                break
    assert len(found) == 30
    assert found == sorted(set(found))


def test_filters_that_do_not_fit_together_are_named(staged: Database) -> None:
    with staged.session() as session:
        with pytest.raises(Invalid, match="/layer: needs a network"):
            visualizations.search(session, layer="classifier")
        with pytest.raises(Invalid, match="/unit: needs a layer"):
            visualizations.search(session, network=NETWORK, unit=0)
        with pytest.raises(Invalid, match="/state: must be one of queued"):
            visualizations.search(session, state="'; DROP TABLE jobs")
        with pytest.raises(NotFound):
            visualizations.search(session, network="nothing.here")


def test_the_best_picture_excites_the_centre_most(staged: Database) -> None:
    centre = [{"layer": "features.0", "units": "1"}]
    corner = [{"layer": "features.0", "units": "1", "position": [0, 0]}]
    with staged.session() as session:
        assert visualizations.best(session, NETWORK, "features.0", 1) is None
    submit(staged, request(targets=corner, seeds=list(range(8))))
    work_off(staged)
    with staged.session() as session:
        found = visualizations.best(session, NETWORK, "features.0", 1)
    assert found is not None
    assert place_of(found.objective) == (0, 0)
    submit(staged, request(targets=centre, seeds=[0, 1, 2]))
    claimed = claim(staged)
    finish(staged, claimed)
    with staged.session() as session:
        found = visualizations.best(session, NETWORK, "features.0", 1)
    assert found is not None
    assert found.digest == max(work.digest for work in claimed.items)
    with pytest.raises(NotFound), staged.session() as session:
        visualizations.best(session, NETWORK, "features.0", 8)
