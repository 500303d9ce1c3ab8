"""What the embedded servers remember of their ports and keys is read by name, or told as damaged."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.local.server import ServerError
from infra.local.servers import Servers


def test_ports_and_keys_are_those_of_the_first_time(tmp_path: Path) -> None:
    first, second = Servers(tmp_path), Servers(tmp_path)
    assert first.endpoints == second.endpoints


@pytest.mark.parametrize("whole", ["", "{", "[]", "null", "1", '"text"', "{}", '{"ports": [], "keys": {}}'])
def test_a_file_that_is_none_of_theirs_is_told_as_damaged(tmp_path: Path, whole: str) -> None:
    (tmp_path / "servers.json").write_text(whole)
    with pytest.raises(ServerError, match="is damaged"):
        Servers(tmp_path)


@pytest.mark.parametrize("kind", ["ports", "keys"])
def test_a_file_that_lacks_a_name_is_told_as_damaged(tmp_path: Path, kind: str) -> None:
    Servers(tmp_path)
    file = tmp_path / "servers.json"
    whole = file.read_text()
    for name in json.loads(whole)[kind]:
        chosen = json.loads(whole)
        del chosen[kind][name]
        file.write_text(json.dumps(chosen))
        with pytest.raises(ServerError, match="is damaged"):
            Servers(tmp_path)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(("ports", value) for value in (70000, 65536, -1, 0, None, "many", 1.5, float("inf"))),
        *(("keys", value) for value in (None, 7, "", ["a"])),
    ],
)
def test_what_is_no_port_and_no_key_is_told_as_damage(tmp_path: Path, kind: str, value: Any) -> None:
    Servers(tmp_path)
    file = tmp_path / "servers.json"
    chosen = json.loads(file.read_text())
    chosen[kind]["valkey"] = value
    file.write_text(json.dumps(chosen))
    with pytest.raises(ServerError, match="is damaged"):
        Servers(tmp_path)
