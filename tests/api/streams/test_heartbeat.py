"""One stream in its event loop: comments where nothing comes, and an end where its client does not read."""

import asyncio
from datetime import UTC, datetime

import pytest

from api.edge import limits
from api.streams.event import HEARTBEAT, EventId
from api.streams.stream import Opened, Stream
from services.atlases.visibility import ANYONE

NOW = datetime(2026, 11, 28, tzinfo=UTC)


def stream() -> Stream:
    return Stream(Opened(("job", "job_1"), ANYONE, "127.0.0.1", EventId(NOW), NOW))


async def taken(stream: Stream, most: int) -> list[bytes]:
    pieces: list[bytes] = []
    async for piece in stream.pieces():
        pieces.append(piece)
        if len(pieces) == most:
            break
    return pieces


def test_a_stream_of_which_nothing_comes_sends_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEARTBEAT_SECONDS", 0.01)

    async def run() -> list[bytes]:
        return await taken(stream(), 3)

    assert asyncio.run(run()) == [HEARTBEAT] * 3


def test_a_stream_whose_client_does_not_read_holds_a_bounded_part_and_ends() -> None:
    async def run() -> list[bytes]:
        slow = stream()
        for _ in range(1000):
            slow.put(b"x" * 1000)
        return await taken(slow, 1000)

    assert asyncio.run(run()) == []


def test_what_was_put_before_the_end_is_sent_and_nothing_after_it() -> None:
    async def run() -> list[bytes]:
        one = stream()
        one.put(b"a")
        one.end()
        one.put(b"b")
        return await taken(one, 10)

    assert asyncio.run(run()) == [b"a"]


@pytest.mark.parametrize("text", ["0", "1795867200000000-6f1c2e7b", f"1795867200000000-{'a' * 64}"])
def test_ids_are_read_as_they_are_written(text: str) -> None:
    assert str(EventId.parse(text)) == text


@pytest.mark.parametrize("text", ["", "x", "-1", "1-", "1-xyz", "1" * 17, "1 ", "1-6F1C2E7B"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the id of an event"):
        EventId.parse(text)
