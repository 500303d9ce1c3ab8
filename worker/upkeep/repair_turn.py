"""Repairs before other work, now and then: where there is always something else they would never come."""

import time

from worker.leasing.work_kinds import Tend, WorkKind, nothing
from worker.upkeep.repairs import Repairer

REPAIR_TURN_SECONDS = 60.0
"""Where there is always something else to do, repairs go first this often, and take a fifth of the time."""


class RepairTurn(WorkKind):
    """Lets repairs go first when they have waited for their turn."""

    def __init__(self, repairer: Repairer) -> None:
        """`repairer` makes way for nobody, or it would never come to an end where someone always waits."""
        self._repairer = repairer
        self._next_turn = time.monotonic()

    def look(self, tend: Tend = nothing) -> bool:
        began = time.monotonic()
        if began < self._next_turn:
            return False
        repaired = self._repairer.look(tend)
        ended = time.monotonic()
        self._next_turn = ended + max(REPAIR_TURN_SECONDS, 4 * (ended - began))
        return repaired

    def abandon(self) -> None:
        self._repairer.abandon()
