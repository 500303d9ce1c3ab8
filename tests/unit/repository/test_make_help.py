"""`make help` tells of everything that `make` can do; folders reach commands as they were given."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MAKEFILE = (ROOT / "Makefile").read_text()


@pytest.fixture(scope="module")
def listed() -> dict[str, str]:
    """Target → what the list says of it."""
    said = subprocess.run(
        ["make", "-C", str(ROOT), "--no-print-directory", "help"], capture_output=True, text=True, check=True
    ).stdout
    return dict(re.findall(r"^ +make (\S+) +(\S.*)$", said, re.MULTILINE))


def test_every_target_is_listed_with_a_line(listed: dict[str, str]) -> None:
    rules = {
        name
        for names in re.findall(r"^([a-z][a-z -]*):(?!=)", MAKEFILE, re.MULTILINE)
        for name in names.split()
    }
    declared = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert declared
    assert rules == set(declared[1].split())
    assert rules <= listed.keys()


def test_every_bench_is_listed_and_every_listed_one_is_there(listed: dict[str, str]) -> None:
    made = {
        name
        for path in (ROOT / "benchmarks").rglob("*.py")
        for name in re.findall(r"`make (bench-[a-z-]+)", path.read_text())
    }
    assert made == {name for name in listed if name.startswith("bench-")}


def test_what_the_pages_tell_people_to_make_can_be_made(listed: dict[str, str]) -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "engine" / "README.md"]
    told = {
        (path.name, name)
        for path in pages
        for name in re.findall(r"(?<=`)make ([a-z-]+)(?=[ `])", path.read_text())
    }
    assert told
    assert {(page, name) for page, name in told if name not in listed and name != "bench-NAME"} == set()


@pytest.mark.parametrize("target", ["up", "demo", "down", "status", "clean"])
def test_a_home_may_have_blanks_in_its_name(target: str) -> None:
    told = subprocess.run(
        ["make", "-C", str(ROOT), "-n", target, "HOME_FOLDER=/a folder/of mine"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (line,) = [line for line in told.splitlines() if "--home" in line]
    words = shlex.split(line, posix=True)
    assert words[words.index("--home") + 1].rstrip(";") == "/a folder/of mine"
