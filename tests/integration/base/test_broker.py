"""The doorbell rings through the real broker, and nobody minds when it cannot."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import redis

from services.base.broker import QUEUE, TASK, Doorbell
from services.base.errors import Unavailable
from services.base.settings import Settings


@pytest.fixture
def broker(settings: Settings) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.broker_url) as client:
        yield client


def test_a_ring_is_a_message_that_carries_no_work(settings: Settings, broker: redis.Redis) -> None:
    bell = Doorbell(settings.broker_url)
    assert bell.ring("interactive")
    message = json.loads(broker.lindex(QUEUE, 0) or "")
    assert message["headers"]["task"] == TASK
    assert message["headers"]["ignore_result"] is True
    assert message["headers"]["expires"] is not None
    assert (message["headers"]["argsrepr"], message["headers"]["kwargsrepr"]) == ("()", "{}")
    assert message["content-type"] == "application/json"
    bell.close()


def test_bells_that_nobody_answers_do_not_pile_up(settings: Settings, broker: redis.Redis) -> None:
    bell = Doorbell(settings.broker_url, bound=4)
    assert [bell.ring("bulk") for _ in range(10)] == [True] * 4 + [False] * 6
    assert broker.llen(QUEUE) == 4
    broker.flushall()
    assert bell.ring("bulk")
    bell.close()


def test_an_absent_broker_is_no_error_and_is_not_waited_for_again(settings: Settings) -> None:
    bell = Doorbell("redis://127.0.0.1:1/0")
    assert not bell.ring("interactive")
    with pytest.raises(Unavailable, match="The broker does not answer"):
        bell.ping()
    bell.close()


def test_a_broker_that_swallows_everything_costs_a_moment_once(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hole:
        bell = Doorbell(f"redis://127.0.0.1:{hole.getsockname()[1]}/0")
        assert not bell.ring("interactive")
        before = time.monotonic()
        assert not any(bell.ring("interactive") for _ in range(100))
        # A hundred more waits would be a hundred seconds.
        assert time.monotonic() - before < 50
        bell.close()


def test_of_many_who_ring_at_once_one_finds_out_that_the_broker_is_silent(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as hole:
        asked: list[socket.socket] = []

        def listen() -> None:
            with suppress(OSError):
                while True:
                    asked.append(hole.accept()[0])

        threading.Thread(target=listen, daemon=True).start()
        bell = Doorbell(f"redis://127.0.0.1:{hole.getsockname()[1]}/0")
        with ThreadPoolExecutor(16) as users:
            assert not any(users.map(bell.ring, ["interactive"] * 16))
        bell.close()
        assert len(asked) <= 2
        for connection in asked:
            connection.close()


def test_a_bell_rings_again_after_its_connections_were_cut(settings: Settings, broker: redis.Redis) -> None:
    bell = Doorbell(settings.broker_url)
    assert bell.ring("interactive")
    broker.client_kill_filter(_type="normal", skipme=True)
    assert bell.ring("interactive")
    bell.ping()
    bell.close()
