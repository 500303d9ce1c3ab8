"""A batch that does not fit into the device's memory is made in smaller groups, and whole."""

from collections.abc import Iterator, Sequence

import pytest
import torch

from imago_engine.synthesis import DgnAm, Generator, Item, Network, Picture, synthesize
from services.queue.batches import Work
from worker.batches.computation import Computed, compute
from worker.process.devices import choose_device

ITEMS = 32


@pytest.fixture
def _whole_memory() -> Iterator[None]:
    """The share of the memory that a test takes away comes back."""
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def work(count: int) -> list[Work]:
    return [Work(f"{unit:064d}", unit, None, 0, 1) for unit in range(count)]


class Engine:
    """The real engine, a few steps for each item."""

    def __init__(self, network: Network, generator: Generator, device: torch.device) -> None:
        self._made_of = network, generator
        self._device = device
        self._recipe = DgnAm(**{**generator.info.recommended, "steps": 2, "start": "normal"})

    def __call__(self, items: Sequence[Work], group_size: int) -> list[Picture]:
        wanted = [Item(unit=work.unit, seed=work.seed) for work in items]
        return synthesize(
            *self._made_of, "output", wanted, self._recipe, device=self._device, group_size=group_size
        )

    def memory(self, group_size: int) -> int:
        """Bytes that a group of this size needs at its peak."""
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        self(work(group_size), group_size)
        return torch.cuda.max_memory_reserved()


def computed(engine: Engine, group_size: int) -> tuple[Computed, list[int]]:
    smaller: list[int] = []

    def shrink(size: int) -> None:
        smaller.append(size)
        choose_device("cuda").free_cached_memory()

    done = compute(
        work(ITEMS),
        engine,
        group_size=group_size,
        canceled=frozenset,
        on_batch=lambda items, seconds: None,
        on_out_of_memory=shrink,
    )
    return done, smaller


@pytest.mark.usefixtures("_whole_memory")
def test_out_of_memory_halves_the_groups_until_they_fit(
    lite0: Network, shipped: Generator, device: torch.device
) -> None:
    engine = Engine(lite0, shipped, device)
    engine(work(1), 1)  # loads what is loaded once
    least, most = engine.memory(1), engine.memory(ITEMS)
    assert most > 2 * least, "a group of one needs nearly as much as all: this test would show nothing"
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction((least + most) / 2 / total)
    done, smaller = computed(engine, ITEMS)
    assert smaller
    assert smaller == [ITEMS >> n for n in range(1, len(smaller) + 1)]
    assert [made.work.unit for made in done.made] == list(range(ITEMS))
    assert not done.failures


@pytest.mark.usefixtures("_whole_memory")
def test_what_does_not_fit_alone_fails_and_the_device_goes_on(
    lite0: Network, shipped: Generator, device: torch.device
) -> None:
    engine = Engine(lite0, shipped, device)
    engine(work(1), 1)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(torch.cuda.memory_reserved() / total)
    done, _ = computed(engine, ITEMS)
    assert {failure.code for failure in done.failures} == {"out_of_memory"}
    assert all(failure.retryable for failure in done.failures)
    torch.cuda.set_per_process_memory_fraction(1.0)
    done, smaller = computed(engine, ITEMS)
    assert (len(done.made), smaller) == (ITEMS, [])
