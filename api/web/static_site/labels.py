"""Which units say a label, label by label: the search of a static site loads those that somebody types, and
no others, however many units there are."""

import heapq
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST = 200
"""Units that are kept of a label: those that are called so, then those whose pictures show it clearest."""
SOME = 12
_CALLED = 2000
"""Weight of a unit that is called so; of others it is thousandths of the probability."""
_LABELS_FOUND, _SEEN = 3, 0.01
_HIT = struct.Struct(">HHI32s")
_NOTHING = bytes(32)
_LAST_LAYER, _LAST_UNIT = 0xFFFF, 0xFFFFFFFF


@dataclass(frozen=True)
class Hit:
    """A unit that says a label. `digest` is None where there is no picture of it; `weight` is above 1000
    where it is called so, else how likely its network takes the picture for it, in thousandths."""

    layer: int
    unit: int
    digest: str | None
    weight: int


class LabelIndex:
    """Collects who says what. Memory is bounded by the number of labels: of each the strongest hits are kept,
    as bytes that sort as they are to be shown."""

    def __init__(self) -> None:
        self.counts = Counter[int]()
        """By class, how many units say it."""
        self._kept: dict[int, list[bytes]] = {}
        self._surest: dict[int, int] = {}

    def add(
        self,
        layer: int,
        unit: int,
        digest: str | None,
        called: int | None,
        seen: Sequence[tuple[int, float]],
    ) -> None:
        """A unit, with the number of its layer and its picture. `called`: the class that it stands for;
        `seen`: those that its network sees in the picture, with their probabilities, the likeliest first."""
        packed = _NOTHING if digest is None else bytes.fromhex(digest)
        for number, weight in self._said(called, seen):
            self.counts[number] += 1
            hit = _HIT.pack(weight, _LAST_LAYER - layer, _LAST_UNIT - unit, packed)
            kept = self._kept.setdefault(number, [])
            if len(kept) < MOST:
                heapq.heappush(kept, hit)
            else:
                heapq.heappushpop(kept, hit)

    def _said(self, called: int | None, seen: Sequence[tuple[int, float]]) -> Iterator[tuple[int, int]]:
        """Classes that a unit says, each with its weight."""
        if called is not None:
            yield called, _CALLED
        for number, share in seen[:_LABELS_FOUND]:
            if share < _SEEN:
                continue
            weight = round(1000 * share)
            self._surest[number] = max(weight, self._surest.get(number, 0))
            if number != called:
                yield number, weight

    @property
    def some(self) -> Sequence[int]:
        """Labels that some pictures clearly show."""
        return heapq.nlargest(SOME, self._surest, key=lambda number: self._surest[number])

    def labels(self) -> Iterator[tuple[int, Sequence[Hit]]]:
        """By class its hits, the strongest first."""
        for number in sorted(self._kept):
            yield number, [_hit(packed) for packed in sorted(self._kept[number], reverse=True)]


def _hit(packed: bytes) -> Hit:
    weight, layer, unit, digest = _HIT.unpack(packed)
    return Hit(_LAST_LAYER - layer, _LAST_UNIT - unit, None if digest == _NOTHING else digest.hex(), weight)
