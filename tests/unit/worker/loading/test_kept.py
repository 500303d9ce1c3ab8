"""What is kept on the device."""

from cachetools import LRUCache

from worker.loading.runtime import kept


def test_room_is_made_before_another_one_is_made_and_the_least_recently_used_goes() -> None:
    cache: LRUCache[str, int] = LRUCache(2)
    held: list[int] = []

    def make() -> int:
        held.append(len(cache))
        return len(held)

    assert [kept(cache, key, make) for key in ("a", "b", "a", "c", "a", "b")] == [1, 2, 1, 3, 1, 4]
    assert held == [0, 1, 1, 1]
