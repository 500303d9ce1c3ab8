"""How many items a batch should hold: what takes about `batch_seconds`, as far as memory allows."""

from dataclasses import dataclass

GROWTH = 4
"""A batch is at most this many times as large as the one before: what was learned holds near to it only."""
MEMORY_OF_THE_PAST = 0.7
"""Weight of all earlier batches against the newest one: machines get busy and idle again."""


@dataclass
class _Kind:
    """What is known of one kind of work. A step of n items is taken to cost `a + b·n` seconds."""

    ceiling: int  # items that memory allows, as far as known
    last: int = 0  # items of the last batch that went well; 0: none did
    # Weighted sums over batches of n items that took t seconds a step, for a line through them.
    w: float = 0.0
    n: float = 0.0
    t: float = 0.0
    nn: float = 0.0
    nt: float = 0.0

    def add(self, items: int, seconds: float) -> None:
        past = (self.w, self.n, self.t, self.nn, self.nt)
        new = (1.0, items, seconds, items * items, items * seconds)
        self.w, self.n, self.t, self.nn, self.nt = (
            MEMORY_OF_THE_PAST * a + b for a, b in zip(past, new, strict=True)
        )
        self.last = items

    def line(self) -> tuple[float, float]:
        """(a, b). With batches of one size only, as if all of the cost were the items'."""
        spread = self.w * self.nn - self.n**2
        if spread > 1e-6 * self.nn:
            b = (self.w * self.nt - self.n * self.t) / spread
            a = (self.t - b * self.n) / self.w
            if a >= 0 and b > 0:
                return a, b
            if b <= 0:  # noise, or a device that is not full yet: size costs nothing
                return self.t / self.w, 0.0
        return 0.0, self.nt / self.nn


class BatchSizer:
    """Learns, for each kind of work, how fast it goes and how much of it fits the device.

    `kind` is any key under which batches cost the same, such as a batch key. Not thread-safe: the computing
    thread owns it.
    """

    def __init__(
        self, *, batch_seconds: float, max_batch: int, first: int = 4, memory_bytes: int | None = None
    ) -> None:
        self._batch_seconds = batch_seconds
        self._max = max_batch
        self._first = min(first, max_batch)
        self._memory = memory_bytes
        self._kinds: dict[str, _Kind] = {}
        self._latest: tuple[str, int] | None = None

    def size(self, kind: str, steps: int) -> int:
        """Items of this kind, `steps` steps each, to compute together; at least 1.

        Where a step costs much however few its items are, a batch is made at least so large that the items'
        own cost is half of it, even if it takes longer than wanted: smaller ones would take hardly less.
        """
        self._latest = (kind, steps)
        known = self._kinds.get(kind)
        if known is None or known.last == 0:
            return self._first if known is None else min(self._first, known.ceiling)
        limit = min(known.last * GROWTH, known.ceiling, self._max)
        a, b = known.line()
        if b == 0:
            return limit
        in_time = (self._batch_seconds / steps - a) / b
        return max(1, min(int(max(in_time, a / b)), limit))

    def guess(self) -> int:
        """Items to claim before it is known what kind they are: as many as the last kind would take."""
        return self.size(*self._latest) if self._latest else self._first

    def learn(
        self, kind: str, *, items: int, steps: int, seconds: float, peak_bytes: int | None = None
    ) -> None:
        """Remember a batch that went well."""
        known = self._kinds.setdefault(kind, _Kind(self._max))
        known.add(items, seconds / steps)
        if self._memory is not None and peak_bytes:
            known.ceiling = max(1, min(known.ceiling, self._memory * items // peak_bytes))

    def out_of_memory(self, kind: str, items: int) -> int:
        """A batch of `items` did not fit: never try more than half of it again. Returns that half, at
        least 1."""
        known = self._kinds.setdefault(kind, _Kind(self._max))
        known.ceiling = max(1, min(known.ceiling, items // 2))
        return known.ceiling
