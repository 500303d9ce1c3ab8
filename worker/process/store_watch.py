"""Whether the store does its part, asked before work is taken whose results are to be brought there."""

import threading
import time

import structlog

from services.base.errors import NotFound, Unavailable
from services.base.storage import ObjectStore
from services.base.store_errors import WHAT

TRUSTED_SECONDS = 5.0
"""How long an answer of the store is taken for granted."""
PATIENT_SECONDS = 2.0
"""How soon a store that did not answer is asked again."""
log = structlog.get_logger()


class StoreWatch:
    """Threads may share it."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._reason: str | None = None
        self._until = 0.0  # time until which `_reason` holds

    @property
    def reason(self) -> str | None:
        """Why nothing is claimed that needs the store; None while it answers."""
        return self._reason

    def answers(self) -> bool:
        """Whether the store does what it is asked, as it says now or said a moment ago."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._ask()
            return self._reason is None

    def failed(self, error: Unavailable) -> None:
        """Note that work was given up because of the store: it is believed again once it has stored
        something."""
        if error.what == WHAT:
            with self._lock:
                self._note(error)

    def _ask(self) -> None:
        try:
            # Whether it stores, too, is asked only where there is doubt: it would cost something each time.
            self._store.probe(write=self._reason is not None)
        except (Unavailable, NotFound) as error:
            self._note(error)
            return
        if self._reason is not None:
            log.info("store_back")
        self._reason, self._until = None, time.monotonic() + TRUSTED_SECONDS

    def _note(self, error: Unavailable | NotFound) -> None:
        # Everyone may read the reason: where the store lies, which errors of connections name, is for the
        # log.
        reason = f"The {WHAT} does not answer." if type(error) is Unavailable else str(error)
        if self._reason != reason:
            log.warning("store_away", reason=str(error))
        self._reason, self._until = reason, time.monotonic() + PATIENT_SECONDS
