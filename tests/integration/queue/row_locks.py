"""Which rows a transaction has locked at the moment when it must wait for one that another holds.

Without this, a wrong order of locks shows as a deadlock now and then, on a busy machine, to somebody else.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.database import Database

KEYS = {"leases": "id", "visualizations": "digest", "jobs": "id"}
"""The tables whose rows are locked in an order, and what they are ordered by."""
PATIENCE_SECONDS = 120.0


class _Undone(Exception):
    """Ends a transaction that shall leave nothing behind."""


class Acting:
    """A transaction in a thread of its own, in which `action` is called; `undone`: it is rolled back then."""

    def __init__(
        self, database: Database, action: Callable[[Session], object], *, undone: bool = False
    ) -> None:
        self._database = database
        self._action = action
        self._undone = undone
        self._pid: int | None = None
        pool = ThreadPoolExecutor(1, thread_name_prefix="acting")
        self._ended: Future[None] = pool.submit(self._act)
        pool.shutdown(wait=False)

    def until_it_waits_for(self, pid: int) -> None:
        """Return when it waits for a lock of this process of the server. Fails the test if it never does."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._waits_for(pid):
            if self._ended.done():
                self._ended.result()
                raise AssertionError("it did not wait")
            assert time.monotonic() < deadline, "it did not come to wait"
            time.sleep(0.01)

    def end(self) -> None:
        """Wait for its end. Raises what it raised."""
        self._ended.result(PATIENCE_SECONDS)

    def _act(self) -> None:
        try:
            with self._database.session() as session:
                self._pid = pid_of(session)
                # No index may bring rows into their order by chance: today's plan is not tomorrow's.
                for scan in ("indexscan", "bitmapscan", "indexonlyscan"):
                    session.execute(text(f"SET LOCAL enable_{scan} = off"))
                self._action(session)
                session.flush()
                if self._undone:
                    raise _Undone
        except _Undone:
            pass

    def _waits_for(self, pid: int) -> bool:
        with self._database.session() as session:
            blocking = text("SELECT :by = ANY(pg_blocking_pids(:pid))")
            return bool(session.execute(blocking, {"by": pid, "pid": self._pid}).scalar_one())


def pid_of(session: Session) -> int:
    """The process of the server that has this transaction."""
    return int(session.execute(text("SELECT pg_backend_pid()")).scalar_one())


def lay_out_backwards(database: Database, table: str) -> None:
    """Let the rows lie in the table against their order, so that who locks them as they lie is wrong."""
    key = KEYS[table]
    with database.session() as session:
        session.execute(text(f"CREATE INDEX backwards ON {table} ({key} DESC)"))
        session.execute(text(f"CLUSTER {table} USING backwards"))
        session.execute(text("DROP INDEX backwards"))


def locked_while_waiting(
    database: Database, action: Callable[[Session], object], table: str, key: object
) -> dict[str, set[object]]:
    """What `action` has locked of each table when it comes to a row that another transaction holds.

    The row is not among them, and the action is undone.
    """
    with database.session() as holder:
        hold = text(f"SELECT 1 FROM {table} WHERE {KEYS[table]} = :key FOR NO KEY UPDATE")
        holder.execute(hold, {"key": key}).one()
        acting = Acting(database, action, undone=True)
        acting.until_it_waits_for(pid_of(holder))
        found = {name: _locked(database, name) for name in KEYS}
    acting.end()
    found[table].discard(key)
    return found


def _locked(database: Database, table: str) -> set[object]:
    key = KEYS[table]
    with database.session() as session:
        every = set(session.scalars(text(f"SELECT {key} FROM {table}")))
        free = set(session.scalars(text(f"SELECT {key} FROM {table} FOR NO KEY UPDATE SKIP LOCKED")))
    return every - free
