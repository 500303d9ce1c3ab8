"""Two versions of atlases are compared once, in slices, by any number of workers that may die."""

import pytest
from sqlalchemy import text

from imago_engine.weights import EYE
from services.atlases import changes
from services.atlases.atlas_request import AtlasExtension
from services.base.database import Database
from services.base.errors import Invalid, NotFound
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.comparison import making
from services.comparison.making import COMPARE
from services.exemplars.request import ScanRequest
from services.exemplars.submission import submit as submit_scan
from services.queue import chores
from tests.found_exemplars import find_exemplars
from tests.integration.atlases.building import carry_out, make, publish
from tests.integration.comparison.comparing import (
    LATER,
    LAYER,
    UNITS,
    finish,
    hurry,
    rows,
    shown,
    units,
    work,
)
from tests.integration.search.indexed import direction
from tests.integration.staging import NETWORK, expire
from worker.comparison.comparison_turn import Comparing
from worker.leasing import chore_turns


def test_what_changed_most_comes_first_with_a_figure_a_layer(
    staged: Database, pair: tuple[str, str], worker: Comparing
) -> None:
    before = shown(staged, *pair)
    assert (before.made_at, before.current, before.seen) == (None, False, 0)
    assert rows(staged, "work WHERE kind = 'compare'") == 1
    shown(staged, *pair)
    assert rows(staged, "work WHERE kind = 'compare'") == 1
    work(worker)
    after = shown(staged, *pair)
    assert after.current
    assert after.made_at is not None
    assert after.seen == after.units
    layer = after.layer(LAYER)
    assert (layer.only_a, layer.only_b, layer.not_indexed) == (1, 1, 0)
    figures = layer.figures
    assert figures is not None
    assert (figures["matched"], figures["equal"]) == (9, 0)
    assert (figures["a_activation"], figures["b_activation"]) == (3.0, 5.0)
    assert (figures["labelled"], figures["same"]) == (9, 0)
    found = list(units(staged, *pair, LAYER, limit=4))
    assert [unit.unit for unit in found] == list(range(9, 0, -1))
    distances = [unit.distance for unit in found]
    assert distances == sorted(distances, reverse=True)
    assert figures["mean"] == pytest.approx(sum(distances) / 9)
    assert figures["quantiles"][2] == pytest.approx(distances[4])
    assert (found[0].a.label, found[0].b.label, found[0].same_label) == ("class 7", "8", False)
    assert (found[0].a.activation, found[0].b.activation) == (3.0, 5.0)


def test_layers_that_are_not_alike_are_named_and_outputs_are_whatever_their_names(
    staged: Database, pair: tuple[str, str], worker: Comparing
) -> None:
    found = shown(staged, *pair)
    assert [(layer.layer, layer.other_layer) for layer in found.layers] == [
        (LAYER, LAYER),
        ("classifier", "head"),
    ]
    assert [(each["layer"], each["reason"]) for each in found.unmatched] == [
        ("features.0", "not equally many units")
    ]
    other = shown(staged, *reversed(pair))
    assert other.layer("classifier").layer == "head"
    with pytest.raises(NotFound, match="Both have"):
        found.layer("features.0")


def test_units_without_an_embedding_are_counted_and_compared_once_they_are_indexed(
    staged: Database, store: ObjectStore, worker: Comparing
) -> None:
    first = make(staged, layers=LAYER, units="0-4")
    carry_out(staged, first)
    finish(staged, store, {u: direction(str(u)) for u in range(4)})
    second = make(staged, layers=LAYER, units="0-4", recipe={"parameters": {"steps": 7}})
    carry_out(staged, second)
    finish(staged, store, {u: direction(f"other {u}") for u in range(5)})
    shown(staged, first, second)
    work(worker)
    found = shown(staged, first, second)
    assert found.current
    assert found.layer(LAYER).not_indexed == 1
    assert found.layer(LAYER).figures["matched"] == 4  # type: ignore[index]
    with staged.session() as session:
        session.execute(
            text("""
            INSERT INTO embeddings SELECT digest, :eye, network_id, layer, unit, CAST(:vector AS halfvec)
            FROM visualizations WHERE eye IS NULL"""),
            {"eye": EYE, "vector": str(direction("4"))},
        )
        session.execute(text("UPDATE visualizations SET eye = :eye"), {"eye": EYE})
    assert not shown(staged, first, second).current
    hurry(staged)
    work(worker)
    found = shown(staged, first, second)
    assert found.current
    assert found.layer(LAYER).not_indexed == 0
    assert rows(staged, "comparisons") == 1
    assert rows(staged, "compared_units") == 5


