"""An atlas becomes jobs, coarse to fine, with nothing missing and nothing twice."""

import threading
from collections import Counter

import pytest
from sqlalchemy import text

from services.atlases.building import chunks, steps
from services.base.database import Database
from services.base.errors import Invalid
from services.base.states import AtlasState
from services.jobs import jobs
from tests.integration import staging
from tests.integration.atlases.building import (
    ALL,
    built,
    carry_out,
    extend,
    is_planned,
    job_ids,
    make,
    places,
    step,
    view,
)
from tests.integration.staging import LAYERS, assert_consistent, request, submit, work_off


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK", 50)


def test_an_atlas_has_each_unit_of_each_layer_once(staged: Database, small_chunks: None) -> None:
    id = make(staged, facets=2)
    carry_out(staged, id)
    wanted = [
        (layer.name, unit, facet) for layer in LAYERS for unit in range(layer.units) for facet in (0, 1)
    ]
    assert sorted(places(staged, id)) == sorted(wanted)
    assert_consistent(staged)
    assert work_off(staged) == 2 * ALL
    done = view(staged, id)
    assert (done.state, done.pictures.done, done.pictures.total) == (AtlasState.COMPLETE, 2 * ALL, 2 * ALL)
    assert_consistent(staged)


def test_some_units_of_every_layer_come_first_then_layer_by_layer_then_facets(
    staged: Database, small_chunks: None
) -> None:
    id = make(staged, facets=2)
    carry_out(staged, id)
    order = places(staged, id)
    first = 8 + 16 + 16
    assert {layer for layer, _, _ in order[:first]} == {layer.name for layer in LAYERS}
    assert all(unit < 16 for _, unit, _ in order[:first])
    assert [facet for _, _, facet in order] == [0] * ALL + [1] * ALL
    rest = [layer for layer, _, _ in order[first:ALL]]
    assert rest == ["blocks.4"] * 96 + ["classifier"] * 384


def test_its_pictures_are_those_of_a_job_for_the_same_units(staged: Database) -> None:
    submitted = submit(staged, request("0-9", seeds=[0, 1]))
    work_off(staged)
    built(staged, layers="classifier", units="0-9", facets=2)
    with staged.session() as session:
        assert session.execute(text("SELECT count(*) FROM visualizations")).scalar_one() == 20
    assert submitted.job.units.total == 20


def test_a_chunk_that_breaks_off_leaves_nothing_and_is_made_again(
    staged: Database, small_chunks: None
) -> None:
    id = make(staged)
    step(staged, id)
    before = places(staged, id)
    with staged.session() as session:
        steps.step(session, id, steps.JobCursor())
        session.rollback()
    assert places(staged, id) == before
    assert_consistent(staged)
    carry_out(staged, id)
    assert len(places(staged, id)) == ALL
    assert_consistent(staged)


