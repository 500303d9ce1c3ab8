"""Every page, as one finds it from the entrance on: what must hold of all of them."""

from collections.abc import Callable, Iterator, Sequence

import pytest
from playwright.sync_api import Browser
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from api.application import build
from infra.browser.chromium import Look
from infra.browser.walk import Page, Walk
from tests.web import keyboard, looked_at
from tests.web.conftest import Site

LOOKS = [Look(theme, width) for theme in ("light", "dark") for width in (1280, 390)]
Check = Callable[[Browser, str, str, Look], Iterator[str]]


def faults(
    check: Check, browser: Browser, site: Site, pages: Sequence[Page], look: Look
) -> dict[str, list[str]]:
    """By page, what is wrong with it; only of pages with which something is."""
    found = {page.path: list(check(browser, site.url, page.path, look)) for page in pages}
    return {path: said for path, said in found.items() if said}


def test_every_link_leads_somewhere_and_the_walk_finds_the_pages(walked: Walk) -> None:
    assert [fault for fault in walked.dead if _has_a_view(fault.split()[0])] == []
    assert len({page.kind for page in walked.pages}) >= 3


def _has_a_view(path: str) -> bool:
    """Whether the page of a link is written already: the navigation names those that are to come."""
    try:
        build().url_map.bind("localhost").match(path.partition("?")[0])
    except RequestRedirect:
        return True
    except HTTPException:
        return False
    return True


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_every_page_can_be_used_by_everybody_and_asks_nobody_else(
    browser: Browser, site: Site, walked: Walk, look: Look
) -> None:
    """No console error, no request that leaves the origin, nothing that `looked_at` names."""
    assert faults(looked_at.faults_of, browser, site, walked.pages, look) == {}


def test_the_keyboard_alone_reaches_everything_and_shows_where_it_is(
    browser: Browser, site: Site, walked: Walk
) -> None:
    assert faults(keyboard.faults_of, browser, site, walked.pages, LOOKS[0]) == {}
