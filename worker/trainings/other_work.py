"""What else there is for a worker while it trains."""

import time
from collections.abc import Sequence

from services.trainings.precedence import PUT_OFF_SECONDS, work_goes_before
from worker.leasing.held_leases import HeldLeases
from worker.leasing.work_kinds import Tend, WorkKind
from worker.process.stopping import StopFlag


class OtherWork:
    """Does and watches for other work during one slice of a training."""

    def __init__(
        self,
        held: HeldLeases,
        stop: StopFlag,
        *,
        before: Sequence[WorkKind],
        beside: Sequence[WorkKind],
        tend: Tend,
    ) -> None:
        """`before` are kinds of work that go before a training, `beside` those that need no device; `tend` is
        called every few seconds, for what cannot wait."""
        self._held, self._stop = held, stop
        self._before, self._beside = before, beside
        self._tend = tend
        self._left = frozenset(held.lacking.left)
        self._left_until = time.monotonic() + PUT_OFF_SECONDS

    def is_waiting(self) -> bool:
        """Whether something waits that goes before, and that this worker would take. What it had left to
        others when the slice began it tries again, but later than it would without a training. Raises
        `Unavailable`."""
        left = self._left if time.monotonic() < self._left_until else frozenset()
        with self._held.database.session() as session:
            lacks = left.union(self._held.lacking.left)
            return work_goes_before(session, self._held.worker_id, lacks=lacks)

    def tend(self) -> None:
        """See to what cannot wait. Raises `Unavailable`."""
        self._tend()

    def do_before(self) -> None:
        """Do all the work that goes before."""
        while not self._stop.asked and any(kind.look(self._tend) for kind in self._before):
            self._tend()

    def do_one_beside(self) -> None:
        """Do one piece, a slice, of what needs no device. Raises `Unavailable`."""
        any(kind.look(self._tend) for kind in self._beside)
