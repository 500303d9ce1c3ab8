"""Imports that end before they are whole: by their owner, or since nobody goes on with them."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

import imago
from services.atlases import changes, subjects
from services.exports import beginning
from services.queue import workers
from tests.client.conftest import NETWORK, Run, Service
from tests.client.exports.test_import import count, lines_of, sent
from tests.client.test_atlases import carry_out
from worker.leasing.held_leases import HeldLeases
from worker.process.stopping import StopFlag
from worker.upkeep.rounds import Collecting


def leave(service: Service, id: str) -> None:
    """Make the import one that nobody has gone on with for two days."""
    with service.database.session() as session:
        left = text("""
            UPDATE atlas_imports SET touched_at = now() - interval '2 days'
            FROM atlases WHERE no = atlas_no AND id = :id
        """)
        session.execute(left, {"id": id})


def until_one_waits_for_a_lock(service: Service) -> None:
    waiting = text("""
        SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
    """)
    deadline = time.monotonic() + 60
    while True:
        with service.database.session() as session:
            if session.execute(waiting).scalar_one():
                return
        assert time.monotonic() < deadline
        time.sleep(0.02)


def let_go(service: Service) -> int:
    with service.database.session() as session:
        return beginning.let_go_abandoned(session)


def test_an_import_that_nobody_goes_on_with_is_removed_by_upkeep(
    service: Service, folder: Path, admin: imago.Client
) -> None:
    manifest, entry = sent(folder)
    begun = admin._transport.post("/v1/atlases:import", manifest).body
    admin._transport.post(begun["links"]["entries"], {"first": 0, "entries": [entry]})
    goes_on = admin._transport.post("/v1/atlases:import", {**manifest, "name": "Another"}).body
    leave(service, begun["id"])
    stop = StopFlag()
    with service.database.session() as session:
        workers.register(session, "tester", host="here", device="cpu")
    held = HeldLeases(service.database, service.settings, "tester", stop)
    collecting = Collecting(held, store=service.store, settings=service.settings, stop=stop)
    collecting.tidy()
    assert collecting.look()
    carry_out(service, begun["id"])
    carry_out(service, goes_on["id"])
    with service.database.session() as session:
        assert session.scalars(text("SELECT id FROM atlases")).all() == [goes_on["id"]]
    assert admin.atlases.load(folder).pictures.settled == 100


def test_its_owner_ends_an_import_that_goes_on_and_begins_another(
    service: Service, folder: Path, admin: imago.Client, client: imago.Client, run: Run
) -> None:
    manifest, entry = sent(folder)
    begun = admin._transport.post("/v1/atlases:import", manifest).body
    admin._transport.post(begun["links"]["entries"], {"first": 0, "entries": [entry]})
    with pytest.raises(imago.NotFound):
        client.atlases.remove(begun["id"])
    run("delete", begun["id"], IMAGO_API_KEY=str(admin._transport.key))
    with pytest.raises(imago.NotFound):
        admin._transport.post(begun["links"]["entries"], {"first": 1, "entries": [entry]})
    assert admin.atlases.load(folder).pictures.settled == 100
    carry_out(service, begun["id"])
    assert count(service, "atlases") == 1


def test_an_import_that_is_begun_again_goes_on(service: Service, folder: Path, admin: imago.Client) -> None:
    manifest, entry = sent(folder)
    begun = admin._transport.post("/v1/atlases:import", manifest).body
    admin._transport.post(begun["links"]["entries"], {"first": 0, "entries": [entry]})
    leave(service, begun["id"])
    again = admin._transport.post("/v1/atlases:import", manifest).body
    assert again["id"] == begun["id"]
    assert let_go(service) == 0


def test_an_import_that_somebody_goes_on_with_at_this_moment_is_not_let_go(
    service: Service, folder: Path, admin: imago.Client
) -> None:
    manifest, _ = sent(folder)
    begun = admin._transport.post("/v1/atlases:import", manifest).body
    leave(service, begun["id"])
    holding = text("SELECT FROM atlases WHERE id = :id FOR NO KEY UPDATE")
    with service.database.session() as session:
        session.execute(holding, {"id": begun["id"]})
        assert let_go(service) == 0
        session.execute(text("UPDATE atlas_imports SET touched_at = now()"))
    assert let_go(service) == 0


def test_an_import_that_its_owner_ends_while_it_is_let_go_is_ended_once(
    service: Service, folder: Path, admin: imago.Client
) -> None:
    manifest, _ = sent(folder)
    begun = admin._transport.post("/v1/atlases:import", manifest).body
    leave(service, begun["id"])
    with ThreadPoolExecutor(1) as pool, service.database.session() as session:
        subjects.plan(session, begun["id"])  # as its owner's request does first
        sweep = pool.submit(let_go, service)
        until_one_waits_for_a_lock(service)
        changes.delete(session, begun["id"])
        session.commit()
        assert sweep.result(60) == 0
    carry_out(service, begun["id"])
    assert count(service, "atlases") == 0


def test_an_import_that_fails_says_how_it_ends(
    service: Service, folder: Path, admin: imago.Client, run: Run
) -> None:
    last = lines_of(folder)[-1]
    admin.submit(NETWORK, [f"{last['layer']}/{last['unit']}"], seeds=[last["seed"]])
    failed = run("import", str(folder), expect=1, IMAGO_API_KEY=str(admin._transport.key))
    assert "when nothing waits for it here" in failed.stderr
    with service.database.session() as session:
        id = session.scalars(text("SELECT id FROM atlases")).one()
    assert f"imago delete {id}" in failed.stderr
