"""Estimates of the time left, replayed over jobs as workers have really done them, and over made-up ones.

tests/data/timelines.json holds jobs of one worker, recorded one after the other: layers of unlike depth,
mixed ones, one of which a part was known, twice the steps. The machine was very busy, so that their clock is
that of the processor: as on one core with nothing else to do.
"""

import json
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.base.states import Lane
from services.estimates.cost_model import Cost, Costs, Kind, Spent, learned, occupied
from services.estimates.estimates import Batch, Part, Queue, Waiting

RECORDED = Path(__file__).parents[3] / "data" / "timelines.json"
LOOKS = 100
"""Looks at a job, at even intervals from its first tenth to its end."""
LARGE = 100
"""Items from which on a job must be told well."""


@dataclass(frozen=True)
class Done:
    """A batch as it was: seconds since the job was submitted, and those that it computed."""

    kind: Kind
    worker: str
    items: int
    claimed: float
    ended: float
    seconds: float


@dataclass(frozen=True)
class Timeline:
    device: str
    round_items: int
    took: float
    parts: Sequence[Part]
    batches: Sequence[Done]

    @property
    def computed(self) -> int:
        return sum(batch.items for batch in self.batches)

    def kinds(self) -> set[Kind]:
        return {part.kind for part in self.parts}


