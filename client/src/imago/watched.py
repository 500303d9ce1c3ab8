"""What jobs and trainings have in common for the person who waits for them."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import ClassVar, Self

from imago.errors import NotAuthorized
from imago.events.following import QUIET_SECONDS, Streams
from imago.events.parsing import END, Event
from imago.events.waiting import Wait
from imago.records import Raw, when
from imago.transport import CONNECT_SECONDS, Json, Transport, path_to

TERMINAL = frozenset({"succeeded", "failed", "canceled"})
"""States that nothing leaves by itself (only `Job.retry` reopens a job)."""
_TOLD_APART = frozenset({"items", "layers"})
"""What events tell and the JSON of the object does not hold, or only in another form."""


class Watched:
    """Its attributes are what the server said last; `refresh` asks again."""

    _collection: ClassVar[str]
    """Its place in the API, below /v1."""
    _pauses: ClassVar[tuple[float, float]]
    """Seconds between two looks: the first, and the longest, to which they grow."""

    def __init__(self, raw: Json, transport: Transport) -> None:
        self._raw = raw
        self._transport = transport

    @property
    def raw(self) -> Raw:
        """All of it as the server's JSON."""
        return self._raw

    @property
    def id(self) -> str:
        """Its id."""
        return str(self._raw["id"])

    @property
    def state(self) -> str:
        """`queued`, `running`, `canceling`, `succeeded`, `failed` or `canceled`."""
        return str(self._raw["state"])

    @property
    def finished(self) -> bool:
        """Whether it has come to an end, good or bad."""
        return self.state in TERMINAL

    @property
    def rate(self) -> float | None:
        """What it gets done a second: items of a job, pictures of a training."""
        rate: float | None = self._raw["progress"]["rate"]
        return rate

    @property
    def eta_seconds(self) -> float | None:
        """The server's guess of the seconds to the end."""
        seconds: float | None = self._raw["progress"]["eta_seconds"]
        return seconds

    @property
    def created_at(self) -> datetime | None:
        """When it was submitted."""
        return when(self._raw.get("created_at"))

    @property
    def finished_at(self) -> datetime | None:
        """When it ended; None before."""
        return when(self._raw.get("finished_at"))

    def refresh(self) -> Self:
        """Ask the server how it is."""
        self._raw = self._transport.get(self._path)
        return self

    def polls(self, timeout: float | None = None) -> Iterator[Self]:
        """This, again and again as it goes on, until it is finished.

        Told by the server where it sends events, asked for often at first and every few seconds later where
        it does not. Raises WaitTimeout after `timeout` seconds.
        """
        for _ in self._events(self._given(timeout)):
            yield self

    def events(self, timeout: float | None = None) -> Iterator[Event]:
        """What is told of it, as it goes on, until it is finished; its attributes are as the last one says.

        Of a job the server's events also tell the items that have ended since the one before; the first
        event, and those that are asked for where a server sends none, do not (`Job.follow` does without
        them). Survives a restart of the server. Raises WaitTimeout after `timeout` seconds.
        """
        yield from self._events(self._given(timeout))

    def _given(self, timeout: float | None) -> Wait:
        """A wait for its end, which begins now."""
        return Wait(self._transport, timeout, lambda: f"{self.id} is still {self.state}")

    def _events(self, wait: Wait) -> Iterator[Event]:
        """What is told of it until it is finished, or the wait is over."""
        first, longest = self._pauses

        def has_time() -> bool:
            """Whether a stream may be opened or listened to, which may then say nothing for as long: who
            waits for little more is to be told in time."""
            return wait.left > CONNECT_SECONDS + QUIET_SECONDS

        streams = Streams(self._transport, f"{self._path}/events")
        while True:
            self._raw = wait.get(self._path)
            yield Event(END if self.finished else "progress", None, self._raw)
            if self.finished:
                return
            if has_time() and streams.may_be_tried:
                for event in streams.events(has_time):
                    self._take(event)
                    yield event
                    if event.name == END:
                        return
            wait.pause(min(longest, first + wait.elapsed / 20))

    def _take(self, event: Event) -> None:
        """Let the attributes be as an event says."""
        told = {name: value for name, value in event.data.items() if name not in _TOLD_APART}
        self._raw = {**self._raw, **told}

    @property
    def _path(self) -> str:
        return path_to(self._collection, self.id)

    def _ask(self, action: str) -> Self:
        self._raw = self._transport.post(f"{self._path}/{action}").body
        return self

    @property
    def _to_retry(self) -> int:
        """How many of its pictures a retry would queue again."""
        return 0

    def _retry(self) -> Self:
        # What is known of it may be of before it failed. A key may be allowed to retry what it may not read.
        with suppress(NotAuthorized):
            self.refresh()
        before = self._to_retry

        def queued_again() -> Json | None:
            with suppress(NotAuthorized):
                if self.refresh()._to_retry < before:
                    return self._raw
            return None

        self._raw = self._transport.post_once(f"{self._path}/retry", queued_again)
        return self


class PictureRun(Watched):
    """A scan or a training: it goes through real pictures for hours, as one piece of work."""

    _pauses = (0.5, 5.0)

    @property
    def error(self) -> str | None:
        """Why it failed; of one that waits, why the last worker to try could not go on with it."""
        error: Json | None = self._raw["error"]
        return str(error["message"]) if error else None

    def wait(self, *, timeout: float | None = None) -> Self:
        """Block until it is finished. Look at `state` afterwards."""
        for _ in self.polls(timeout):
            pass
        return self
