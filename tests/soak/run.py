"""One soak: traffic and faults at once, then calm, then the oracle."""

import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

import psutil
import redis

from infra.local.servers import Servers
from services.base.broker import QUEUE, Doorbell
from tests import oracle
from tests.soak.audit import audit, install
from tests.soak.faults import Faults
from tests.soak.proxy import Proxy
from tests.soak.traffic import Traffic
from tests.worker_processes import Scene, until

BATCHES_HELD = 2
"""A worker holds two at most: one that is computed and one that is delivered."""
REPORT_SECONDS = 10.0


@dataclass(frozen=True)
class Plan:
    """Until so many items were accepted, or so many seconds have passed. `pause` is the seconds between two
    faults, if something got done in between; else `longest_pause`, so that there is something to disturb on a
    slow machine too. At most `waiting` items wait at any time. `faults` are those to inject, once each;
    without them it is every kind once, and then whichever chance takes.
    """

    items: int
    seconds: float
    seed: int = 0
    workers: int = 3
    pause: float = 4.0
    longest_pause: float = 60.0
    waiting: int = 300
    largest: int = 150
    calm_seconds: float = 1800.0
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """`claimed` counts every time an item was taken by a worker; `lapsed_items` were in a batch whose lease
    lapsed: at most these were computed for nothing. `faults` are what is wrong, one line each.
    """

    accepted: int
    items: dict[str, int]
    objects: int
    jobs: int
    injected: dict[str, int]
    claimed: int
    lapsed_items: int
    lapsed_bound: int
    drained_seconds: list[float]
    seconds: float
    faults: list[str]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def soak(
    scene: Scene, servers: Servers, plan: Plan, report: Callable[[str], object] = lambda line: None
) -> Outcome:
    """Run the plan on the servers, which end up running; the workers end. `report` gets lines of progress."""
    began = time.monotonic()
    install(scene.database)
    chance = random.Random(plan.seed)
    endpoint = urlsplit(scene.settings.s3_endpoint_url)
    assert endpoint.port is not None
    proxy = Proxy(endpoint.port)
    scene.environment["IMAGO_S3_ENDPOINT_URL"] = f"http://127.0.0.1:{proxy.port}"
    doorbell = Doorbell(scene.settings.broker_url)
    traffic = Traffic(scene.database, doorbell, chance, plan.largest)
    faults = Faults(scene, servers, proxy, traffic, chance, plan.workers)
    try:
        _turmoil(plan, traffic, faults, chance, report)
        report("calm: no more faults, until all jobs have ended")
        faults.give_back()
        _calm(plan, traffic, faults, report)
        verdict = oracle.examine(scene.database, scene.store)
        noted = audit(scene.database)
        wrong = [*verdict.faults, *noted.faults, *traffic.faults, *faults.faults]
        wrong += [f"a job was accepted and is lost: {line}" for line in traffic.lost_jobs()]
        wrong += _broker_faults(scene)
        wrong += _end(faults)
    finally:
        faults.give_back()
        for worker in faults.workers:
            worker.kill()
        proxy.close()
        doorbell.close()
    wrong += _left(scene)
    held = BATCHES_HELD * scene.settings.max_batch
    bound = held * (faults.deaths + plan.workers * faults.outages)
    if noted.lapsed_items > bound:
        wrong.append(f"{noted.lapsed_items} items were in batches that lapsed; the faults explain {bound}")
    return Outcome(
        accepted=verdict.items.total(),
        items=dict(verdict.items),
        objects=verdict.objects,
        jobs=len(traffic.totals),
        injected=dict(faults.happened),
        claimed=noted.claimed,
        lapsed_items=noted.lapsed_items,
        lapsed_bound=bound,
        drained_seconds=[round(seconds, 1) for seconds in faults.drained_seconds],
        seconds=round(time.monotonic() - began, 1),
        faults=wrong,
    )


_ACCEPTED = "SELECT count(*) FROM visualizations"
_OPEN = "SELECT count(*) FROM visualizations WHERE state IN ('queued', 'leased')"
_REPAIRS = "SELECT count(*) FROM work WHERE kind = 'repair' AND NOT given_up"
_OPEN_JOBS = "SELECT count(*) FROM jobs WHERE finished_at IS NULL"


def _turmoil(
    plan: Plan, traffic: Traffic, faults: Faults, chance: random.Random, report: Callable[[str], object]
) -> None:
    """Until enough was accepted, or the time is up, and each fault has happened."""
    began = reported = time.monotonic()
    last_fault, next_fault, ended_by_then = began, began + plan.pause, 0
    names = list(plan.faults[::-1] or faults.kinds)
    if not plan.faults:
        chance.shuffle(names)
    while True:
        now = time.monotonic()
        faults.tend()
        accepted, still_open = traffic.count(_ACCEPTED), traffic.count(_OPEN)
        complete = accepted >= plan.items or now - began >= plan.seconds
        if complete and not names:
            return
        if still_open < (plan.waiting // 10 if complete else plan.waiting):
            traffic.submit()
        ended = accepted - still_open
        is_time = now >= next_fault and (ended != ended_by_then or now - last_fault > plan.longest_pause)
        if is_time and (names or not plan.faults):
            fault = faults.inject(names[-1] if names else None)
            if fault is not None:
                last_fault, ended_by_then, names = time.monotonic(), ended, names[:-1]
            next_fault = time.monotonic() + (plan.pause * chance.uniform(0.5, 1.5) if fault else 0.5)
        if now - reported >= REPORT_SECONDS:
            reported = now
            report(
                f"{now - began:6.0f} s  accepted {accepted:6}  open {still_open:5}  "
                f"faults {faults.happened.total():4}  last: {faults.last}"
            )
        time.sleep(0.2)


def _calm(plan: Plan, traffic: Traffic, faults: Faults, report: Callable[[str], object]) -> None:
    """Retry what was canceled, and let everything end."""
    until(lambda: traffic.count("SELECT count(*) FROM jobs WHERE state = 'canceling'") == 0, "no job ends")
    retried = traffic.retry_all()
    report(f"{retried} jobs were canceled or had failed: retried")

    def ended() -> bool:
        faults.tend()
        return traffic.count(_OPEN_JOBS) == 0

    until(ended, "all jobs have ended", plan.calm_seconds)
    until(lambda: traffic.count(_REPAIRS) == 0, "what was lost is made again", plan.calm_seconds)


def _end(faults: Faults) -> list[str]:
    """Ask the workers to end, as one asks them every day."""
    wrong = []
    for worker in faults.workers:
        status = worker.end()
        if status != 0:
            wrong.append(f"a worker ended with status {status}: {worker.tail()[-300:]}")
    return wrong


def _broker_faults(scene: Scene) -> list[str]:
    """The broker holds bells and Celery's own keys, bounded in number."""
    with redis.Redis.from_url(scene.settings.broker_url) as broker:
        keys, bells = len(list(broker.scan_iter())), broker.llen(QUEUE)
    return [f"the broker holds {keys} keys and {bells} bells"] if keys > 20 or bells > 50 else []


def _left(scene: Scene) -> list[str]:
    """Processes of this service's workers that still run."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            mine = process.environ().get("IMAGO_DATABASE_URL") == scene.settings.database_url
            if mine and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"a process is left: {process.pid} {process.cmdline()}")
    return found