class Experience:
    """What was learned so far."""

    def __init__(self) -> None:
        self._costs: dict[str, Cost] = {}

    def learn(self, timeline: Timeline, batches: Iterable[Done]) -> "Experience":
        last_ended = -math.inf
        for batch in sorted(batches, key=lambda batch: batch.ended):
            rounds = -(-batch.items // timeline.round_items)
            seconds = batch.seconds
            if len({other.worker for other in timeline.batches}) == 1:
                seconds = occupied(seconds, claimed=batch.claimed, last_ended=last_ended, now=batch.ended)
            last_ended = batch.ended
            spent = Spent(batch.kind, timeline.device, timeline.round_items, rounds, seconds)
            key = batch.kind.batch_key
            self._costs[key] = learned(self._costs.get(key), spent)
        return self

    def and_then(self, timeline: Timeline, batches: Iterable[Done]) -> Costs:
        more = Experience()
        more._costs = dict(self._costs)
        return Costs(more.learn(timeline, batches)._costs.values())

    def knows(self, timeline: Timeline) -> bool:
        return {kind.batch_key for kind in timeline.kinds()} <= self._costs.keys()


def told(timeline: Timeline, known: Experience) -> Iterator[tuple[float, float]]:
    """(what was left, what was told) at each look."""
    tenth = next(
        batch.ended
        for number, batch in enumerate(timeline.batches)
        if sum(done.items for done in timeline.batches[: number + 1]) >= timeline.computed / 10
    )
    workers = len({batch.worker for batch in timeline.batches})
    for look in range(LOOKS):
        now = tenth + (timeline.took - tenth) * look / LOOKS
        ended = [batch for batch in timeline.batches if batch.ended <= now]
        running = [
            Batch(
                batch.kind,
                timeline.device,
                batch.items,
                elapsed=now - batch.claimed,
                delivered=any(
                    later.worker == batch.worker and batch.claimed < later.claimed <= now
                    for later in timeline.batches
                ),
                mine={"job": batch.items},
            )
            for batch in timeline.batches
            if batch.claimed <= now < batch.ended
        ]
        left = timeline.computed - sum(batch.items for batch in ended)
        job = Waiting("job", Lane.INTERACTIVE, 0, 1_000_000, left, timeline.parts)
        held = {"job": sum(batch.items for batch in running)}
        costs = known.and_then(timeline, ended)
        found = Queue({timeline.device: workers}, [job], running, held, costs).until_done(job)
        assert found is not None
        yield timeline.took - now, found.likely


def within(looks: Sequence[tuple[float, float]], share: float = 0.3) -> float:
    """The share of the looks at which what was told is the truth, give or take `share` of it."""
    return sum(abs(told - left) <= share * left for left, told in looks) / len(looks)


def recorded() -> list[Timeline]:
    found = []
    for raw in json.loads(RECORDED.read_text()):
        kinds = {key: Kind(batch_key=key, **kind) for key, kind in raw["parts"]["kinds"].items()}
        batches = [
            Done(kinds[b["batch_key"]], b["worker"], b["items"], b["claimed"], b["ended"], b["seconds"])
            for b in raw["batches"]
        ]
        parts = [Part(kinds[key], items) for key, items in raw["parts"]["runs"]]
        found.append(Timeline(raw["device"], raw["round_items"], raw["took"], parts, batches))
    return found


def test_recorded_jobs_of_known_kinds_are_told_within_a_third() -> None:
    known = Experience()
    looks: list[tuple[float, float]] = []
    jobs = 0
    for timeline in recorded():
        if timeline.computed >= LARGE and known.knows(timeline):
            jobs += 1
            mine = list(told(timeline, known))
            print(f"{timeline.computed} items in {timeline.took:.0f} s: {within(mine):.0%} within 30 %")
            looks += mine
        known.learn(timeline, timeline.batches)
    assert jobs >= 6
    assert within(looks) >= 0.9


SHALLOW, MIDDLE, DEEP = (
    Kind(name, "network", depth, "generator", "dgn-am", 100, 112)
    for name, depth in (("shallow", 2), ("middle", 9), ("deep", 20))
)
TRUE_SECONDS = {SHALLOW: 3.0, MIDDLE: 8.0, DEEP: 20.0}
"""Of a round of eight items."""


def made_up(chance: random.Random, workers: int) -> Timeline:
    """A job of some runs of layers, the larger the more workers, in batches that scatter by a tenth."""
    kinds = chance.sample([SHALLOW, MIDDLE, DEEP], chance.randrange(1, 4))
    parts = [Part(kind, workers * chance.randrange(40, 300)) for kind in kinds]
    free = dict.fromkeys((f"worker-{n}" for n in range(workers)), 0.0)
    batches = []
    while sum(part.items for part in parts) < LARGE:
        parts[0] = Part(parts[0].kind, parts[0].items + LARGE)
    for part in parts:
        left = part.items
        while left:
            items = min(left, max(8, int(20 / TRUE_SECONDS[part.kind]) * 8))
            left -= items
            worker = min(free, key=lambda name: free[name])
            seconds = TRUE_SECONDS[part.kind] * -(-items // 8) * chance.gauss(1.0, 0.1)
            claimed, computed = free[worker], free[worker] + seconds
            batches.append(Done(part.kind, worker, items, claimed, computed + 0.2, seconds))
            free[worker] = computed
    return Timeline("CPU", 8, max(batch.ended for batch in batches), parts, batches)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_made_up_jobs_of_known_kinds_are_told_within_a_third(workers: int) -> None:
    chance = random.Random(workers)
    known = Experience()
    for _ in range(5):
        before = made_up(chance, workers)
        known.learn(before, before.batches)
    every = [made_up(chance, workers) for _ in range(30)]
    looks = [look for timeline in every if known.knows(timeline) for look in told(timeline, known)]
    assert len(looks) >= 2000
    assert within(looks) >= 0.9


def test_the_last_minute_would_have_told_worse() -> None:
    """What the estimates replaced: what is left by the pace of the last minute, in a job that gets dearer."""
    parts = [Part(SHALLOW, 200), Part(DEEP, 200)]
    batches: list[Done] = []
    now = 0.0
    for part in parts:
        for _ in range(part.items // 8):
            seconds = TRUE_SECONDS[part.kind]
            batches.append(Done(part.kind, "worker", 8, now, now + seconds, seconds))
            now += seconds
    timeline = Timeline("CPU", 8, now, parts, batches)
    known = Experience().learn(timeline, batches)
    assert within(list(told(timeline, known))) >= 0.9
    by_pace = []
    for left, _ in told(timeline, known):
        at = timeline.took - left
        lately = sum(batch.items for batch in batches if at - 60 < batch.ended <= at)
        waiting = sum(batch.items for batch in batches if batch.ended > at)
        by_pace.append((left, 60 * waiting / lately if lately else 0.0))
    assert within(by_pace) < 0.8
