"""The pages point to what is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "client").glob("*.md"),
    *(ROOT / "engine").glob("*.md"),
]
_LINK = re.compile(r"\]\(([^()\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page: Path) -> None:
    links = [
        link for link in _LINK.findall(page.read_text()) if "://" not in link and not link.startswith("#")
    ]
    assert [link for link in links if not (page.parent / link.partition("#")[0]).exists()] == []


def test_pages_have_links_to_follow() -> None:
    assert sum(len(_LINK.findall(page.read_text())) for page in PAGES) > 30
