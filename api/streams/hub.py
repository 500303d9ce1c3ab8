"""One look a second at all that the streams of a process watch, whoever many watch the same.

The look reads rows: cheap marks of all subjects, and more only of those whose mark has changed, of which time
left may have changed, or which somebody has just begun to watch. It runs in a thread of its own, and where it
takes long it comes less often.
"""

import asyncio
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
import structlog

from api.streams.event import EventId
from api.streams.stream import Key, Opened, Stream
from api.streams.subjects import KINDS, Mark, Snapshot
from api.streams.telling import events, state_of
from services.access import browser_sessions
from services.access.keys import valid_keys
from services.base.database import Database
from services.base.errors import Unavailable
from services.jobs import ended_items
from services.jobs.ended_items import OVERLAP, EndedItem

log = structlog.get_logger(__name__)

SECONDS = 1.0
"""Between two looks, at least."""
_SHARE = 4
"""A look is followed by a pause of so many times what it took."""
_ANEW_SECONDS = 10.0
"""After so long what stands still is read anew: the time that is left changes with others' work."""


@dataclass
class _Watched:
    """A subject, as the last look has seen it."""

    streams: list[Stream] = field(default_factory=list)
    newcomers: list[Stream] = field(default_factory=list)
    mark: Mark | None = None
    snapshot: Snapshot | None = None
    anew_at: float = 0.0
    last: EventId | None = None
    known: dict[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class _Seen:
    at: datetime
    marks: Mapping[Key, Mark]
    snapshots: Mapping[Key, Snapshot]
    items: Mapping[str, Sequence[EndedItem]]
    keys: set[str]
    browser_sessions: set[str]

    def admits(self, opened: Opened) -> bool:
        """Whether the key of a stream still counts, and the browser that opened it is still signed in."""
        is_signed_in = opened.browser_session is None or opened.browser_session in self.browser_sessions
        return opened.by.key_id in self.keys and is_signed_in


class Hub:
    """For one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="events")
        self._watched: dict[Key, _Watched] = {}
        self._looking: asyncio.Task[None] | None = None
        self._is_stopped = False

    def add(self, stream: Stream) -> None:
        """Have a stream told what happens from where its first events ended."""
        if self._is_stopped:
            stream.end()
            return
        self._watched.setdefault(stream.key, _Watched()).newcomers.append(stream)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_on())

    def remove(self, stream: Stream) -> None:
        """Forget a stream that has ended."""
        watched = self._watched.get(stream.key)
        if watched is None:
            return
        for streams in (watched.streams, watched.newcomers):
            if stream in streams:
                streams.remove(stream)
        if not watched.streams and not watched.newcomers:
            del self._watched[stream.key]

    def stop(self) -> None:
        """End all streams: the server is to end, and clients find the next one."""
        self._is_stopped = True
        for watched in self._watched.values():
            for stream in (*watched.streams, *watched.newcomers):
                stream.end()

    def close(self) -> None:
        """Give the thread up."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def older(self, opened_key: Key, last: EventId) -> tuple[list[bytes], Sequence[EndedItem]]:
        """The next of a job's items that ended before the stream began, as events; none when all are told."""
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, self._read_older, opened_key, last
        )

    def _read_older(self, key: Key, last: EventId) -> tuple[list[bytes], Sequence[EndedItem]]:
        with self._database.session() as session:
            snapshot = KINDS[key[0]].read(session, [key[1]]).get(key[1])
            items = ended_items.of_job(session, key[1], last.at, last.digest or "")
        if snapshot is None or not items:
            return [], []
        # None of these is the last event: what has ended meanwhile is told by the looks.
        return list(events(snapshot, items, last.at, goes_on=True)), items

    async def _look_on(self) -> None:
        loop = asyncio.get_running_loop()
        took, failed = 0.0, False
        try:
            while self._watched and not self._is_stopped:
                await asyncio.sleep(max(SECONDS, _SHARE * took))
                began = time.monotonic()
                wanted = {
                    key: watched.mark if began < watched.anew_at else None
                    for key, watched in self._watched.items()
                }
                # Whoever comes during the look is told by the next one.
                newcomers = {key: list(watched.newcomers) for key, watched in self._watched.items()}
                question = wanted, self._since(), self._keys(), self._browser_sessions()
                try:
                    seen = await loop.run_in_executor(self._executor, self._look, *question)
                except Unavailable as error:
                    if not failed:
                        log.warning("events_not_seen", reason=str(error))
                    failed, took = True, 0.0
                    continue
                failed, took = False, time.monotonic() - began
                for key, watched in list(self._watched.items()):
                    if key in wanted:
                        self._tell(key, watched, newcomers[key], seen)
        except Exception as error:
            log.error("events_failed", exc_info=error)
        finally:
            self._looking = None
            # Whoever lost the looks to a fault comes again, rather than to wait for nothing.
            for watched in self._watched.values():
                for stream in (*watched.streams, *watched.newcomers):
                    stream.end()

    def _since(self) -> datetime | None:
        """From when on items are looked for: what ended before is known or was told."""
        starts = [
            moment
            for watched in self._watched.values()
            for moment in (
                *([watched.last.at] if watched.last else []),
                *(stream.opened.at for stream in watched.newcomers),
            )
        ]
        return min(starts) - OVERLAP if starts else None

    def _opened(self) -> Iterator[Opened]:
        for watched in self._watched.values():
            for stream in (*watched.streams, *watched.newcomers):
                yield stream.opened

    def _keys(self) -> set[str]:
        """Ids of the keys of all who are told; of those without one it is empty."""
        return {opened.by.key_id for opened in self._opened()} - {""}

    def _browser_sessions(self) -> set[str]:
        """Sessions of the browsers that are told."""
        return {opened.browser_session for opened in self._opened() if opened.browser_session is not None}

    def _look(
        self, wanted: Mapping[Key, Mark | None], since: datetime | None, keys: set[str], signed_in: set[str]
    ) -> _Seen:
        marks: dict[Key, Mark] = {}
        snapshots: dict[Key, Snapshot] = {}
        items: dict[str, list[EndedItem]] = {}
        with self._database.session() as session:
            at: datetime = session.execute(sa.select(sa.func.now())).scalar_one()
            for name, kind in KINDS.items():
                ids = [id for kind_name, id in wanted if kind_name == name]
                if not ids:
                    continue
                found = kind.marks(session, ids)
                marks.update({(name, id): mark for id, mark in found.items()})
                changed = [id for id, mark in found.items() if wanted[name, id] != mark]
                if changed:
                    read = kind.read(session, changed)
                    snapshots.update({(name, id): snapshot for id, snapshot in read.items()})
            # After the states: what they count is among these.
            jobs = [id for name, id in wanted if name == "job"]
            if jobs and since is not None:
                for item in ended_items.of_jobs(session, jobs, since):
                    items.setdefault(item.job_id, []).append(item)
            valid = valid_keys(session, keys) if keys else set()
            still = browser_sessions.open_among(session, signed_in) if signed_in else set()
        return _Seen(at, marks, snapshots, items, valid | {""}, still)

    def _tell(self, key: Key, watched: _Watched, newcomers: Sequence[Stream], seen: _Seen) -> None:
        mark = seen.marks.get(key)
        for stream in (*watched.streams, *watched.newcomers):
            opened = stream.opened
            if mark is None or not seen.admits(opened) or not mark.is_seen_by(opened.by):
                # It says no more: who comes again is answered as for any other request.
                stream.end()
                self.remove(stream)
        if mark is None or (not watched.streams and not watched.newcomers):
            return
        before, now = watched.snapshot, seen.snapshots.get(key, watched.snapshot)
        if now is None:
            return
        if key in seen.snapshots:
            # Not all at the same time.
            watched.anew_at = time.monotonic() + _ANEW_SECONDS * random.uniform(0.5, 1)
        items = seen.items.get(key[1], ()) if key[0] == "job" else ()
        fresh = [item for item in items if watched.known.get(item.digest) != item.finished_at]
        last = EventId(seen.at, fingerprint=state_of(now))
        if watched.streams and before is not None and (fresh or now != before):
            layers = {name: told for name, told in now.layers.items() if before.layers.get(name) != told}
            self._send(watched.streams, events(now, fresh, seen.at, layers=layers, since=watched.last))
        for stream in newcomers:
            if stream not in watched.newcomers:
                continue  # it has ended meanwhile
            watched.newcomers.remove(stream)
            watched.streams.append(stream)
            opened = stream.opened
            unknown = [
                item
                for item in items
                if item.finished_at > opened.at - OVERLAP
                and opened.known.get(item.digest) != item.finished_at
            ]
            if unknown or opened.goes_on or last.fingerprint != opened.last.fingerprint:
                since = EventId(opened.at)
                self._send([stream], events(now, unknown, seen.at, since=since))
        watched.mark, watched.snapshot, watched.last = mark, now, last
        watched.known = {item.digest: item.finished_at for item in items}
        if now.ended:
            for stream in (*watched.streams, *watched.newcomers):
                stream.end()
                self.remove(stream)

    def _send(self, streams: Sequence[Stream], told: Iterator[bytes]) -> None:
        for event in told:
            for stream in streams:
                stream.put(event)
