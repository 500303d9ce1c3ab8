from collections.abc import Sequence

import numpy as np
import pytest
import torch

from imago_engine.synthesis.ascent import Picture
from imago_engine.synthesis.objectives import ObjectiveError
from services.queue.batches import Work
from worker.batches.computation import Computed, DeviceLost, compute
from worker.leasing.lease_renewal import EverythingCanceled, Stopping


def work(count: int) -> list[Work]:
    return [Work(digest=f"{n:064d}", unit=n, place=None, seed=0, attempt=1) for n in range(count)]


def picture(of: Work) -> Picture:
    return Picture(
        image=np.zeros((4, 4, 3), np.uint8),
        code=np.zeros(2, np.float32),
        activation=float(of.unit),
        trace=np.zeros(3, np.float32),
        status="done",
        predictions=None,
        crop_box=None,
        skipped_steps=0,
    )


class Engine:
    """Refuses units in `faulty`, and groups larger than `room`."""

    def __init__(
        self, faulty: Sequence[int] = (), room: int = 1000, error: BaseException | None = None
    ) -> None:
        self.faulty, self.room, self.error = set(faulty), room, error
        self.batches: list[int] = []

    def __call__(self, items: Sequence[Work], group_size: int) -> list[Picture]:
        self.batches.append(len(items))
        if group_size > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if self.faulty & {item.unit for item in items}:
            raise self.error or RuntimeError("this item is broken")
        return [picture(item) for item in items]


def run(
    items: Sequence[Work], engine: Engine, gone: frozenset[str] = frozenset()
) -> tuple[Computed, list[int]]:
    smaller: list[int] = []
    done = compute(
        items,
        engine,
        group_size=32,
        canceled=lambda: gone,
        on_batch=lambda size, seconds: None,
        on_out_of_memory=smaller.append,
    )
    return done, smaller


def test_items_are_computed_together_and_keep_their_own_pictures() -> None:
    engine = Engine()
    done, _ = run(work(8), engine)
    assert engine.batches == [8]
    assert [made.picture.activation for made in done.made] == list(range(8))


def test_only_the_faulty_item_of_a_batch_fails() -> None:
    done, _ = run(work(16), Engine(faulty=[5]))
    assert [failure.digest for failure in done.failures] == [f"{5:064d}"]
    assert done.failures[0].retryable
    assert "this item is broken" in done.failures[0].message
    assert sorted(made.work.unit for made in done.made) == [n for n in range(16) if n != 5]


def test_an_impossible_item_is_not_tried_again() -> None:
    done, _ = run(work(2), Engine(faulty=[1], error=ObjectiveError("unit 1; expected 0 to 0")))
    assert not done.failures[0].retryable
    assert done.failures[0].code == "impossible"


def test_a_batch_that_does_not_fit_is_computed_in_smaller_groups() -> None:
    engine = Engine(room=8)
    done, smaller = run(work(16), engine)
    assert smaller == [16, 8]
    assert [made.group_size for made in done.made] == [8] * 16
    assert not done.failures


def test_items_that_do_not_fit_alone_fail_and_say_so() -> None:
    done, smaller = run(work(2), Engine(room=0))
    assert smaller == [16, 8, 4, 2, 1, 0]
    assert [failure.code for failure in done.failures] == ["out_of_memory"] * 2


def test_canceled_items_are_left_out() -> None:
    done, _ = run(work(4), Engine(), gone=frozenset({f"{2:064d}"}))
    assert [made.work.unit for made in done.made] == [0, 1, 3]


def test_a_part_whose_items_are_all_canceled_is_left_out_and_the_rest_is_kept() -> None:
    class CanceledLater(Engine):
        """The first call fails, so the batch is cut; nobody wants the second half when it is computed."""

        def __call__(self, items: Sequence[Work], group_size: int) -> list[Picture]:
            if self.batches == [4, 2]:
                raise EverythingCanceled
            return super().__call__(items, group_size)

    done, _ = run(work(4), CanceledLater(faulty=[3]))
    assert [made.work.unit for made in done.made] == [0, 1]
    assert not done.failures


def test_an_interruption_is_no_fault_of_the_items() -> None:
    with pytest.raises(Stopping):
        run(work(4), Engine(faulty=[1], error=Stopping()))


def test_a_lost_device_is_not_blamed_on_single_items() -> None:
    with pytest.raises(DeviceLost):
        run(
            work(4),
            Engine(faulty=[1], error=torch.AcceleratorError("CUDA error: unspecified launch failure")),
        )


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("this error has no words")


@pytest.mark.parametrize(
    "error", [SystemExit(3), StopIteration(), Unspeakable()], ids=lambda e: type(e).__name__
)
def test_whatever_the_engine_raises_is_told_of_the_item_that_it_was_raised_for(error: BaseException) -> None:
    items = work(4)
    done, _ = run(items, Engine(faulty=[2], error=error))
    assert [made.work.unit for made in done.made] == [0, 1, 3]
    [failure] = done.failures
    assert failure.digest == items[2].digest
    assert type(error).__name__ in failure.message
