from worker.batch_size import BatchSizer


def sizer(**changes: float) -> BatchSizer:
    values = {"batch_seconds": 20.0, "max_batch": 64, "first": 4} | changes
    return BatchSizer(
        batch_seconds=values["batch_seconds"],
        max_batch=int(values["max_batch"]),
        first=int(values["first"]),
        memory_bytes=int(values["memory_bytes"]) if "memory_bytes" in values else None,
    )


def test_a_first_batch_is_small_so_that_a_picture_is_seen_soon() -> None:
    assert sizer().size("kind", steps=200) == 4
    assert sizer().guess() == 4


def test_the_next_batch_takes_about_the_wanted_time() -> None:
    sizes = sizer()
    sizes.learn("kind", items=4, steps=200, seconds=8)  # 2 s an item
    assert sizes.size("kind", steps=200) == 10
    assert sizes.size("kind", steps=400) == 5


def test_a_batch_grows_by_steps_and_never_past_the_limit() -> None:
    sizes = sizer()
    sizes.learn("kind", items=4, steps=200, seconds=0.1)
    assert sizes.size("kind", steps=200) == 16
    sizes.learn("kind", items=16, steps=200, seconds=0.2)
    assert sizes.size("kind", steps=200) == 64
    sizes.learn("kind", items=64, steps=200, seconds=0.5)
    assert sizes.size("kind", steps=200) == 64


def test_even_the_slowest_work_gets_a_batch_of_one() -> None:
    sizes = sizer()
    sizes.learn("kind", items=4, steps=200, seconds=4000)
    assert sizes.size("kind", steps=2000) == 1


def test_a_small_last_batch_of_a_job_does_not_make_the_next_one_small() -> None:
    sizes = sizer()
    sizes.learn("kind", items=40, steps=200, seconds=20)  # half a second an item
    sizes.learn("kind", items=10, steps=200, seconds=5)
    assert sizes.size("kind", steps=200) == 40


def test_what_a_step_costs_however_few_its_items_is_told_from_what_the_items_cost() -> None:
    sizes = sizer()
    sizes.learn("kind", items=4, steps=200, seconds=8.4)  # 8 s + 0.1 s an item
    sizes.learn("kind", items=16, steps=200, seconds=9.6)
    assert sizes.size("kind", steps=200) == 64  # growth ends here; 120 would take 20 s


def test_batches_do_not_stay_small_where_a_step_alone_takes_too_long() -> None:
    sizes = sizer(batch_seconds=3)
    sizes.learn("kind", items=4, steps=60, seconds=4.4)  # 4 s + 0.1 s an item
    sizes.learn("kind", items=2, steps=60, seconds=4.2)
    assert sizes.size("kind", steps=60) == 8
    sizes.learn("kind", items=8, steps=60, seconds=4.8)
    assert sizes.size("kind", steps=60) == 32


def test_a_slow_first_batch_is_forgotten() -> None:
    sizes = sizer()
    sizes.learn("kind", items=4, steps=200, seconds=80)
    for _ in range(12):
        size = sizes.size("kind", steps=200)
        sizes.learn("kind", items=size, steps=200, seconds=size * 0.5)
    assert sizes.size("kind", steps=200) >= 32


def test_what_did_not_fit_is_not_tried_again() -> None:
    sizes = sizer()
    sizes.learn("kind", items=32, steps=200, seconds=1)
    assert sizes.out_of_memory("kind", items=64) == 32
    assert sizes.size("kind", steps=200) == 32
    assert sizes.out_of_memory("kind", items=1) == 1


def test_a_kind_that_only_ever_failed_starts_below_what_failed() -> None:
    sizes = sizer(first=16)
    sizes.out_of_memory("kind", items=16)
    assert sizes.size("kind", steps=200) == 8


def test_memory_measured_on_a_batch_bounds_the_next() -> None:
    sizes = sizer(memory_bytes=1000)
    sizes.learn("kind", items=4, steps=200, seconds=0.1, peak_bytes=400)
    assert sizes.size("kind", steps=200) == 10


def test_each_kind_is_learned_for_itself_and_the_guess_follows_the_last() -> None:
    sizes = sizer()
    sizes.learn("quick", items=4, steps=200, seconds=1)
    assert sizes.size("slow", steps=200) == 4
    assert sizes.size("quick", steps=200) == 16
    assert sizes.guess() == 16
