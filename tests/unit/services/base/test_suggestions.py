"""'Did you mean': the likest names, for work that no wrong name makes long."""

import difflib
from typing import Any

import pytest

from services.base.suggestions import nearest

LAYERS = [f"blocks.{i}.{j}.{part}" for i in range(7) for j in range(5) for part in ("conv_pw", "bn1", "fc")]


def test_the_likest_names_come_first_and_of_equals_those_that_are_known_first() -> None:
    assert nearest("blcks.3.2.conv_pw", LAYERS)[0] == "blocks.3.2.conv_pw"
    assert nearest("BLOCKS.0.1.BN1", LAYERS)[0] == "blocks.0.1.bn1"
    assert nearest("", LAYERS) == LAYERS[:5]
    assert nearest("any", []) == []


def test_of_a_long_wrong_name_the_beginning_is_compared() -> None:
    assert nearest("blocks.3.2." * 2000, LAYERS) == nearest(("blocks.3.2." * 2000)[:200], LAYERS)


def test_few_names_are_compared_in_full_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[float] = []

    class Counted(difflib.SequenceMatcher[Any]):
        def ratio(self) -> float:
            compared.append(super().ratio())
            return compared[-1]

    monkeypatch.setattr(difflib, "SequenceMatcher", Counted)
    assert nearest("a" * 200, [f"alligator number {n}" for n in range(5000)])
    assert len(compared) <= 64
