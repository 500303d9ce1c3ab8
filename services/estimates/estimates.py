"""When work will be done: what waits, in the order in which it is claimed, by what it costs, divided among
those who work. Pure arithmetic on a `Queue`; `services.estimates.forecast` reads one from the database.
"""

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from services.base.states import Lane
from services.estimates.cost_model import Costs, Kind, Seconds

BULK_SHARE = 0.25
"""Of the time, that bulk gets while interactive work waits as well."""
_NEARLY = 0.05
"""What a batch that takes longer than it should is taken to need still, as a share of what it should."""
Case = Literal["low", "likely", "high"]
_SPREAD_AT_MOST = 200
"""Batches that are dealt out one by one; what remains of a division by workers is lost in more of them."""
_CASES: tuple[Case, ...] = ("low", "likely", "high")


@dataclass(frozen=True)
class Part:
    """Items of one kind that follow each other."""

    kind: Kind
    items: int


@dataclass(frozen=True)
class Batch:
    """Items that a worker has: `mine` of them belong to each job, by its id. `elapsed` is the seconds since
    they were claimed; `delivered`: it computes another batch by now.
    """

    kind: Kind
    device: str
    items: int
    elapsed: float
    delivered: bool
    mine: Mapping[str, int]


@dataclass(frozen=True)
class Waiting:
    """A job that has not ended: `left` items of it have not, claimed ones among them. `parts` are the items
    that wait for its turn, as it was submitted; others of it wait for the turn of another job. The turns of
    its items are those from `turn` on, and before `end`.
    """

    id: str
    lane: Lane
    turn: int
    end: int
    left: int
    parts: Sequence[Part]

    def before(self, other: "Waiting") -> float:
        """The share of what is left of this one that has its turn before the last item of another one."""
        begin = self.end - self.left
        if self.lane != other.lane or self.id == other.id or begin >= other.end:
            return 0.0
        return min((other.end - begin) / self.left, 1.0) if self.left else 0.0


