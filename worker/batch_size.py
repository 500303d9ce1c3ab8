"""How many items a batch should hold: what takes about `batch_seconds`, as far as memory allows."""

from dataclasses import dataclass

GROWTH = 4
"""A batch is at most this many times as large as the largest one measured: speed is not proportional to
size."""


@dataclass
class _Measured:
    rate: float  # item-steps/s
    largest: int  # items in the largest batch that went well
    ceiling: int  # items that memory allows, as far as known


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
        self._kinds: dict[str, _Measured] = {}
        self._last: tuple[str, int] | None = None

    def size(self, kind: str, steps: int) -> int:
        """Items of this kind, `steps` steps each, to compute together; at least 1."""
        self._last = (kind, steps)
        known = self._kinds.get(kind)
        if known is None:
            return self._first
        if known.rate <= 0:  # only failures so far
            return min(self._first, known.ceiling)
        fitting = int(known.rate * self._batch_seconds / max(steps, 1))
        return max(1, min(fitting, known.largest * GROWTH, known.ceiling, self._max))

    def guess(self) -> int:
        """Items to claim before it is known what kind they are: as many as the last kind would take."""
        return self.size(*self._last) if self._last else self._first

    def learn(
        self, kind: str, *, items: int, steps: int, seconds: float, peak_bytes: int | None = None
    ) -> None:
        """Remember a batch that went well. Small batches that came after larger ones do not make it
        forget."""
        rate = items * steps / max(seconds, 1e-6)
        known = self._kinds.setdefault(kind, _Measured(0.0, 0, self._max))
        if items >= known.largest // 2:
            known.rate = rate
        known.largest = max(known.largest, items)
        if self._memory is not None and peak_bytes:
            known.ceiling = max(1, min(known.ceiling, self._memory * items // peak_bytes))

    def out_of_memory(self, kind: str, items: int) -> int:
        """A batch of `items` did not fit: never try more than half of it again. Returns that half, at least
        1."""
        known = self._kinds.setdefault(kind, _Measured(0.0, 0, self._max))
        known.ceiling = max(1, min(known.ceiling, items // 2))
        return known.ceiling
