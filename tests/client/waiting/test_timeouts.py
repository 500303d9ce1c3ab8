"""Whoever waits with a `timeout` is told in time, whatever is waited for and whatever the server does."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeAlias

import pytest

import imago
from imago import jobs
from imago.events.waiting import Wait
from imago.transport import Transport
from tests.client.broken_wire import BrokenWire
from tests.client.conftest import NETWORK, Service, picture_of
from tests.client.search.test_compare import pair as pair
from tests.client.test_trainings import _layer as _layer

UNKNOWN = "resnet18.IMAGENET1K_V1"
"""A network that no worker inspects."""
SECONDS = 1.5
STOPS_AFTER = 0.5
MARGIN = 2.0
"""A second, and what a busy machine takes: the waits begin and end together."""

WaitFor: TypeAlias = Callable[[float], object]


@contextmanager
def silent(port: int) -> Iterator[None]:
    """A server that accepts all and says nothing."""
    with socket.create_server(("127.0.0.1", port), backlog=64):
        yield


@pytest.fixture
def waits(
    service: Service, client: imago.Client, pair: tuple[str, str]
) -> Callable[[str], dict[str, WaitFor]]:
    """Makes one wait of each kind, for what nobody ever does, through a server at an address."""
    job = client.submit(NETWORK, ["output/20"]).id
    atlas = client.atlases.create(NETWORK, layers=["output"], units="30-31").id
    scan = client.scan_pictures(NETWORK, ["photographs"], layers="classifier").id
    training = client.train_generator(["birds"], name="birds-64", pictures=1600, image_size=32).id
    client.add_network(UNKNOWN)

    def through(address: str) -> dict[str, WaitFor]:
        there = imago.Client(address, service.key)
        known = there.atlases.get(pair[0])
        poster, map, asked = known.poster("open"), known.map("open"), known.map("open")
        asked.make()
        comparison = there.compare(f"{pair[0]}@open", f"{pair[1]}@open")
        of_job, of_atlas = there.job(job), there.atlases.get(atlas)
        of_scan, of_training = there.scan(scan), there.training(training)
        return {
            "job": lambda timeout: of_job.wait(timeout=timeout),
            "results": lambda timeout: [*of_job.results(timeout=timeout)],
            "polls": lambda timeout: [*of_job.polls(timeout)],
            "atlas": lambda timeout: of_atlas.wait(timeout=timeout),
            "scan": lambda timeout: of_scan.wait(timeout=timeout),
            "training": lambda timeout: of_training.wait(timeout=timeout),
            "network": lambda timeout: there.wait_for_network(UNKNOWN, timeout=timeout),
            "sheet": lambda timeout: poster.wait(timeout),
            "map that is asked for": lambda timeout: asked.wait(timeout),
            "map": lambda timeout: map.wait(timeout),
            "comparison": lambda timeout: comparison.wait(timeout),
            "photograph": lambda timeout: there.excites(picture_of(1), NETWORK, "output", timeout=timeout),
        }

    return through


def all_at_once(waits: Mapping[str, WaitFor]) -> dict[str, float]:
    """How long each took until it raised WaitTimeout."""

    def measured(name: str) -> float:
        began = time.monotonic()
        with pytest.raises(imago.WaitTimeout, match=rf"after {SECONDS} s\.$"):
            waits[name](SECONDS)
        return time.monotonic() - began

    with ThreadPoolExecutor(len(waits)) as pool:
        return dict(zip(waits, pool.map(measured, waits), strict=True))


def late(took: Mapping[str, float]) -> dict[str, float]:
    return {name: seconds for name, seconds in took.items() if seconds > SECONDS + MARGIN}


@pytest.mark.parametrize("then_silent", [False, True])
def test_a_wait_is_over_in_time_where_the_server_stops_meanwhile(
    service: Service, waits: Callable[[str], dict[str, WaitFor]], then_silent: bool
) -> None:
    wire = BrokenWire(service.url, lose=0)
    port = int(wire.url.rpartition(":")[2])
    stopped, enough = threading.Event(), threading.Event()

    def carry() -> None:
        with wire.carrying():
            stopped.wait()
        if then_silent:
            with silent(port):
                enough.wait()

    carrying = threading.Thread(target=carry)
    carrying.start()
    try:
        made = waits(wire.url)
        timer = threading.Timer(STOPS_AFTER, stopped.set)
        timer.start()
        assert late(all_at_once(made)) == {}
    finally:
        stopped.set()
        enough.set()
        carrying.join()


def test_a_wait_is_over_in_time_while_the_server_answers(
    service: Service, waits: Callable[[str], dict[str, WaitFor]]
) -> None:
    assert late(all_at_once(waits(service.url))) == {}


def test_a_wrong_address_is_told_at_once_where_a_wait_is_the_first_to_ask() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with imago.Client(f"http://127.0.0.1:{port}") as nobody:
        began = time.monotonic()
        with pytest.raises(imago.Unreachable):
            nobody.wait_for_network(NETWORK, timeout=600)
        assert time.monotonic() - began < 60
        with pytest.raises(imago.WaitTimeout):
            nobody.wait_for_network(NETWORK, timeout=0.5)


def test_pages_of_a_job_that_goes_on_are_not_read_beyond_the_time(
    client: imago.Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = client.submit(NETWORK, {"output": range(20)})
    service.work(limit=18)
    asked: list[str] = []
    get = client.transport.get

    def slow(path: str, *given: Any, **more: Any) -> Any:
        if path.endswith("/visualizations"):
            asked.append(path)
            time.sleep(0.3)
        return get(path, *given, **more)

    monkeypatch.setattr(client.transport, "get", slow)
    monkeypatch.setattr(jobs, "_PAGE", 5)
    results = job.results(timeout=0.2)
    with pytest.raises(imago.WaitTimeout, match="still running"):
        list(results)
    assert len(asked) == 1
    service.work()
    assert len([*job.results(timeout=0.2)]) == 20, "what there is of a job that has ended is told"


def test_a_pause_ends_with_the_time() -> None:
    with Transport("http://127.0.0.1:9", None) as transport:
        wait = Wait(transport, 0.05, lambda: "It is not there")
        wait.pause(60.0)
        assert 0.05 <= wait.elapsed < 5.0
        with pytest.raises(imago.WaitTimeout, match=r"It is not there after 0\.05 s\."):
            wait.pause(60.0)
        endless = Wait(transport, None, str)
        endless.check()
        endless.pause(0.0)
        assert endless.left == float("inf")
