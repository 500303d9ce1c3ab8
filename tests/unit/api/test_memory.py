"""What a process keeps of what it has read."""

from api.memory import Memory


def test_the_least_recently_used_goes_first_when_the_bytes_are_full() -> None:
    memory = Memory[str, int](80)
    for number, key in enumerate("abcdefgh"):
        memory.put(key, number, 10)
    assert memory.get("a") == 0
    memory.put("i", 8, 10)
    assert (memory.get("a"), memory.get("b"), memory.get("i")) == (0, None, 8)
    assert (len(memory), memory.size) == (8, 80)


def test_what_is_put_again_counts_once() -> None:
    memory = Memory[str, int](80)
    memory.put("a", 1, 10)
    memory.put("a", 2, 3)
    assert (memory.get("a"), len(memory), memory.size) == (2, 1, 3)
    memory.clear()
    assert (memory.get("a"), len(memory), memory.size) == (None, 0, 0)


def test_what_would_take_more_than_an_eighth_is_not_kept() -> None:
    memory = Memory[str, int](80)
    memory.put("a", 1, 11)
    assert memory.get("a") is None
    Memory[str, int](0).put("a", 1, 1)
