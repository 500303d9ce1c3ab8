"""Every page, as one finds it from the entrance on: what must hold of all of them."""

from collections.abc import Callable, Iterator, Sequence

import pytest
from playwright.sync_api import Browser

from infra.browser.chromium import Look
from infra.browser.walk import Page, Walk
from tests.web import keyboard, looked_at
from tests.web.conftest import Site

LOOKS = [Look("light", 1280), Look("dark", 390)]
MIXED = [Look("dark", 1280), Look("light", 390)]
"""What is shown depends on the width alone, and its colours on the theme alone."""
Check = Callable[[Browser, str, str, Look], Iterator[str]]


def faults(
    check: Check, browser: Browser, site: Site, pages: Sequence[Page], look: Look
) -> dict[str, list[str]]:
    """By page, what is wrong with it; only of pages with which something is."""
    found = {page.path: list(check(browser, site.url, page.path, look)) for page in pages}
    return {path: said for path, said in found.items() if said}


def one_of_each(walked: Walk) -> list[Page]:
    """A page of each kind, the one that is nearest to the entrance."""
    return list({page.kind: page for page in reversed(walked.pages)}.values())


def test_every_link_leads_somewhere_and_the_walk_finds_the_pages(walked: Walk) -> None:
    # The API answers 404 also for what a worker is still making, such as a poster.
    assert [fault for fault in walked.dead if not fault.startswith("/v1/")] == []
    of_networks = {"networks/*", "networks/*/layers/*", "networks/*/layers/*/units/*"}
    others = {"atlases/*", "jobs/*", "compare", "compare/*", "search/photograph"}
    assert of_networks | others <= {page.kind for page in walked.pages}


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_page_of_each_kind_can_be_used_by_everybody_and_asks_nobody_else(
    browser: Browser, site: Site, walked: Walk, look: Look
) -> None:
    """No console error, no request that leaves the origin, nothing that `looked_at` names: every other kind
    in each look, so that both are looked at without looking at everything twice.
    """
    pages = one_of_each(walked)[LOOKS.index(look) :: len(LOOKS)]
    assert faults(looked_at.faults_of, browser, site, pages, look) == {}


@pytest.mark.thorough
@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_every_page_can_be_used_by_everybody_and_asks_nobody_else(
    browser: Browser, site: Site, walked: Walk, look: Look
) -> None:
    assert faults(looked_at.faults_of, browser, site, walked.pages, look) == {}


@pytest.mark.thorough
@pytest.mark.parametrize("look", MIXED, ids=str)
def test_every_kind_of_page_has_colours_that_can_be_told_apart(
    browser: Browser, site: Site, walked: Walk, look: Look
) -> None:
    assert faults(looked_at.faults_of_colours, browser, site, one_of_each(walked), look) == {}


@pytest.mark.thorough
def test_the_keyboard_alone_reaches_everything_and_shows_where_it_is(
    browser: Browser, site: Site, walked: Walk
) -> None:
    assert faults(keyboard.faults_of, browser, site, one_of_each(walked), LOOKS[0]) == {}
