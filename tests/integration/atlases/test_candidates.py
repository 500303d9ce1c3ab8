"""Atlases of which each facet shows the best of several candidates."""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import text

from imago_engine.candidates import candidate_seeds
from imago_engine.weights import EYE
from services.atlases import atlas_estimates, atlases, changes, publishing
from services.atlases.atlas_request import AtlasRequest
from services.atlases.building.replanning import TECHNIQUE_CHANGED
from services.base.database import Database
from services.base.errors import Conflict
from services.base.states import AtlasState
from services.maps import maps
from services.maps.tables import AtlasMapRow, MapRow
from services.queue import batches
from services.sheets import sheets
from services.sheets.tables import AtlasSheetRow, SheetRow
from tests.integration import staging
from tests.integration.atlases.building import (
    carry_out,
    extend,
    is_planned,
    make,
    pause,
    planned_by_an_earlier_release,
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


def may_have_news(database: Database, id: str) -> bool:
    with database.session() as session:
        latest = atlases.version(session, id, "latest")
        return publishing.may_have_news(session, atlases.get(session, id), latest)


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
    assert not may_have_news(staged, id)
    with pytest.raises(Conflict, match="nothing to publish"):
        publish(staged, id)
    staging.work_off(staged)
    best = judge(staged)
    assert may_have_news(staged, id)
    second = publish(staged, id)
    assert shown(staged, id, str(first)) == before
    assert set(seeds_of(staged, before).values()) == {0, 1}
    assert shown(staged, id, str(second)) == shown(staged, id) == best != before
    carry_out(staged, id)
    assert not may_have_news(staged, id)
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


def test_candidates_that_two_versions_of_a_technique_would_have_made_are_all_made_anew(
    staged: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = planned_by_an_earlier_release(staged, monkeypatch, **{**ASKED, "facets": 1})
    claimed = staging.claim(staged)
    made = [  # all of unit 0, the first of unit 1, the others of unit 2
        work.digest
        for work in claimed.items
        if (work.unit, work.seed) not in {(1, 10_001), (1, 20_002), (2, 0)}
    ]
    staging.finish(staged, claimed, made)
    staging.fail(staged, claimed, code=TECHNIQUE_CHANGED)
    carry_out(staged, id)
    publish(staged, id)
    before = shown(staged, id, "1")
    assert len(before) == 3
    with staged.session() as session:
        changes.retry(session, id)
    carry_out(staged, id)
    now = view(staged, id)
    assert (now.pictures.total, now.pictures.expanded, now.pictures.failed) == (9, 9, 0)
    assert now.pictures.queued == 6
    staging.assert_consistent(staged)
    staging.work_off(staged)
    carry_out(staged, id)
    last = view(staged, id)
    assert (last.state, last.pictures.done, last.errors) == (AtlasState.COMPLETE, 9, ())
    earlier = {work.digest for work in claimed.items}
    assert [place for place, digest in shown(staged, id).items() if digest in earlier] == [(0, 0)]
    assert shown(staged, id, "1") == before
    staging.assert_consistent(staged)


def test_a_pause_ends_with_the_best_of_what_was_still_being_made(staged: Database) -> None:
    id = make(staged, **{**ASKED, "facets": 1})
    carry_out(staged, id)
    claimed = staging.claim(staged)
    pause(staged, id)
    staging.finish(staged, claimed)
    best = judge(staged)
    carry_out(staged, id)
    assert view(staged, id).state == AtlasState.PAUSED
    assert shown(staged, id) == best


def test_what_was_made_of_the_open_version_is_out_of_date_once_it_shows_others(staged: Database) -> None:
    id = make(staged, **{**ASKED, "facets": 1})
    carry_out(staged, id)
    staging.work_off(staged)
    judge(staged)
    sheet, map = "a" * 64, "b" * 64
    with staged.session() as session:
        no = session.execute(text("SELECT no FROM atlases")).scalar_one()
        made = {"name": sheet, "columns": 3, "strips": [["", 3]], "picture_object": sheet}
        session.add(SheetRow(**made, made_at=session.execute(text("SELECT now()")).scalar_one()))
        drawn = {"name": map, "units": 3, "fitted": 3, "layers": [LAYER], "labels": []}
        session.add(MapRow(**drawn, eye=EYE, points_object=map, points_bytes=42))
        session.flush()
        shown_of = {"atlas_no": no, "number": 1, "pictures": 3, "final": False}
        session.add(AtlasSheetRow(**shown_of, layer_no=0, sheet=sheet))
        session.add(AtlasMapRow(**shown_of, eye=EYE, map=map, unseen=0))

    def are_current() -> list[bool]:
        with staged.session() as session:
            return [sheets.find(session, id, "open", LAYER).current, maps.find(session, id, "open").current]

    assert are_current() == [True, True]
    carry_out(staged, id)
    assert are_current() == [False, False]
