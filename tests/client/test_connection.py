"""Where the address and the key come from, and how they are kept."""

import resource
import stat
from pathlib import Path

import pytest

from imago import connection
from imago.errors import ImagoError


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGO_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.delenv("IMAGO_URL", raising=False)
    monkeypatch.delenv("IMAGO_API_KEY", raising=False)


def test_without_anything_it_is_the_server_on_this_machine() -> None:
    found = connection.resolve()
    assert (found.url, found.key, found.url_from) == ("http://127.0.0.1:8000", None, "default")


def test_an_argument_wins_over_the_environment_and_this_over_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection.remember("http://stored:1", "imago_stored")
    assert connection.resolve().url == "http://stored:1"
    assert connection.resolve().key == "imago_stored"
    monkeypatch.setenv("IMAGO_URL", "http://environment:2/")
    assert connection.resolve().url == "http://environment:2"
    assert connection.resolve("http://argument:3").url == "http://argument:3"


def test_a_stored_key_goes_to_the_server_it_was_stored_for_and_to_no_other() -> None:
    connection.remember("http://stored:1/", "imago_stored")
    assert connection.resolve("http://stored:1").key == "imago_stored"
    assert connection.resolve("http://another:1").key is None


def test_only_the_owner_can_read_the_stored_keys() -> None:
    path = connection.remember("http://stored:1", "imago_stored")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_forgotten_server_leaves_the_others() -> None:
    connection.remember("http://first:1", "imago_1")
    connection.remember("http://second:1", "imago_2")
    assert connection.forget("http://second:1/")
    assert not connection.forget("http://second:1")
    assert connection.resolve().url_from == "default"
    assert connection.resolve("http://first:1").key == "imago_1"


def test_a_full_disk_is_an_error_and_leaves_what_is_stored_as_it_is() -> None:
    connection.remember("http://stored:1", "imago_stored")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(ImagoError, match="Cannot write"):
            connection.remember("http://another:1", "imago_another")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert connection.resolve("http://stored:1").key == "imago_stored"
    assert [path.name for path in connection.config_file().parent.iterdir()] == [
        connection.config_file().name
    ]


def test_a_damaged_file_is_named() -> None:
    path = connection.remember("http://stored:1", "imago_stored")
    path.write_text("{")
    with pytest.raises(ImagoError, match="log in again") as caught:
        connection.resolve()
    assert str(path) in str(caught.value)


def test_a_key_is_taken_without_the_blanks_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGO_API_KEY", "imago_environment\r")
    assert connection.resolve().key == "imago_environment"
    monkeypatch.setenv("IMAGO_API_KEY", " ")
    assert connection.resolve().key_from == "none"
