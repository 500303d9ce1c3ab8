"""Atlases of which each facet shows the best of several candidates."""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import text

from imago_engine.candidates import candidate_seeds
from services.atlases import atlas_estimates
from services.atlases.atlas_request import AtlasRequest
from services.base.database import Database
from services.base.errors import Conflict
from services.base.states import AtlasState
from services.queue import batches
from tests.integration import staging
from tests.integration.atlases.building import (
    carry_out,
    extend,
    is_planned,
    make,
    pause,
    publish,
    resume,
    units,
    view,
)

LAYER = "blocks.4"
ASKED: Mapping[str, Any] = {"layers": LAYER, "units": "0-2", "facets": 2, "candidates": 3}
Place = tuple[int, int]
"""A unit and its facet."""


def judge(database: Database) -> Mapping[Place, str]:
    """Let what is done have scores; returns the digest of the best candidate of each facet."""
    with database.session() as session:
        session.execute(
            text("""
                UPDATE visualizations SET score = ('x' || left(digest, 6))::bit(24)::int
                WHERE state = 'done' AND score IS NULL""")
        )
        rows = session.execute(text("SELECT unit, seed, digest, score FROM visualizations")).all()
    best: dict[Place, tuple[float, str]] = {}
    for row in rows:
        if row.score is not None:
            place = row.unit, row.seed % 10_001
            best[place] = max(best.get(place, (-1.0, "")), (row.score, row.digest))
    return {place: digest for place, (_, digest) in best.items()}


def shown(database: Database, id: str, version: str = "open") -> Mapping[Place, str]:
    found = units(database, id, version, LAYER)
    return {(unit.unit, facet.facet): facet.digest for unit in found for facet in unit.facets}


def seeds_of(database: Database, digests: Mapping[Place, str]) -> Mapping[Place, int]:
    with database.session() as session:
        rows = session.execute(text("SELECT digest, seed FROM visualizations"))
        seeds = {row.digest: row.seed for row in rows}
    return {place: seeds[digest] for place, digest in digests.items()}


def finish_first_candidates(database: Database) -> None:
    claimed = staging.claim(database)
    with database.session() as session:
        digests = list(session.scalars(text("SELECT digest FROM visualizations WHERE seed < 10001")))
    staging.finish(database, claimed, digests)
    with database.session() as session:
        batches.release(session, claimed.lease_id)


def test_each_facet_shows_the_best_of_its_candidates_once_they_are_there(staged: Database) -> None:
    id = make(staged, **ASKED)
    carry_out(staged, id)
    assert view(staged, id).pictures.total == view(staged, id).pictures.expanded == 3 * 2 * 3
    assert seeds_of(staged, shown(staged, id)) == {(u, f): f for u in range(3) for f in range(2)}
    staging.work_off(staged)
    best = judge(staged)
    assert max(seeds_of(staged, best).values()) > 10_000  # some later one is better
    assert view(staged, id).state == AtlasState.BUILDING
    assert is_planned(staged, id)
    carry_out(staged, id)
    assert shown(staged, id) == best
    assert view(staged, id).state == AtlasState.COMPLETE
    staging.assert_consistent(staged)


def test_all_candidates_stay_pictures_of_their_own(staged: Database) -> None:
    id = make(staged, **ASKED)
    carry_out(staged, id)
    staging.work_off(staged)
    carry_out(staged, id)
    with staged.session() as session:
        made = session.execute(text("SELECT unit, seed FROM visualizations WHERE state = 'done'")).all()
    wanted = [(u, s) for u in range(3) for f in range(2) for s in candidate_seeds(f, 3)]
    assert sorted((row.unit, row.seed) for row in made) == sorted(wanted)


def test_an_estimate_counts_the_candidates_and_knows_those_that_are_there(staged: Database) -> None:
    request = AtlasRequest.model_validate({"network": staging.NETWORK, **ASKED})
    staging.submit(staged, staging.request("0-2", layer=LAYER, candidates=2))
    staging.work_off(staged)
    with staged.session() as session:
        found = atlas_estimates.estimate(session, request)
    assert (found.pictures, found.cached) == (18, 6)


def test_a_published_version_keeps_what_it_showed_and_the_next_has_the_better_one(staged: Database) -> None:
    id = make(staged, **ASKED)
    carry_out(staged, id)
    finish_first_candidates(staged)
    carry_out(staged, id)
    first = publish(staged, id)
    before = shown(staged, id, str(first))
    with pytest.raises(Conflict, match="nothing to publish"):
        publish(staged, id)
    staging.work_off(staged)
    best = judge(staged)
    second = publish(staged, id)
    assert shown(staged, id, str(first)) == before
    assert set(seeds_of(staged, before).values()) == {0, 1}
    assert shown(staged, id, str(second)) == shown(staged, id) == best != before
    carry_out(staged, id)
    with pytest.raises(Conflict, match="nothing to publish"):
        publish(staged, id)


def test_the_best_is_chosen_of_those_that_could_be_made(staged: Database) -> None:
    id = make(staged, **{**ASKED, "units": "0", "facets": 1})
    carry_out(staged, id)
    claimed = staging.claim(staged)
    *_, last = sorted(claimed.items, key=lambda item: item.seed)
    staging.finish(staged, claimed, [last.digest])
    staging.fail(staged, claimed)
    carry_out(staged, id)
    assert shown(staged, id) == {(0, 0): last.digest}


def test_what_is_added_later_has_as_many_candidates_and_a_pause_loses_none(staged: Database) -> None:
    id = make(staged, **{**ASKED, "facets": 1})
    carry_out(staged, id)
    pause(staged, id)
    resume(staged, id)
    extend(staged, id, facets=2)
    staging.work_off(staged)
    best = judge(staged)
    carry_out(staged, id)
    assert view(staged, id).pictures.done == 18
    assert shown(staged, id) == best
    assert view(staged, id).state == AtlasState.COMPLETE
