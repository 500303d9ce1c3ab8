"""Invalidate the cache of answers when the store has lost an object or a lost one was made again.

One small query every second or two tells.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor

import structlog

from services.base.database import Database
from services.base.errors import Unavailable
from services.pictures import losses

log = structlog.get_logger(__name__)

SECONDS = 2.0
"""For how long the answer to that question is good."""
_EARLY = 1.0
"""From this age on it is asked again beside the reading, so that readers hardly ever wait for it."""


class Changes:
    """Calls `forget` when something was lost or made again since the last look. For one event loop."""

    def __init__(self, database: Database, executor: Executor, forget: Callable[[], None]) -> None:
        self._database = database
        self._executor = executor
        self._forget = forget
        self._seen: int | None = None
        self._looked_at = -SECONDS
        self._look: asyncio.Task[None] | None = None
        self.count = 0
        """How often something was forgotten."""

    async def is_up_to_date(self) -> None:
        """Return once the last look is at most two seconds old."""
        age = time.monotonic() - self._looked_at
        if age < _EARLY:
            return
        if self._look is None:
            self._look = asyncio.create_task(self._look_now())
        if age > SECONDS:
            # Shielded: whoever waits may go away, the look is for all.
            await asyncio.shield(self._look)

    async def _look_now(self) -> None:
        try:
            began = time.monotonic()
            seen = await asyncio.get_running_loop().run_in_executor(self._executor, self._read)
            if seen != self._seen:
                self._seen = seen
                self.count += 1
                self._forget()
            self._looked_at = began
        except Unavailable as error:
            # What is in memory was right when the database was last seen.
            log.warning("changes_not_seen", reason=str(error))
            self._looked_at = time.monotonic()
        finally:
            self._look = None

    def _read(self) -> int:
        with self._database.session() as session:
            return losses.changes(session)