def test_versions_of_one_atlas_that_share_pictures_are_at_no_distance(
    staged: Database, store: ObjectStore, worker: Comparing
) -> None:
    atlas = make(staged, layers=LAYER, units="0-4")
    carry_out(staged, atlas)
    finish(staged, store, {u: direction(str(u)) for u in range(5)})
    publish(staged, atlas)
    shown(staged, f"{atlas}@1", f"{atlas}@open")
    work(worker)
    found = shown(staged, f"{atlas}@1", f"{atlas}@2")
    figures = found.layer(LAYER).figures
    assert figures is not None
    assert (figures["equal"], figures["mean"], figures["same"]) == (5, 0.0, 5)
    with pytest.raises(Invalid, match="the same version"):
        shown(staged, f"{atlas}@1", atlas)


def test_percentiles_differ_where_real_pictures_were_scanned(
    staged: Database, store: ObjectStore, pair: tuple[str, str], worker: Comparing, settings: Settings
) -> None:
    with staged.session() as session:
        for network in (NETWORK, LATER):
            submit_scan(
                session,
                network,
                ScanRequest.model_validate({"sources": ["birds"], "layers": LAYER}),
                owner=None,
                idempotency_key=None,
                data_root=settings.data_root,
            )
    for _ in (NETWORK, LATER):
        find_exemplars(staged, store, LAYER, UNITS)
    shown(staged, *pair)
    work(worker)
    figures = shown(staged, *pair).layer(LAYER).figures
    assert figures is not None
    assert (figures["ranked"], figures["a_percentile"], figures["b_percentile"]) == (
        9,
        pytest.approx(15),
        pytest.approx(25),
    )
    assert next(units(staged, *pair, LAYER)).a.percentile == pytest.approx(15)


def test_workers_that_die_anywhere_leave_nothing_missing_and_nothing_twice(
    staged: Database, pair: tuple[str, str], worker: Comparing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "UNITS_OF_A_STEP", 3)
    no = shown(staged, *pair).no
    steps = 0
    while True:
        with staged.session() as session:
            claimed = chores.claim(session, COMPARE, "mortal", lease_seconds=60)
        if claimed is None:
            break
        # One step is done; the next one is lost with its worker.
        with staged.session() as session:
            if making.step(session, no).draw is not None:
                break
        with staged.session() as session:
            making.step(session, no)
            session.rollback()
        expire(staged, claimed.lease_id)
        with staged.session() as session:
            session.execute(
                text("UPDATE work SET lease_id = NULL, not_before = now() WHERE kind = 'compare'")
            )
        steps += 1
        assert steps < 100
    assert steps >= 4
    with staged.session() as session:
        session.execute(text("UPDATE work SET lease_id = NULL, not_before = now() WHERE kind = 'compare'"))
    work(worker)
    found = shown(staged, *pair)
    assert found.current
    assert [unit.unit for unit in units(staged, *pair, LAYER)] == list(range(9, 0, -1))
    assert (found.layer(LAYER).only_a, found.layer(LAYER).only_b) == (1, 1)


def test_a_slice_ends_for_others_and_the_next_goes_on(
    staged: Database, pair: tuple[str, str], worker: Comparing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "UNITS_OF_A_STEP", 3)
    monkeypatch.setattr(chore_turns, "SLICE_SECONDS", 0.0)
    shown(staged, *pair)
    assert worker.look()
    between = shown(staged, *pair)
    assert between.made_at is None
    assert 0 < between.seen < between.units
    assert work(worker) > 4
    assert shown(staged, *pair).current


def test_an_open_version_is_compared_anew_once_it_has_more_and_the_former_is_shown_meanwhile(
    staged: Database, store: ObjectStore, pair: tuple[str, str], worker: Comparing
) -> None:
    shown(staged, *pair)
    work(worker)
    before = shown(staged, *pair)
    with staged.session() as session:
        changes.extend(session, pair[0], AtlasExtension(units="10"), room=None)
    carry_out(staged, pair[0])
    finish(staged, store, {10: direction("10")})
    meanwhile = shown(staged, *pair)
    assert not meanwhile.current
    assert meanwhile.no == before.no
    assert len(list(units(staged, *pair, LAYER))) == 9
    hurry(staged)
    work(worker)
    after = shown(staged, *pair)
    assert after.current
    assert after.no > before.no
    assert after.layer(LAYER).figures["matched"] == 10  # type: ignore[index]
    assert rows(staged, "comparisons") == 1