@dataclass(frozen=True)
class Queue:
    """`workers` that are alive by their device; `jobs` that have not ended; `batches` whose kind is known,
    and the number of items that workers have of each job in all (`held`). Where not all jobs could be read,
    only the next ones, there are `unread` times as many.
    """

    workers: Mapping[str, int]
    jobs: Sequence[Waiting]
    batches: Sequence[Batch]
    held: Mapping[str, int]
    costs: Costs
    unread: float = 1.0

    def until_done(self, job: Waiting) -> Seconds | None:
        """Until the last item of this job has ended; None where nothing tells it: nobody works, or nothing
        was ever done.
        """
        shares = [(number, share) for number, one in enumerate(self.jobs) if (share := one.before(job))]
        return self._each(lambda case: self._job_seconds(case, job, shares))

    def until_empty(self) -> Seconds | None:
        """Until all that waits has ended. As `until_done`."""

        def seconds(case: Case) -> float:
            waiting = sum(self._waiting_of(case, number) for number in range(len(self.jobs))) * self.unread
            running = [self._left_of(case, batch) for batch in self.batches]
            return max([waiting + sum(running) / self._workers, *running])

        return self._each(seconds)

    @cached_property
    def _workers(self) -> int:
        return sum(self.workers.values())

    def _each(self, seconds: Callable[[Case], float]) -> Seconds | None:
        if not self._workers:
            return None
        try:
            return Seconds(*(seconds(case) for case in _CASES))
        except _Unknown:
            return None

    def _job_seconds(self, case: Case, job: Waiting, shares: Sequence[tuple[int, float]]) -> float:
        """`shares` are those of the jobs that go before it, by their numbers."""
        own = self._waiting(case, job)
        mine = [self._left_of(case, batch) for batch in self.batches if job.id in batch.mine]
        if not self._unclaimed(job):
            return max(mine, default=0.0)
        ahead = sum(share * self._waiting_of(case, number) for number, share in shares)
        ahead *= self._unread_before(job.lane, job.end)
        other = Lane.BULK if job.lane == Lane.INTERACTIVE else Lane.INTERACTIVE
        besides = self._waiting_beside(case, job.lane) * self._unread_before(other, math.inf)
        delay = _shared(ahead + own, besides, job.lane) - own
        return max([delay + self._spread(case, job, own), *mine])

    def _spread(self, case: Case, job: Waiting, own: float) -> float:
        """Until the last batch of a job has ended, if nothing goes before it but what is being computed:
        whoever is free first takes the next batch. `own` is what all workers together need for it.
        """
        running = [self._left_of(case, batch) for batch in self.batches if not batch.delivered]
        free = [*running, *[0.0] * (self._workers - len(running))]
        batches = math.ceil(self._unclaimed(job) / self._batch_items(case, job))
        if batches > _SPREAD_AT_MOST:
            return sum(free) / len(free) + own
        heapq.heapify(free)
        end = 0.0
        for _ in range(batches):
            ended = heapq.heappop(free) + own * self._workers / batches
            heapq.heappush(free, ended)
            end = max(end, ended)
        return end

    def _unread_before(self, lane: Lane, turn: float) -> float:
        """How many times as much as was read there is before this turn of a lane."""
        # Jobs are read in the order of their turns, the interactive ones first.
        all_read = lane == Lane.INTERACTIVE and Lane.BULK in self._read_up_to
        return 1.0 if all_read or turn <= self._read_up_to.get(lane, -math.inf) else self.unread

    @cached_property
    def _read_up_to(self) -> Mapping[Lane, int]:
        """The turn of the last job of each lane that was read."""
        return {job.lane: job.turn for job in sorted(self.jobs, key=lambda job: job.turn)}

    def _unclaimed(self, job: Waiting) -> int:
        return max(job.left - self.held.get(job.id, 0), 0)

    @cached_property
    def _told(self) -> dict[tuple[Case, int | Lane], float]:
        """What was worked out once: a page of jobs asks for all that goes before each of them."""
        return {}

    def _waiting_of(self, case: Case, number: int) -> float:
        """As `_waiting`, of the job of this number."""
        if (case, number) not in self._told:
            self._told[case, number] = self._waiting(case, self.jobs[number])
        return self._told[case, number]

    def _waiting_beside(self, case: Case, lane: Lane) -> float:
        """The same of all jobs of the other lane."""
        if (case, lane) not in self._told:
            other = [number for number, job in enumerate(self.jobs) if job.lane != lane]
            self._told[case, lane] = sum(self._waiting_of(case, number) for number in other)
        return self._told[case, lane]

    def _waiting(self, case: Case, job: Waiting) -> float:
        """Seconds that all workers together need for what waits for the turn of the job."""
        waiting = self._unclaimed(job)
        seconds = 0.0
        # The order of the turn: what is left is the end of it.
        for part in reversed(job.parts):
            items = min(part.items, waiting)
            waiting -= items
            if items:
                seconds += 1 / self._speed(case, part.kind, items)
        return seconds

    def _speed(self, case: Case, kind: Kind, items: int) -> float:
        """How often all workers together could do so many items in a second."""
        speed = 0.0
        for device, count in self.workers.items():
            if known := self._round(case, device, kind):
                seconds, round_items = known
                speed += count / (seconds * max(items / round_items, 1.0))
        if not speed:
            raise _Unknown
        # Workers on devices that have never done anything are taken to be as fast as the others.
        able = sum(n for device, n in self.workers.items() if self._round(case, device, kind))
        return speed * self._workers / able

    def _batch_items(self, case: Case, job: Waiting) -> float:
        """Items of one of its batches, judged by those that are held, else a round."""
        held = [batch.items for batch in self.batches if job.id in batch.mine]
        if held:
            return sum(held) / len(held)
        kinds = [part.kind for part in job.parts[-1:]]
        rounds = [self._round(case, device, kind) for device in self.workers for kind in kinds]
        return max((items for known in rounds if known for items in known[1:]), default=1)

    def _left_of(self, case: Case, batch: Batch) -> float:
        whole = self._whole(case, batch)
        if batch.delivered or whole is None:
            return 0.0
        return max(whole - batch.elapsed, _NEARLY * whole)

    def _whole(self, case: Case, batch: Batch) -> float | None:
        known = self._round(case, batch.device, batch.kind)
        return None if known is None else known[0] * math.ceil(batch.items / known[1])

    def _round(self, case: Case, device: str, kind: Kind) -> tuple[float, int] | None:
        known = self.costs.of(device, kind)
        return None if known is None else (getattr(known[0], case), known[1])


class _Unknown(Exception):
    """There is a kind of which no device tells anything."""


def _shared(own: float, other: float, lane: Lane) -> float:
    """Seconds until `own` seconds of work in one lane are done, beside `other` in the other lane."""
    share = BULK_SHARE if lane == Lane.BULK else 1 - BULK_SHARE
    # Both proceed, each by its share, until one has nothing left.
    return own / share if own / share <= other / (1 - share) else own + other
