"""A unit's page in the hands of somebody who has a keyboard."""

import re

from playwright.sync_api import Browser

from infra.browser.chromium import Look, looking
from infra.browser.furnishing import NETWORK
from tests.web.conftest import Site
from tests.worker_processes import until

LAYERS = f"/networks/{NETWORK}/layers"
LOOK = Look("light", 1280)


def test_arrow_keys_lead_to_the_next_unit_and_to_the_next_layer(browser: Browser, site: Site) -> None:
    with looking(browser, LOOK) as context:
        page = context.new_page()
        page.goto(f"{site.url}{LAYERS}/blocks.4.2/units/4", wait_until="domcontentloaded")
        for key, path in (
            ("ArrowRight", "blocks.4.2/units/5"),
            ("ArrowLeft", "blocks.4.2/units/4"),
            ("Shift+ArrowUp", "conv_stem/units/4"),
            ("Shift+ArrowDown", "blocks.4.2/units/4"),
        ):
            page.wait_for_load_state("domcontentloaded")
            page.keyboard.press(key)
            page.wait_for_url(re.compile(re.escape(f"{LAYERS}/{path}") + r"(\?|$)"), wait_until="commit")


def test_the_keys_up_and_down_alone_scroll(browser: Browser, site: Site) -> None:
    with looking(browser, LOOK) as context:
        page = context.new_page()
        page.goto(f"{site.url}{LAYERS}/blocks.4.2/units/4")

        def scrolls() -> bool:
            # A page that no frame was drawn of yet drops a key.
            page.keyboard.press("ArrowDown")
            return bool(page.evaluate("scrollY") > 0)

        # The policy of the pages forbids what `page.wait_for_function` evaluates when it looks again.
        until(scrolls, "the page has scrolled")
        assert page.url.endswith("blocks.4.2/units/4")


def test_the_names_of_layers_beside_a_page_are_there_whole(browser: Browser, site: Site) -> None:
    with looking(browser, LOOK) as context:
        page = context.new_page()
        page.goto(f"{site.url}/design")
        names = page.locator(".rail .layer-name")
        assert max(len(text) for text in names.all_inner_texts()) > 30
        assert all(name.evaluate("name => name.scrollWidth <= name.clientWidth") for name in names.all())
