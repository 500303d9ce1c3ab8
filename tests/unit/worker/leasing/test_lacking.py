import pytest

from imago_engine.synthesis.sources.downloads import check_reachable
from imago_engine.synthesis.sources.network_source import NetworkError, OutOfReach
from worker.leasing import lacking
from worker.leasing.lacking import Lacking


def test_what_is_lacking_is_left_for_a_while_and_told_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("worker.leasing.lacking.time.monotonic", lambda: now)
    noted = Lacking()
    noted.note("network:a", "No way to the hub.", leave=True)
    noted.note("generator:b", "Disk full.", leave=False)
    assert (noted.left, noted.told) == (["network:a"], ["network:a", "generator:b"])
    assert noted.reason == "No way to the hub. Disk full."
    noted.found("generator:b")
    now += lacking.LEFT_SECONDS
    assert (noted.left, noted.told) == ([], ["network:a"])
    assert noted.reason == "No way to the hub."
    now += lacking.TOLD_SECONDS
    assert noted.told == []
    assert not noted.reason


def test_a_hub_that_cannot_be_reached_is_told_from_a_network_that_cannot_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("imago_engine.synthesis.sources.downloads.PAUSE_SECONDS", 0.0)

    def ask(seconds: float) -> None:
        raise ConnectionRefusedError

    with pytest.raises(OutOfReach):
        check_reachable("nowhere.invalid", ask)
    assert issubclass(OutOfReach, NetworkError)
