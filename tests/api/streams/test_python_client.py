"""The Python client follows streams of the server, through a restart, and does without them."""

import threading
from collections.abc import Callable, Iterator

import pytest

import imago
from imago.events.parsing import Event, read
from imago.visualizations import Visualization
from services.base.database import Database
from services.base.storage import ObjectStore
from tests.api.small_catalog import finish_all
from tests.api.streams.conftest import Server, finish_some


@pytest.fixture
def client(server: Server) -> Iterator[imago.Client]:
    with imago.Client(f"http://127.0.0.1:{server.port}") as client:
        yield client


@pytest.fixture
def asked(client: imago.Client, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """With which last id each stream was opened."""
    opened: list[str | None] = []
    events = client._transport.events

    def noted(path: str, last_id: str | None = None, **more: float) -> Iterator[Event | None]:
        opened.append(last_id)
        return events(path, last_id, **more)

    monkeypatch.setattr(client._transport, "events", noted)
    return opened


def test_events_of_a_job_tell_its_items_and_its_attributes_are_as_the_last_one_says(
    client: imago.Client,
    submitted: Callable[..., str],
    database: Database,
    store: ObjectStore,
    asked: list[str | None],
) -> None:
    job = client.job(submitted())
    done: list[str] = []
    told: list[str] = []
    events = job.events()
    for event in events:
        assert job.state == event.data["state"]
        told += [item["digest"] for item in event.data.get("items", ())]
        if event.id is not None and len(done) < 4:
            # Only now: the stream is open.
            done += finish_some(database, store, 1)
    assert (event.name, job.state, job.units.done) == ("end", "succeeded", 4)
    assert sorted(told) == sorted(done)
    assert asked == [None]


def test_a_restart_of_the_server_does_not_end_the_watching_and_every_picture_is_told(
    client: imago.Client,
    server: Server,
    submitted: Callable[..., str],
    database: Database,
    store: ObjectStore,
    asked: list[str | None],
) -> None:
    job = client.job(submitted())
    restarted: list[threading.Thread] = []

    def restart() -> None:
        server.stop()
        finish_some(database, store, 2)
        server.start()
        finish_all(database, store)

    pictures = set()
    for seen in job.follow():
        if isinstance(seen, Visualization):
            pictures.add(seen.digest)
        elif asked and not restarted:
            restarted.append(threading.Thread(target=restart))
            restarted[0].start()
    restarted[0].join()
    assert (job.state, len(pictures)) == ("succeeded", 4)


def test_without_streams_it_asks_again_and_again(
    client: imago.Client,
    submitted: Callable[..., str],
    database: Database,
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = client.job(submitted())
    tried = 0

    def events(path: str, last_id: str | None = None, **more: float) -> Iterator[Event | None]:
        nonlocal tried
        tried += 1
        raise imago.NotFound("There is no such thing", status=404)

    monkeypatch.setattr(client._transport, "events", events)
    for looks, _ in enumerate(job.polls()):
        if looks == 2:
            finish_all(database, store)
    assert (job.state, tried) == ("succeeded", 1)


def test_who_waits_for_a_short_time_is_told_in_time(
    client: imago.Client, submitted: Callable[..., str], asked: list[str | None]
) -> None:
    with pytest.raises(imago.WaitTimeout):
        client.job(submitted()).wait(timeout=1)
    assert asked == []


def test_events_are_read_from_lines() -> None:
    lines = ["retry: 2000", "", ": still there", "", "event: end", "id: 7-0a", 'data: {"a":', "data: 1}", ""]
    assert list(read([*lines, "data: no JSON", "", 'data: {"not": "complete"}'])) == [
        None,
        Event("end", "7-0a", {"a": 1}),
    ]
