"""The pages point to what is there."""

import re
from pathlib import Path

import pytest

from services.base.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "client").glob("*.md"),
    *(ROOT / "engine").glob("*.md"),
]
EXPLANATIONS = sorted((ROOT / "docs/explanation").glob("*.md"))
TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"def (test_\w+)", path.read_text())
}
SOURCES = "".join(
    path.read_text()
    for folder in ("api", "worker", "infra", "engine/src", "client/src")
    for path in (ROOT / folder).rglob("*.py")
)
RUN_FROM = [ROOT, ROOT / "engine/src", ROOT / "client/src"]
_LINK = re.compile(r"\]\(([^()\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page: Path) -> None:
    links = [
        link for link in _LINK.findall(page.read_text()) if "://" not in link and not link.startswith("#")
    ]
    assert [link for link in links if not (page.parent / link.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("page", EXPLANATIONS, ids=lambda page: page.name)
def test_a_page_names_tests_that_there_are(page: Path) -> None:
    named = set(re.findall(r"`(test_\w+)`", page.read_text()))
    assert named - TESTS == set()


def test_where_is_answers_with_paths_that_there_are() -> None:
    rows = re.findall(r"^\| (.+?) \| `([^`]+)` \|", (ROOT / "docs/explanation/where-is.md").read_text(), re.M)
    assert len(rows) >= 20
    assert [path for _, path in rows if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", [*EXPLANATIONS, ROOT / "ARCHITECTURE.md"], ids=lambda page: page.name)
def test_a_page_names_files_of_ours_that_there_are(page: Path) -> None:
    """Paths are given from the root, or from the engine's package or its synthesis."""
    bases = [ROOT, ROOT / "engine/src", ROOT / "engine/src/imago_engine"]
    bases += [bases[2] / "synthesis"]
    named = set(re.findall(r"`((?:[\w.-]+/)+(?:[\w-]+\.\w+)?)`", page.read_text()))
    assert [
        path for path in named if not any((base / path).exists() for base in bases) and "NAME" not in path
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_settings_and_modules_that_there_are(page: Path) -> None:
    """The changelog alone may name what is gone."""
    if page.name == "CHANGELOG.md":
        return
    text = page.read_text()
    settings = set(re.findall(r"\bIMAGO_[A-Z0-9_]*[A-Z0-9]\b", text))
    assert {name for name in settings if not _is_read(name)} == set()
    modules = set(re.findall(r"python -m ((?!pytest)[\w.]*\w)", text))
    assert {name for name in modules if not _can_be_run(name)} == set()


def _is_read(setting: str) -> bool:
    return setting.removeprefix("IMAGO_").lower() in Settings.model_fields or setting in SOURCES


def _can_be_run(module: str) -> bool:
    paths = [folder / module.replace(".", "/") for folder in RUN_FROM]
    return any(path.with_suffix(".py").exists() or (path / "__main__.py").exists() for path in paths)


def test_the_glossary_is_in_the_order_of_the_alphabet() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\*", (ROOT / "docs/glossary.md").read_text(), re.M)
    assert len(words) > 30
    assert words == sorted(words, key=str.lower)


def test_the_architecture_is_one_page_with_one_diagram() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert len(text.splitlines()) <= 80
    assert text.count("```") == 2


def test_pages_have_links_to_follow() -> None:
    assert sum(len(_LINK.findall(page.read_text())) for page in PAGES) > 30
