"""How many items a batch should hold: whole rounds of the engine, as many as take about `batch_seconds`."""

PAST = 0.5
"""Weight of all earlier batches against the newest: a first one is slow, and machines get busy and idle."""


class BatchSizer:
    """Learns how fast each kind of work goes. The engine computes rounds of items one after the other, so a
    batch costs by its rounds, also where the last one is not full.

    `kind` is any key under which rounds cost the same, such as a batch key. Not thread-safe: the computing
    thread owns it.
    """

    def __init__(self, *, batch_seconds: float, max_batch: int, round_size: int) -> None:
        self._batch_seconds = batch_seconds
        self._max = max_batch
        self._round = round_size
        self._costs: dict[str, float] = {}  # seconds a step of one round

    def size(self, kind: str, steps: int) -> int:
        """Items of this kind, `steps` steps each, to compute together; at least 1. Of an unknown kind one
        round, so that someone who waits soon sees a picture.
        """
        cost = self._costs.get(kind)
        rounds = 1 if cost is None else max(1, int(self._batch_seconds / (cost * steps)))
        return min(rounds * self._round, self._max)

    def learn(self, kind: str, *, items: int, steps: int, seconds: float) -> None:
        """Remember how long a batch took."""
        cost = seconds / (steps * -(-items // self._round))
        known = self._costs.get(kind, cost)
        self._costs[kind] = PAST * known + (1 - PAST) * cost
