"""The version is written once, in imago_engine/version.py; all that has one follows."""

import json
import re
from pathlib import Path

import pytest
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager
from setuptools.config.pyprojecttoml import read_configuration

import imago
from imago_engine.version import __version__

ROOT = Path(__file__).resolve().parents[3]


def test_client_and_contract_have_the_version_of_the_engine() -> None:
    contract = json.loads((ROOT / "openapi.json").read_text())["info"]["version"]
    assert imago.__version__ == contract == __version__


@pytest.mark.parametrize("distribution", ["engine", "client"])
def test_what_is_built_has_it(distribution: str) -> None:
    assert ProjectMetadata(str(ROOT / distribution), PluginManager()).version == __version__


def test_the_server_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert read_configuration("pyproject.toml")["project"]["version"] == __version__


def as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def test_the_newest_release_of_the_changelog_is_it_or_before_it() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    releases = re.findall(r"^## (.+)$", text, re.MULTILINE)
    unreleased = releases[:1] == ["Unreleased"]
    numbers = [as_numbers(name.split(" ")[0]) for name in releases[unreleased:]]
    assert numbers == sorted(numbers, reverse=True)
    current = as_numbers(__version__)
    assert not numbers or numbers[0] == current or (unreleased and numbers[0] < current)
    assert releases, "the changelog says nothing"
