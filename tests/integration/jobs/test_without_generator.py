"""Pictures of a technique that needs no generator go through jobs, claims, costs and readers like others."""

import pytest
from sqlalchemy import text

from services.base.database import Database
from services.base.errors import Invalid
from services.catalog import removal
from services.catalog.generators import register_generator
from services.catalog.tables import GeneratorRow
from services.estimates import costs, forecast
from services.pictures import repairs, visualizations
from services.queue import batches
from tests.integration import staging
from tests.integration.staging import claim, finish, request, submit

FOURIER = {"technique": "fourier", "parameters": {"steps": 30}}


def test_its_pictures_are_claimed_apart_from_those_of_a_generator(staged: Database) -> None:
    submit(staged, request("0-1", recipe=FOURIER))
    submit(staged, request("0-1"))
    first, second = claim(staged), claim(staged)
    assert (first.recipe.technique, first.generator_id) == ("fourier", None)
    assert (second.recipe.technique, second.generator_id) == ("dgn-am", staging.GENERATOR)
    assert first.recipe.parameters["steps"] == 30
    # Nothing that suits a generator is meant for it.
    assert first.recipe.parameters["learning_rate"] == 0.05


def test_a_picture_without_a_generator_is_named_and_read_as_such(staged: Database) -> None:
    submit(staged, request("3", recipe=FOURIER))
    claimed = claim(staged)
    finish(staged, claimed)
    with staged.session() as session:
        found = visualizations.get(session, claimed.items[0].digest)
        assert found.generator is None
        assert found.spec.source is None
        assert found.spec.digest == found.digest
        assert found.spec.batch_key == claimed.batch_key
        best = visualizations.best(session, staging.NETWORK, "classifier", 3)
        assert best is not None
        assert best.digest == found.digest
        listed = visualizations.search(session, network=staging.NETWORK)
        assert [entry.digest for entry in listed.data] == [found.digest]
        assert repairs.picture(session, found.digest).generator is None


def test_a_worker_that_lacks_a_generator_takes_what_needs_none(staged: Database) -> None:
    submit(staged, request("0", recipe=FOURIER))
    submit(staged, request("1"))
    lacks = [f"generator:{staging.GENERATOR}"]
    with staged.session() as session:
        assert batches.interactive_waits(session, lacks=lacks)
        claimed = batches.claim(session, "worker", limit=9, lease_seconds=60, lacks=lacks)
        assert claimed is not None
        assert claimed.generator_id is None
        assert not batches.interactive_waits(session, lacks=lacks)


def test_what_it_costs_is_learned_and_foretold(staged: Database) -> None:
    submit(staged, request("0", recipe=FOURIER))
    claimed = claim(staged)
    with staged.session() as session:
        for _ in range(2):
            costs.note(session, claimed, device="cpu", round_items=4, rounds=2, seconds=8.0)
        session.execute(
            text("INSERT INTO workers (id, host, device, state) VALUES ('w', 'h', 'cpu', 'running')")
        )
    finish(staged, claimed)
    submit(staged, request("1-4", recipe=FOURIER))
    with staged.session() as session:
        queue = forecast.read(session)
        assert [part.kind.generator for job in queue.jobs for part in job.parts] == [None]
        foretold = queue.until_empty()
    assert foretold is not None
    assert foretold.likely == pytest.approx(4.0)


def test_a_generator_that_no_picture_needs_can_be_removed(staged: Database) -> None:
    with staged.session() as session:
        register_generator(session, "other", staging.INFO, "c" * 64)
    submit(staged, request("0", recipe=FOURIER))
    with staged.session() as session:
        removal.remove_generator(session, "other")
    with staged.session() as session:
        assert session.get(GeneratorRow, "other") is None


def test_a_generator_named_beside_a_technique_that_needs_none_is_refused(staged: Database) -> None:
    with pytest.raises(Invalid, match="leave it out") as raised:
        submit(staged, request("0", recipe=FOURIER, generator=staging.GENERATOR))
    assert [error.pointer for error in raised.value.errors] == ["/generator"]
