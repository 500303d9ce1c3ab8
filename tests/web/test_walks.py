"""What somebody comes to do, from page to page: to look around, to compare, to build."""

import re
from collections.abc import Iterator, Mapping

import pytest
from playwright.sync_api import Browser, Page, expect

import imago
from infra.browser.chromium import PATIENCE_MS, Look, looking
from infra.browser.furnishing import NETWORK
from tests.web.conftest import Site
from tests.web.test_live import paused, process_of, sign_in

UNIT = re.compile(rf"/networks/{re.escape(NETWORK)}/layers/[^/]+/units/[0-9]+\?")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with looking(browser, Look("light", 1280)) as context:
        yield context.new_page()


def test_one_walks_from_a_network_to_a_layer_to_a_unit_to_one_like_it(
    site: Site, asked: Mapping[str, str], page: Page
) -> None:
    page.goto(f"{site.url}/networks/{NETWORK}")
    page.get_by_role("heading", name="classifier").get_by_role("link").click()
    page.wait_for_url(re.compile("/layers/classifier"))
    page.get_by_role("grid").get_by_role("link").first.click()
    page.wait_for_url(UNIT)
    first, picture = page.url, page.locator("img.portrait")
    expect(picture).to_have_js_property("complete", True, timeout=PATIENCE_MS)
    source = picture.get_attribute("src")
    page.get_by_role("region", name="Units that want something like it").get_by_role("listitem").first.click()
    page.wait_for_url(lambda url: url != first and bool(UNIT.search(url)))
    expect(picture).to_have_js_property("complete", True, timeout=PATIENCE_MS)
    assert picture.get_attribute("src") != source


def test_two_atlases_are_chosen_and_compared_unit_by_unit(
    site: Site, asked: Mapping[str, str], page: Page
) -> None:
    page.goto(f"{site.url}/atlases/{site.atlas}")
    page.locator("main").get_by_role("link", name="Compare", exact=True).click()
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url(re.compile(r"/compare\?a=.*&b="))
    pairs = page.locator("ul.pairs > li")
    expect(pairs).to_have_count(3, timeout=PATIENCE_MS)
    for picture in pairs.first.get_by_role("img").all():
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    pairs.first.get_by_role("link").last.click()
    page.wait_for_url(UNIT)
    expect(page.get_by_alt_text("Preferred input of").first).to_be_visible()


def test_an_atlas_is_built_from_the_form_after_it_has_told_what_that_takes(site: Site, page: Page) -> None:
    sign_in(site, page)
    with paused(process_of(site, "worker")):
        page.goto(f"{site.url}/networks/{NETWORK}")
        page.get_by_role("link", name="Build an atlas").first.click()
        page.get_by_label("Name", exact=True).fill("By hand")
        page.get_by_role("button", name="classifier").click()
        page.get_by_label("Units of each layer").fill("1-2")
        page.get_by_role("button", name="What would it take?").click()
        takes = page.locator("section", has=page.get_by_role("heading", name="What it would take"))
        expect(takes.get_by_role("row", name="classifier")).to_be_visible()
        page.get_by_role("button", name="Build it").click()
        page.wait_for_url("**/atlases/atl_*")
        expect(page.get_by_role("heading", level=1)).to_have_text("By hand")
        expect(page.locator("#progress")).to_contain_text("0 of 2")
        with imago.Client(site.url, site.key) as client:
            client.atlases.get(page.url.rpartition("/")[2]).cancel()
        expect(page.locator("#state")).to_contain_text("canceled", timeout=PATIENCE_MS)
