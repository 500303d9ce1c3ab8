from worker.batches.size import BatchSizer


def sizer(max_batch: int = 64) -> BatchSizer:
    return BatchSizer(batch_seconds=20, max_batch=max_batch, round_size=4)


def test_a_first_batch_is_one_group_so_that_a_picture_is_seen_soon() -> None:
    assert sizer().size("kind", steps=200) == 4


def test_the_next_batch_takes_about_the_wanted_time_and_whole_groups() -> None:
    sizes = sizer()
    sizes.learn("kind", items=4, steps=200, seconds=6)
    assert sizes.size("kind", steps=200) == 12
    assert sizes.size("kind", steps=100) == 24


def test_a_group_that_is_not_full_costs_as_much_as_a_full_one() -> None:
    sizes = sizer()
    sizes.learn("kind", items=1, steps=200, seconds=6)
    assert sizes.size("kind", steps=200) == 12


def test_no_batch_is_larger_than_the_limit() -> None:
    sizes = sizer(max_batch=30)
    sizes.learn("kind", items=4, steps=200, seconds=0.01)
    assert sizes.size("kind", steps=200) == 30
    assert sizer(max_batch=2).size("kind", steps=200) == 2


def test_even_the_slowest_work_gets_a_group() -> None:
    sizes = sizer()
    sizes.learn("kind", items=4, steps=200, seconds=4000)
    assert sizes.size("kind", steps=2000) == 4


def test_a_slow_first_batch_is_soon_forgotten() -> None:
    sizes = sizer()
    sizes.learn("kind", items=4, steps=200, seconds=80)
    for _ in range(8):
        size = sizes.size("kind", steps=200)
        sizes.learn("kind", items=size, steps=200, seconds=size * 0.5)
    assert sizes.size("kind", steps=200) >= 32


def test_each_kind_is_learned_for_itself() -> None:
    sizes = sizer()
    sizes.learn("quick", items=4, steps=200, seconds=1)
    assert sizes.size("slow", steps=200) == 4
    assert sizes.size("quick", steps=200) == 64
