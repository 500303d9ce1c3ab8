"""What kinds of work cost: learned from batches, and guessed for a kind by those that are most like it.

Pure arithmetic; `services.estimates.costs` keeps what is learned in the database.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

NEWEST_SHARE = 0.25
"""Weight of the newest batch against all before: machines get busy and idle."""
_SLOWEST = 3.0
"""A batch counts as at most so many times as slow as was known: a first one loads and warms up."""
_FIRST_SPREAD = 0.3
_SURE, _UNSURE = 0.1, 0.5
"""Bounds of what a known kind may be off, as a share."""


@dataclass(frozen=True)
class Seconds:
    """A time with its bounds: most likely `likely`, hardly less than `low` or more than `high`."""

    low: float
    likely: float
    high: float

    def each(self, change: Callable[[float], float]) -> "Seconds":
        """The time and its bounds, each changed in the same way."""
        return Seconds(change(self.low), change(self.likely), change(self.high))

    def times(self, factor: float) -> "Seconds":
        """That many times as long."""
        return self.each(lambda seconds: seconds * factor)


@dataclass(frozen=True)
class Kind:
    """What the cost of an item depends on, beside the device. `depth` is the layer's place in its network,
    counted from 0; `generator` is None for a technique that needs none, `input_size` for the network's own.
    """

    batch_key: str
    network: str
    depth: int
    generator: str | None
    technique: str
    steps: int
    input_size: int | None


@dataclass(frozen=True)
class Cost:
    """A round of `round_items` items of this kind takes `seconds` on a device; batches were off by `spread`,
    a share of it, in the mean.
    """

    kind: Kind
    device: str
    round_items: int
    seconds: float
    spread: float
    batches: int

    @property
    def expected(self) -> Seconds:
        """Seconds of the next one, with bounds that widen the less is known."""
        off = min(max(1.5 * self.spread, _SURE), _UNSURE)
        return Seconds(self.seconds * (1 - off), self.seconds, self.seconds * (1 + off))


@dataclass(frozen=True)
class Spent:
    """`seconds` that a device took for `rounds` rounds of at most `round_items` items of a kind."""

    kind: Kind
    device: str
    round_items: int
    rounds: float
    seconds: float


def occupied(computed: float, *, claimed: float, last_ended: float, now: float) -> float:
    """Seconds that a batch kept its worker from others, when it ends now: `computed` ones, and what was spent
    on claiming and bringing batches home.

    While batches follow each other without a rest, that is the time since the last one ended; a pause, as for
    loading a network, counts at most as much again as the computation.
    """
    if last_ended < claimed:
        return computed
    return max(computed, min(now - last_ended, 2 * computed))


def learned(known: Cost | None, spent: Spent) -> Cost:
    """What is known after one more batch."""
    new = spent.seconds / spent.rounds
    if known is None:
        return Cost(spent.kind, spent.device, spent.round_items, new, _FIRST_SPREAD, 1)
    if known.batches == 1 and new < known.seconds:  # the first one loaded and warmed up
        return replace(known, round_items=spent.round_items, seconds=new, batches=2)
    share = max(NEWEST_SHARE, 1 / (known.batches + 1))
    new = min(new, known.seconds * _SLOWEST)
    return replace(
        known,
        round_items=spent.round_items,
        seconds=known.seconds + share * (new - known.seconds),
        spread=known.spread + share * (abs(new / known.seconds - 1) - known.spread),
        batches=known.batches + 1,
    )


class Costs:
    """All that is known of some kinds and of those like them."""

    def __init__(self, costs: Iterable[Cost]) -> None:
        self._known: dict[tuple[str, str], Cost] = {}
        self._of_device: dict[str, list[Cost]] = {}
        self._told: dict[tuple[str, str], tuple[Seconds, int] | None] = {}
        for cost in costs:
            self._known[cost.device, cost.kind.batch_key] = cost
            self._of_device.setdefault(cost.device, []).append(cost)

    def knows(self, device: str, kind: Kind) -> bool:
        """Whether work of just this kind was done on such a device."""
        return (device, kind.batch_key) in self._known

    def of(self, device: str, kind: Kind) -> tuple[Seconds, int] | None:
        """What a round takes, and how many items it has; None where nothing was ever done on such a device.

        A kind that was never done is guessed: by other layers of the same network, else by whatever else was
        done there. The bounds are then wide.
        """
        # A queue asks for one kind hundreds of times.
        asked = device, kind.batch_key
        if asked not in self._told:
            self._told[asked] = self._tell(device, kind)
        return self._told[asked]

    def _tell(self, device: str, kind: Kind) -> tuple[Seconds, int] | None:
        known = self._known.get((device, kind.batch_key))
        if known is not None:
            return known.expected, known.round_items
        done = self._of_device.get(device)
        if not done:
            return None
        return _guessed(kind, done), max(done, key=lambda cost: cost.batches).round_items


def _guessed(kind: Kind, done: list[Cost]) -> Seconds:
    alike: list[Callable[[Kind], bool]] = [
        lambda other: (
            (other.network, other.generator, other.technique, other.input_size)
            == (kind.network, kind.generator, kind.technique, kind.input_size)
        ),
        lambda other: (other.network, other.generator) == (kind.network, kind.generator),
    ]
    for doubt, is_alike in zip((1.25, 1.6), alike, strict=True):
        if near := [cost for cost in done if is_alike(cost.kind)]:
            return _between_depths(kind, near, doubt).times(kind.steps)
    steps = sorted(_a_step(cost) for cost in done)
    return Seconds(steps[0] / 2, steps[len(steps) // 2], steps[-1] * 2).times(kind.steps)


def _between_depths(kind: Kind, near: list[Cost], doubt: float) -> Seconds:
    """A step of a layer: not less than one of a shallower layer, not more than one of a deeper one."""
    by_depth: Mapping[int, float] = {cost.kind.depth: _a_step(cost) for cost in near}
    above = max((depth for depth in by_depth if depth <= kind.depth), default=None)
    below = min((depth for depth in by_depth if depth >= kind.depth), default=None)
    if above is not None and below is not None:
        share = (kind.depth - above) / (below - above) if below > above else 0.0
        low, high = sorted((by_depth[above], by_depth[below]))
        likely = by_depth[above] + share * (by_depth[below] - by_depth[above])
        return Seconds(low / doubt, likely, high * doubt)
    if above is not None:
        deeper = min((kind.depth + 1) / (above + 1), 4.0)
        step = by_depth[above]
        return Seconds(step / doubt, step * (1 + deeper) / 2, step * deeper * doubt)
    assert below is not None
    shallower = max((kind.depth + 1) / (below + 1), 0.25)
    step = by_depth[below]
    return Seconds(step * shallower / doubt, step * (1 + shallower) / 2, step * doubt)


def _a_step(cost: Cost) -> float:
    return cost.seconds / cost.kind.steps
