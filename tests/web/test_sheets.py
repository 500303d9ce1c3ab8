"""A contact sheet in a visitor's hands: one comes near by wheel and by keys, and a cell opens its unit."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from infra.browser.chromium import PATIENCE_MS, Look, looking
from infra.browser.furnishing import NETWORK
from tests.web.conftest import Site
from tests.worker_processes import until

UNIT = re.compile(rf"/networks/{re.escape(NETWORK)}/layers/classifier/units/([0-9]+)\?")


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """The sheet of the classifier, of which the small atlas has every seventh unit, once a worker made it."""
    with looking(browser, Look("light", 1000, 900)) as context:
        page = context.new_page()
        page.goto(f"{site.url}/atlases/{site.atlas}/versions/1/layers/classifier/sheet")
        expect(page.locator(".sheet-view")).to_be_visible(timeout=PATIENCE_MS)
        yield page


def test_one_comes_near_with_the_wheel_and_a_click_opens_the_unit(page: Page) -> None:
    tiles: list[str] = []
    page.on("response", lambda answer: tiles.append(answer.url) if "_files/" in answer.url else None)
    sheet, said = page.locator(".sheet-view"), page.locator("#sheet-said")
    box = sheet.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    expect(said).to_have_text(re.compile("^classifier/[0-9]+$"))
    with page.expect_response(re.compile("/sheet_files/11/")):  # its largest level
        page.mouse.wheel(0, -600)
    name = said.inner_text()
    assert int(name.partition("/")[2]) % 7 == 0
    page.mouse.click(x, y)
    page.wait_for_url(UNIT)
    assert f"/{name.partition('/')[2]}?" in page.url
    assert tiles
    assert all("/sheet_files/" in url for url in tiles)


def test_keys_move_it_and_enter_opens_the_unit_in_the_middle(page: Page) -> None:
    said = page.locator("#sheet-said")
    page.locator(".sheet-view").focus()
    page.keyboard.press("+")
    expect(said).to_have_text(re.compile("^classifier/[0-9]+$"))
    before = said.inner_text()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    expect(said).not_to_have_text(before)
    now = said.inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url(UNIT)
    assert f"/{now.partition('/')[2]}?" in page.url


def test_what_one_sees_is_in_the_address_and_there_again_on_the_way_back(page: Page) -> None:
    sheet, said = page.locator(".sheet-view"), page.locator("#sheet-said")
    sheet.focus()
    for key in ("+", "+", "+", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    page.wait_for_url(re.compile(r"[?&]view=[0-9.]+,[0-9.]+,[0-9.]+$"), wait_until="commit")
    name, seen = said.inner_text(), page.url
    page.keyboard.press("Enter")
    page.wait_for_url(UNIT)
    page.go_back()
    assert page.url == seen
    sheet.focus()
    expect(said).to_have_text(name)
    page.keyboard.press("0")
    page.wait_for_url(re.compile("/sheet$"), wait_until="commit")


def fingers(page: Page, *places: list[tuple[float, float]]) -> None:
    """Put fingers on a phone's screen, move them from place to place, and take them away."""
    session = page.context.new_cdp_session(page)
    for kind, points in zip(
        ["touchStart", *["touchMove"] * len(places[1:]), "touchEnd"], [*places, []], strict=True
    ):
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})


def test_on_a_phone_two_fingers_come_near_and_one_scrolls_the_page(browser: Browser, site: Site) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 500}, has_touch=True, is_mobile=True)
    try:
        page = context.new_page()
        page.goto(f"{site.url}/atlases/{site.atlas}/versions/1/layers/classifier/sheet")
        sheet = page.locator(".sheet-view")
        expect(sheet).to_be_visible(timeout=PATIENCE_MS)
        expect(page.locator("#sheet-said")).to_have_text("", timeout=PATIENCE_MS)  # its tiles are there
        box = sheet.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        fingers(page, *[[(x - 20 * step, y), (x + 20 * step, y)] for step in (1, 2, 3, 4)])
        page.wait_for_url(re.compile("view="), wait_until="commit")
        place, _, zoom = page.url.rpartition(",")
        assert 3 < float(zoom) < 5
        assert page.evaluate("[scrollY, visualViewport.scale]") == [0, 1]
        fingers(page, [(x, y)], [(x, y - 40)], [(x, y - 80)], [(x, y - 120)])
        until(lambda: bool(page.evaluate("scrollY") > 50), "the page has scrolled")
        sheet.press("-")  # about the middle, which the finger has not moved
        page.wait_for_url(lambda url: url.rpartition(",")[2] != zoom, wait_until="commit")
        assert page.url.rpartition(",")[0] == place
    finally:
        context.close()


_IS_DRAWN = """() => {
    const canvas = document.querySelector(".sheet-view canvas:not(.shape)");
    return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean);
}"""


def test_that_a_part_cannot_be_read_is_said_until_one_does_something(browser: Browser, site: Site) -> None:
    refused: list[str] = []

    def refuse_the_first(route: Route) -> None:
        if refused:
            route.continue_()
        else:
            refused.append(route.request.url)
            route.abort()

    with looking(browser, Look("light", 1000, 900)) as context:
        page = context.new_page()
        page.route(re.compile("/sheet_files/"), refuse_the_first)
        page.goto(f"{site.url}/atlases/{site.atlas}/versions/1/layers/classifier/sheet")
        said = page.locator("#sheet-said")
        expect(said).to_contain_text("could not be read", timeout=PATIENCE_MS)
        with page.expect_response(re.compile("/sheet_files/")):
            page.locator('[data-zoom="2"]').click()
        page.wait_for_function(_IS_DRAWN, timeout=PATIENCE_MS)
        expect(said).to_contain_text("could not be read")
