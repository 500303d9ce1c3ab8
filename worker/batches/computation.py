"""Computing the items of one claim: what takes too much memory is made smaller, what is faulty is found,
what is canceled is left out."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from imago_engine.synthesis.ascent import Picture
from imago_engine.synthesis.fitting import FitError
from imago_engine.synthesis.networks.load import NetworkError
from imago_engine.synthesis.networks.truncate import LayerError
from imago_engine.synthesis.objectives import ObjectiveError
from imago_engine.techniques import RecipeError
from services.queue.batches import Failure, Work
from worker.leasing.lease_renewal import EverythingCanceled, Interrupted
from worker.process.devices import is_device_lost, is_out_of_memory

log = structlog.get_logger()
IMPOSSIBLE = (LayerError, ObjectiveError, FitError, RecipeError, NetworkError)
"""What no repetition can change: the engine refuses the item before any work."""
Synthesize = Callable[[Sequence[Work], int], Sequence[Picture]]
"""Items and the engine's group size, which bounds the memory that they take → their pictures."""


class DeviceLost(Exception):
    """The device can no longer be used by this process."""


@dataclass(frozen=True)
class Made:
    """A picture and the batch that it was made in: `seconds` is the time of all its `batch_size` items,
    computed `group_size` at once. `embedding` is what the eye makes of it, None where it did not look."""

    work: Work
    picture: Picture
    batch_size: int
    group_size: int
    seconds: float
    embedding: tuple[float, ...] | None = None


@dataclass
class Computed:
    """What became of the items of a claim. Items that were canceled are in neither list."""

    made: list[Made] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def rounds(self, round_size: int) -> tuple[float, float]:
        """How many rounds of at most `round_size` items were computed, and the seconds that they took."""
        # Each item stands for its share of the batch that it was made in.
        rounds = sum(-(-one.batch_size // round_size) / one.batch_size for one in self.made)
        return rounds, sum(one.seconds / one.batch_size for one in self.made)


def compute(
    items: Sequence[Work],
    synthesize: Synthesize,
    *,
    group_size: int,
    canceled: Callable[[], frozenset[str]],
    on_batch: Callable[[int, float], None],
    on_out_of_memory: Callable[[int], None],
    clock: Callable[[], float] = time.monotonic,
) -> Computed:
    """Compute `items`, together if possible.

    A batch that does not fit into memory is tried again in smaller groups. One that fails is cut in two, so
    that in the end only the items that cannot be computed alone fail. `on_batch(items, seconds)` reports a
    batch that went well, `on_out_of_memory(group_size)` what to try from now on, 0 when nothing smaller is
    left, and may raise. A batch that `synthesize` leaves with `EverythingCanceled` is left out, what was made
    before stays. `clock` is what batches are timed by, in seconds. Raises any other `Interrupted` from
    `synthesize`, and `DeviceLost`.
    """
    done = Computed()
    queue = deque([list(items)])
    while queue:
        gone = canceled()
        batch = [work for work in queue.popleft() if work.digest not in gone]
        if not batch:
            continue
        began = clock()
        error = _attempt(batch, synthesize, group_size, done, began, clock)
        if isinstance(error, EverythingCanceled):
            log.info("batch_canceled", items=len(batch))
            continue
        if error is None:
            on_batch(len(batch), clock() - began)
            continue
        # Outside of `except`: a live traceback would keep the batch's tensors in memory.
        if is_device_lost(error):
            raise DeviceLost(str(error))
        if is_out_of_memory(error):
            on_out_of_memory(group_size // 2)
            if group_size > 1:
                log.warning("group_halved", group_size=group_size)
                group_size //= 2
                queue.appendleft(batch)
            else:
                done.failures.extend(failure_of(work, error) for work in batch)
        elif len(batch) > 1:
            log.warning("batch_cut", items=len(batch), error=_summary(error))
            middle = len(batch) // 2
            queue.extendleft([batch[middle:], batch[:middle]])
        else:
            done.failures.append(failure_of(batch[0], error))
    return done


def failure_of(work: Work, error: BaseException) -> Failure:
    """What to tell whoever wanted this item, which the error kept from being computed."""
    if is_out_of_memory(error):
        message = "One item alone does not fit into the device's memory."
        return Failure(work.digest, "out_of_memory", message, retryable=True)
    if isinstance(error, IMPOSSIBLE):
        return Failure(work.digest, "impossible", str(error)[:500], retryable=False)
    return Failure(work.digest, "synthesis_error", _summary(error), retryable=True)


def _attempt(
    batch: Sequence[Work],
    synthesize: Synthesize,
    group_size: int,
    done: Computed,
    began: float,
    clock: Callable[[], float],
) -> BaseException | None:
    try:
        pictures = synthesize(batch, group_size)
    except EverythingCanceled as canceled:
        return canceled.with_traceback(None)
    except Interrupted:
        raise
    except BaseException as error:  # of third-party code, which may raise SystemExit as well
        return error.with_traceback(None)
    seconds = clock() - began
    done.made.extend(
        Made(work, picture, len(batch), group_size, seconds)
        for work, picture in zip(batch, pictures, strict=True)
    )
    return None


def _summary(error: BaseException) -> str:
    try:
        message = str(error)
    except Exception:  # of third-party code, whose errors may be faulty themselves
        message = "(its message cannot be shown)"
    return f"{type(error).__name__}: {message}"[:500]
