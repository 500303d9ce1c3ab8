"""A job as its submitter sees it: progress, the wait for its end, and its pictures as they come."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from imago.records import bounds
from imago.transport import Json, Parameters
from imago.visualizations import Visualization
from imago.watched import Watched

_SETTLED = frozenset({"done", "failed", "unreachable", "canceled"})
_PAGE = 200

OnProgress: TypeAlias = Callable[["Job"], object]
Get: TypeAlias = Callable[[str, Parameters], Json]
"""How pages are asked for."""


@dataclass(frozen=True)
class Look:
    """A first look at a network: the pictures of seen of codes typical codes were shown to it."""

    seen: int
    codes: int


@dataclass(frozen=True)
class Units:
    """How many items of a job are in each state. cached: those that were done before it was submitted."""

    total: int
    done: int
    failed: int
    unreachable: int
    canceled: int
    queued: int
    leased: int
    cached: int

    @property
    def settled(self) -> int:
        """Items that nothing more will happen to."""
        return self.done + self.failed + self.unreachable + self.canceled


@dataclass(frozen=True)
class Place:
    """Where a waiting job stands: position counts from 1; ahead_units are made before its first."""

    position: int
    ahead_units: int


class Job(Watched):
    """A submitted job. Its attributes are what the server said last; `refresh` asks again."""

    _collection = "jobs"
    _pauses = (0.2, 2.0)

    def __repr__(self) -> str:
        return f"<Job {self.id}: {self.state}, {self.units.done} of {self.units.total} done>"

    @property
    def network(self) -> str:
        """The network that it explains."""
        return str(self._raw["network"])

    @property
    def candidates(self) -> int:
        """How many pictures it makes for each unit and seed, of which one is the best."""
        return int(self._raw["request"].get("candidates", 1))

    @property
    def units(self) -> Units:
        """Items by what became of them."""
        counts = self._raw["progress"]["units"]
        return Units(**{name: counts[name] for name in Units.__dataclass_fields__})

    @property
    def eta_range(self) -> tuple[float, float] | None:
        """Bounds of `eta_seconds`: close together for kinds of work that the server has done before."""
        return bounds(self._raw["progress"].get("eta_range"))

    @property
    def look(self) -> Look | None:
        """How far a worker is that looks at the network for the first time, while its pictures wait for
        that."""
        look = self._raw["progress"].get("look")
        return Look(look["seen"], look["codes"]) if look else None

    @property
    def place(self) -> Place | None:
        """Its place in the queue while it waits."""
        queue = self._raw["queue"]
        return Place(queue["position"], queue["ahead_units"]) if queue else None

    def cancel(self) -> "Job":
        """Ask for its end. Items that another job wants are still made; those in the making stop soon."""
        return self._ask("cancel")

    def retry(self) -> "Job":
        """Queue its failed and canceled items anew. Conflict where there are none."""
        return self._retry()

    def items(self, state: str | None = None, *, best: bool | None = None) -> Iterator[Visualization]:
        """Its items as they are now, in the order of the request; only those in one state if it is given.

        best: only the best candidate of each unit and seed so far, or with False only the others.
        """
        for _, page in self._pages(self._transport.get, None, state, best):
            yield from page

    def wait(self, on_progress: OnProgress | None = None, *, timeout: float | None = None) -> "Job":
        """Block until it is finished; calls on_progress(job) after every look. Look at `state` afterwards."""
        for job in self.polls(timeout):
            if on_progress is not None:
                on_progress(job)
        return self

    def results(
        self, *, timeout: float | None = None, on_progress: OnProgress | None = None
    ) -> Iterator[Visualization]:
        """Its pictures, each as soon as it is finished; ends with the job. Failed items are in `items`."""
        for event in self.follow(timeout):
            if isinstance(event, Visualization):
                if event.state == "done":
                    yield event
            elif on_progress is not None:
                on_progress(event)

    def follow(self, timeout: float | None = None) -> Iterator["Job | Visualization"]:
        """After every look: this job, then each item that has come to an end since the last one."""
        seen: dict[str, str] = {}
        wait = self._given(timeout)
        start: str | None = None  # cursor of the first page that may still hold an unfinished item
        for _ in self._events(wait):
            yield self
            if _all_seen(self.units, seen):
                continue
            unbroken = True
            for cursor, page in self._pages(wait.get, start):
                for item in page:
                    if item.state in _SETTLED and seen.get(item.digest) != item.state:
                        seen[item.digest] = item.state
                        yield item
                unbroken = unbroken and all(item.state in _SETTLED for item in page)
                if unbroken and cursor is not None:
                    start = cursor
                if _all_seen(self.units, seen):
                    break
                if not self.finished:  # what there is of one that has ended is told, however long that takes
                    wait.check()
        # Somebody may have retried items on pages that were left behind.
        if not _all_seen(self.units, seen):
            for _, page in self._pages(wait.get, None):
                for item in page:
                    if item.state in _SETTLED and seen.get(item.digest) != item.state:
                        yield item

    @property
    def _to_retry(self) -> int:
        return self.units.failed + self.units.canceled

    def _pages(
        self, get: Get, start: str | None, state: str | None = None, best: bool | None = None
    ) -> Iterator[tuple[str | None, list[Visualization]]]:
        """Pages of items from a cursor on, each with the cursor of the page after it."""
        path = f"{self._path}/visualizations"
        cursor = start
        while True:
            page = get(path, {"limit": _PAGE, "cursor": cursor, "state": state, "best": best})
            cursor = page.get("next_cursor")
            yield cursor, [Visualization.read(raw, self._transport) for raw in page["data"]]
            if cursor is None:
                return


def _all_seen(units: Units, seen: dict[str, str]) -> bool:
    counts = Counter(seen.values())
    return all(counts[state] == getattr(units, state) for state in _SETTLED)
