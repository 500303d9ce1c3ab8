import pytest

from services.base.errors import Unavailable
from worker.leasing.retries import LONGEST_PAUSE, keep_trying


class Server:
    """Away for the first so many calls."""

    def __init__(self, away_for: int) -> None:
        self.away_for = away_for
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.away_for:
            raise Unavailable("server")
        return "answer"


def test_the_action_is_repeated_until_the_server_answers_with_pauses_that_grow_and_stay_bounded() -> None:
    pauses: list[float] = []
    server = Server(away_for=12)
    assert keep_trying(server, what="test", may_go_on=lambda: True, wait=pauses.append) == "answer"
    assert server.calls == 13
    assert pauses[0] < 0.2
    assert max(pauses) <= LONGEST_PAUSE
    assert pauses[-1] > 1


def test_it_ends_when_it_may_not_go_on() -> None:
    server = Server(away_for=1000)
    with pytest.raises(Unavailable):
        keep_trying(server, what="test", may_go_on=lambda: server.calls < 5, wait=lambda seconds: None)
    assert server.calls == 5


def test_an_error_that_is_not_of_a_server_is_not_repeated() -> None:
    calls = []

    def broken() -> None:
        calls.append(1)
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        keep_trying(broken, what="test", may_go_on=lambda: True, wait=lambda seconds: None)
    assert calls == [1]