def test_workers_that_expand_the_same_atlas_do_not_make_anything_twice(
    staged: Database, small_chunks: None
) -> None:
    id = make(staged, facets=2)
    steps = Counter[str]()

    def work(name: str) -> None:
        steps[name] = carry_out(staged, id)

    threads = [threading.Thread(target=work, args=(f"worker {n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(places(staged, id)) == len({*places(staged, id)}) == 2 * ALL
    assert len(job_ids(staged, id)) == sum(steps.values()) - len(threads)
    assert_consistent(staged)


def test_an_atlas_is_planning_until_all_of_it_has_jobs_and_counts_what_has(
    staged: Database, small_chunks: None
) -> None:
    id = make(staged)
    assert (view(staged, id).state, view(staged, id).pictures.expanded) == (AtlasState.PLANNING, 0)
    step(staged, id)
    assert view(staged, id).pictures.expanded == 8
    carry_out(staged, id)
    now = view(staged, id)
    assert (now.state, now.pictures.expanded, now.pictures.queued) == (AtlasState.BUILDING, ALL, ALL)


def test_what_it_is_extended_by_is_made_and_nothing_else(staged: Database, small_chunks: None) -> None:
    id = built(staged, layers="classifier", units="100-149")
    extend(staged, id, units="140-160,3")
    assert work_off(staged) == 12
    extend(staged, id, facets=2)
    assert work_off(staged) == 62
    extend(staged, id, layers=["features.0"], units="all")
    assert work_off(staged) == 16
    found = Counter(layer for layer, _, _ in places(staged, id))
    assert found == {"classifier": 124, "features.0": 16}
    assert len({*places(staged, id)}) == 140
    assert view(staged, id).state == AtlasState.COMPLETE
    assert_consistent(staged)


def test_an_extension_that_is_asked_for_again_is_remembered_once(staged: Database) -> None:
    id = make(staged, layers="classifier", units="0-9")
    for _ in range(2):
        extend(staged, id, facets=2)
        extend(staged, id, layers="features.0", units="0-3")
    assert view(staged, id).open.request["extensions"] == [
        {"facets": 2},
        {"layers": "features.0", "units": "0-3"},
    ]
    assert view(staged, id).pictures.total == 28


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [({"facets": 1}, "/facets"), ({"layers": "none.*"}, "/layers"), ({"units": "400"}, "/units"), ({}, "")],
)
def test_an_extension_that_cannot_be_changes_nothing(
    staged: Database, asked: dict[str, object], pointer: str
) -> None:
    id = built(staged, layers="classifier", units="0-3", facets=2)
    before = view(staged, id)
    with pytest.raises(Invalid) as refused:
        extend(staged, id, **asked)
    assert [error.pointer for error in refused.value.errors] == [pointer]
    assert view(staged, id) == before
    assert not places(staged, id)[8:]


def test_its_jobs_are_not_among_those_that_people_submitted(staged: Database) -> None:
    id = make(staged)
    carry_out(staged, id)
    alone = submit(staged, request("0-3")).job.id
    with staged.session() as session:
        assert [job.id for job in jobs.list(session).data] == [alone]
        no = session.execute(text("SELECT no FROM atlases")).scalar_one()
        assert {job.id for job in jobs.list(session, atlas_no=no).data} == {*job_ids(staged, id)}


def test_a_new_default_generator_changes_nothing_in_it(staged: Database) -> None:
    from services.catalog.generators import register_generator

    id = built(staged, layers="classifier", units="0-3")
    with staged.session() as session:
        register_generator(session, "another", staging.INFO, "c" * 64, default=True)
    try:
        extend(staged, id, facets=2)
        with staged.session() as session:
            used = session.scalars(text("SELECT DISTINCT generator_id FROM visualizations")).all()
        assert used == [staging.GENERATOR]
        assert view(staged, id).open.generator == staging.GENERATOR
    finally:
        with staged.session() as session:
            session.execute(text("UPDATE generators SET is_default = false"))
            session.execute(
                text("UPDATE generators SET is_default = true WHERE id = :id"), {"id": staging.GENERATOR}
            )


def test_an_atlas_is_planned_as_it_is_made_and_struck_off_when_it_is_expanded(staged: Database) -> None:
    assert is_planned(staged, make(staged))


def test_of_a_smaller_layer_those_units_are_taken_that_it_has(staged: Database) -> None:
    id = make(staged, units="0-99:10,300")
    carry_out(staged, id)
    assert Counter(layer for layer, _, _ in places(staged, id)) == {
        "features.0": 1,
        "blocks.4": 10,
        "classifier": 11,
    }
    with pytest.raises(Invalid, match="unit 400"):
        make(staged, units="400")
    sampled = make(staged, units="sample:20@7", layers="classifier")
    extend(staged, sampled, units="::100")
    assert {0, 100, 200, 300} <= {unit for _, unit, _ in places(staged, sampled)}
    with pytest.raises(Invalid, match="no unit"):
        make(staged, units=[])
