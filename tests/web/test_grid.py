"""The grid of a layer in a visitor's hands: it scrolls through everything, and keys reach each unit."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from infra.browser.chromium import Look, looking
from infra.browser.furnishing import NETWORK
from tests.web.conftest import Site

CELLS = "[role=gridcell]"
FOCUSED = "() => Number(document.activeElement.closest('[role=gridcell]')?.dataset.place ?? -1)"
UNITS = 143  # of the classifier in the small atlas


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """The classifier by index, in a window that shows some rows of it."""
    with looking(browser, Look("light", 1000, 700)) as context:
        page = context.new_page()
        page.goto(f"{site.url}/networks/{NETWORK}/layers/classifier?atlas={site.atlas}@1&order=index")
        page.wait_for_selector("[role=grid]")
        yield page


def columns(page: Page) -> int:
    return int(page.get_attribute("[role=grid]", "aria-colcount") or 0)


def test_it_says_how_many_rows_there_are_and_holds_those_near_the_window_alone(page: Page) -> None:
    rows = -(-UNITS // columns(page))
    assert page.get_attribute("[role=grid]", "aria-rowcount") == str(rows)
    held = page.locator(CELLS).count()
    assert 0 < held < UNITS
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(page.locator(f"[role=row][aria-rowindex='{rows}'] a").last).to_be_visible()
    expect(page.locator(f"[role=row][aria-rowindex='{rows}'] img").first).to_be_visible()
    assert page.locator(CELLS).count() < UNITS


def test_keys_walk_from_unit_to_unit_and_enter_opens_one(page: Page) -> None:
    page.locator(f"{CELLS} a[tabindex='0']").focus()
    per_row = columns(page)
    for key, place in (
        ("ArrowRight", 1),
        ("ArrowDown", 1 + per_row),
        ("ArrowLeft", per_row),
        ("End", 2 * per_row - 1),
        ("Home", per_row),
        ("ArrowUp", 0),
        ("ArrowUp", 0),
        ("Control+End", UNITS - 1),
        ("ArrowRight", UNITS - 1),
        ("Control+Home", 0),
    ):
        page.keyboard.press(key)
        assert page.evaluate(FOCUSED) == place, key
        assert page.locator(f"{CELLS} a[tabindex='0']").count() == 1
    page.keyboard.press("PageDown")
    below = page.evaluate(FOCUSED)
    assert below >= per_row
    assert below % per_row == 0
    page.keyboard.press("PageUp")
    assert page.evaluate(FOCUSED) == 0
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/layers/classifier/units/7\?"))  # the atlas has every seventh unit


def test_the_focus_stays_where_it_is_while_one_scrolls_away_and_back(page: Page) -> None:
    page.locator(f"{CELLS} a[tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    rows = -(-UNITS // columns(page))
    expect(page.locator(f"[role=row][aria-rowindex='{rows}']")).to_be_visible()
    assert page.evaluate(FOCUSED) == 1
    page.keyboard.press("ArrowRight")
    assert page.evaluate(FOCUSED) == 2
    expect(page.locator(f"{CELLS}[data-place='2']")).to_be_in_viewport()


def test_one_comes_back_to_where_one_was(page: Page) -> None:
    page.locator(f"{CELLS} a[tabindex='0']").focus()
    page.keyboard.press("Control+End")
    before = page.evaluate("scrollY")
    assert before > 0
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/units/"))
    page.go_back()
    page.wait_for_selector("[role=grid]")
    expect(page.locator(f"{CELLS}[data-place='{UNITS - 1}'] a")).to_be_focused()
    assert abs(page.evaluate("scrollY") - before) < 50


def test_a_cell_that_is_opened_before_its_unit_is_known_opens_once_it_is(page: Page) -> None:
    held: list[Route] = []
    is_held = True
    asked = re.compile(r"/grid/(order|cells)\b")
    page.route(asked, lambda route: held.append(route) if is_held else route.continue_())
    page.locator(f"{CELLS} a[tabindex='0']").focus()
    with page.expect_request(asked):
        page.keyboard.press("Control+End")
    last = page.locator(f"{CELLS}[data-place='{UNITS - 1}'] a")
    expect(last).to_be_focused()
    expect(last).to_have_attribute("href", "#")
    page.keyboard.press("Enter")
    is_held = False
    for route in held:
        route.continue_()
    page.wait_for_url(re.compile(r"/units/"))


def test_a_picture_that_cannot_be_read_says_so_in_its_place(page: Page, site: Site) -> None:
    page.route("**/image.webp*", lambda route: route.abort())
    page.reload()
    page.wait_for_selector("[role=grid]")
    expect(page.locator(f"{CELLS} .no-picture", has_text="cannot be read").first).to_be_visible()


def test_a_window_that_grows_in_height_alone_is_filled_and_paper_has_all_units(page: Page) -> None:
    width = page.viewport_size["width"] if page.viewport_size else 1360
    page.set_viewport_size({"width": width, "height": 300})
    page.wait_for_timeout(300)
    before = page.locator(CELLS).count()
    page.set_viewport_size({"width": width, "height": 1500})
    expect(page.locator(CELLS).nth(before + 2 * columns(page))).to_be_attached()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(CELLS).count() == UNITS
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(page.locator(CELLS).nth(UNITS - 1)).not_to_be_attached()


def test_the_order_that_comes_later_settles_how_many_units_there_are_and_where(page: Page) -> None:
    """As where pictures have ended since the page was made: its order is another one, and shorter."""
    asked: list[Route] = []

    def shorter(route: Route) -> None:
        asked.append(route)
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.body()[4 * 20 :])

    page.route(re.compile(r"/grid/order\b"), shorter)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    left = UNITS - 20
    expect(page.locator("[role=grid]")).to_have_attribute("aria-rowcount", str(-(-left // columns(page))))
    expect(page.locator(f"{CELLS}[data-place='{left - 1}'] img")).to_be_visible()
    expect(page.locator(".range")).to_have_text(f"{left} units")
    page.evaluate("scrollTo(0, 0)")
    expect(page.locator(f"{CELLS}[data-place='0'] .quiet")).to_have_text(f"unit {20 * 7}")
    titles = page.locator(f"{CELLS} .quiet").all_text_contents()
    assert len(set(titles)) == len(titles)
    assert len(asked) == 1


def test_what_could_not_be_read_is_asked_for_again_without_anybody_scrolling(page: Page) -> None:
    failed: list[Route] = []

    def once(route: Route) -> None:
        failed.append(route)
        if len(failed) == 1:
            route.abort()
        else:
            route.continue_()

    page.route(re.compile(r"/grid/order\b"), once)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(page.locator(f"{CELLS}[data-place='{UNITS - 1}'] img")).to_be_visible(timeout=30_000)
    assert len(failed) == 2


def test_another_version_is_chosen_by_keys_with_a_button_and_keeps_what_was_asked_for(
    page: Page, site: Site
) -> None:
    asked = {"order": "index", "state": "done", "like": "7", "density": "large", "label": "volcano"}
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    before = f"{site.url}/networks/{NETWORK}/layers/classifier?atlas={site.atlas}@1&{query}"
    page.goto(before)
    choice = page.get_by_label("Version of an atlas that is shown")
    shown = choice.input_value()
    choice.focus()
    page.keyboard.press("ArrowDown")
    button = page.locator("form[data-follow]").get_by_role("button", name="Show")
    expect(button).to_be_visible()
    assert choice.input_value() != shown
    assert page.url == before
    page.keyboard.press("Tab")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("atlas=any"))
    for name, value in asked.items():
        assert f"{name}={value}" in page.url
    # With a pointer it is followed at once: the list was open.
    choice.dispatch_event("pointerdown")
    choice.select_option(shown)
    page.wait_for_url(re.compile(f"atlas={site.atlas}"))


def test_a_form_that_is_shown_anew_keeps_what_is_long_and_has_a_short_address(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/trainings/new")
    sources = "\n".join(f"folder-{number:04}" for number in range(900))
    page.get_by_label("Learns from").fill(sources)
    page.get_by_label("Name", exact=True).fill("long")
    network = page.get_by_label("Network", exact=True)
    network.dispatch_event("pointerdown")
    network.dispatch_event("change")
    page.wait_for_url(re.compile(r"/trainings/new\?"))
    assert len(page.url) < 4000
    expect(page.get_by_label("Name", exact=True)).to_have_value("long")
    expect(page.get_by_label("Learns from")).to_have_value(sources)


def test_without_scripts_the_cells_are_there(browser: Browser, site: Site) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.url}/networks/{NETWORK}/layers/classifier?atlas={site.atlas}@1&order=index")
    cells = page.locator("ul.grid li.cell a")
    first = cells.count()
    page.get_by_role("link", name="Next").first.click()
    assert 0 < first < UNITS
    assert first + cells.count() == UNITS
    context.close()
