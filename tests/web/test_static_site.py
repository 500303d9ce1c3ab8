"""The static site of an atlas, opened from a folder: no server, no fetch, no modules."""

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

import imago
from infra.browser.chromium import PATIENCE_MS, Look, looking
from infra.browser.furnishing import wait_for_index
from services.base.database import Database
from services.base.storage import ObjectStore
from tests.drawn_map import draw_map
from tests.web import keyboard, looked_at
from tests.web.conftest import PATIENCE_SECONDS, Site

VOLCANO = "layers/003-classifier/units/980.html"
DESK, PHONE = Look("light", 1280), Look("dark", 390)


@pytest.fixture(scope="module")
def origin(site: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a folder with the site of the small atlas, exported once its pictures are indexed."""
    folder = tmp_path_factory.mktemp("site")
    with imago.Client(site.url, site.key) as client:
        wait_for_index(client, PATIENCE_SECONDS)
        database = Database(site.settings.database_url)
        draw_map(database, ObjectStore(site.settings), site.atlas, 1, "volcano")
        database.dispose()
        client.atlases.get(site.atlas).export_site(folder)
    return folder.as_uri()


def shown(page: Page) -> str:
    """The picture that a page shows large, once it is there."""
    picture = page.locator("img.portrait")
    expect(picture).to_have_js_property("complete", True, timeout=PATIENCE_MS)
    assert picture.evaluate("image => image.naturalWidth") > 0
    return str(picture.get_attribute("src"))


def test_one_walks_from_the_entrance_to_a_layer_to_a_unit_to_one_like_it(
    browser: Browser, origin: str
) -> None:
    with looking(browser, DESK) as context:
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{origin}/index.html")
        page.get_by_role("heading", name="classifier").get_by_role("link").click()
        page.get_by_role("link", name="Next").first.click()  # a page of the grid has 120 units
        page.get_by_role("link", name="volcano").first.click()
        first = shown(page)
        expect(page.get_by_role("heading", level=1)).to_contain_text("volcano")
        page.locator("[aria-labelledby=neighbours] a").first.click()
        page.wait_for_url(lambda url: not url.endswith(VOLCANO))
        assert shown(page) != first
        page.keyboard.press("ArrowRight")
        page.wait_for_url("**/units/*.html")
        assert asked
        assert all(url.startswith(f"{origin}/") for url in asked)


def test_a_label_is_searched_as_one_types_and_without_a_hit_there_are_ways_on(
    browser: Browser, origin: str
) -> None:
    with looking(browser, DESK) as context:
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{origin}/{VOLCANO}")
        page.get_by_role("searchbox").fill("Volcano")
        page.keyboard.press("Enter")
        found = page.locator("[data-found] a")
        expect(found.first).to_have_attribute("href", f"{origin}/{VOLCANO}", timeout=PATIENCE_MS)
        parts = [url for url in asked if re.search(r"/index/(labels/)?[0-9]+\.js", url)]
        assert parts == [f"{origin}/index/labels/980.js"], "of the index that is read which was asked for"
        page.get_by_role("searchbox").fill("volcanoe")
        expect(page.get_by_role("status")).to_contain_text("No unit", timeout=PATIENCE_MS)
        expect(found).to_have_count(0)
        expect(page.get_by_role("navigation", name="Labels near it")).to_contain_text("volcano")
        ways = page.locator("[data-layers]").get_by_role("link")
        expect(ways.filter(has_text="conv_stem")).to_be_visible()
        page.get_by_role("searchbox").fill("classifier/0980")
        named = page.get_by_role("navigation", name="Places called so").get_by_role("link").first
        expect(named).to_have_attribute("href", f"{origin}/{VOLCANO}", timeout=PATIENCE_MS)
        named.click()
        expect(page.locator("img.portrait")).to_be_visible(timeout=PATIENCE_MS)
        page.go_back()
        expect(named).to_have_attribute("href", f"{origin}/{VOLCANO}", timeout=PATIENCE_MS)
        expect(page.get_by_role("searchbox")).to_have_value("classifier/0980")


def test_a_layer_is_ordered_and_its_units_chosen(browser: Browser, origin: str) -> None:
    classifier = "layers/003-classifier"
    with looking(browser, DESK) as context:
        page = context.new_page()
        page.goto(f"{origin}/{classifier}/index.html")
        page.get_by_role("link", name="strongest first").click()
        cells = page.locator("ul.grid .cell a")
        expect(page.locator("html.is-chosen:not(.is-coming)")).to_be_attached(timeout=PATIENCE_MS)
        expect(cells).to_have_count(120)
        figures = [float(text) for text in page.locator("ul.grid .figure").all_inner_texts()]
        page.get_by_role("link", name="Next").click()
        expect(cells).to_have_count(23, timeout=PATIENCE_MS)
        figures += [float(text) for text in page.locator("ul.grid .figure").all_inner_texts()]
        assert len(figures) == 143
        assert figures == sorted(figures, reverse=True)
        page.get_by_text("filter", exact=True).click()
        page.get_by_label("Seen as").fill("volcano")
        page.get_by_role("button", name="Show").click()
        expect(cells.first).to_have_attribute("href", f"{origin}/{VOLCANO}", timeout=PATIENCE_MS)
        assert page.locator('[aria-label="Order"] [aria-current]').inner_text() == "strongest first"
        page.get_by_label("Seen as").fill("no such thing")
        page.keyboard.press("Enter")
        expect(page.locator(".range")).to_contain_text("No unit", timeout=PATIENCE_MS)
        page.locator(".range").get_by_role("link", name="Show all units").click()
        expect(cells).to_have_count(120, timeout=PATIENCE_MS)
        page.goto(f"{origin}/layers/002-blocks.4.2/index.html?order=activation")
        expect(page.locator("html.is-chosen:not(.is-coming)")).to_be_attached(timeout=PATIENCE_MS)
        assert page.locator(".range").inner_text() == "", "how many units a layer has is said above"


_SUREST_FIRST = """async () => {
    const [, , first, starts] = imagoIndex.layers[1];
    const rows = (await Promise.all(starts.map((_, at) => imagoIndex.part(first + at)))).flat();
    const sure = ({ seen }) => seen[0]?.[1] ?? -1;
    return rows.sort((one, other) => sure(other) - sure(one)).map(({ unit }) => String(unit));
}"""


def test_among_classes_that_are_called_the_same_the_surest_comes_first(
    browser: Browser, origin: str, tmp_path: Path
) -> None:
    folder = shutil.copytree(Path(origin.removeprefix("file://")), tmp_path / "site")
    with (folder / "index" / "classes.js").open("a") as classes:
        classes.write("imagoIndex.classes = imagoIndex.classes.map(() => 'crane');\n")
    with looking(browser, DESK) as context:
        page = context.new_page()
        page.goto(f"{folder.as_uri()}/layers/002-blocks.4.2/index.html?order=label")
        expect(page.locator("html.is-chosen:not(.is-coming)")).to_be_attached(timeout=PATIENCE_MS)
        assert page.locator("ul.grid .cell b").all_inner_texts() == page.evaluate(_SUREST_FIRST)


_LYING_ON_ANOTHER = """() => drawn.filter((one) => drawn.some((other) => one !== other
    && Math.max(Math.abs(one.x - other.x), Math.abs(one.y - other.y)) < SIDE)).length"""
"""Thumbnails on the map that cover each other."""


def test_one_moves_about_in_the_map_and_goes_from_it_to_a_unit(browser: Browser, origin: str) -> None:
    with looking(browser, DESK) as context:
        page = context.new_page()
        page.goto(f"{origin}/index.html")
        page.get_by_role("link", name="Map").click()
        said = page.locator("#map-said")
        expect(said).to_have_text("287 units in view", timeout=PATIENCE_MS)
        page.wait_for_function("drawn.length > 9", timeout=PATIENCE_MS)
        assert page.evaluate(_LYING_ON_ANOTHER) == 0
        assert page.evaluate("[across() / size.width, down() / size.height].every((share) => share > 0.85)")
        shown = page.locator("[data-list] img").first
        expect(shown).to_have_js_property("complete", True, timeout=PATIENCE_MS)
        assert shown.evaluate("image => image.naturalWidth") > 0
        expect(page.locator('[data-list] a[aria-label*=", seen as "]')).not_to_have_count(0)
        page.get_by_role("checkbox", name="classifier").uncheck()
        expect(said).to_have_text("144 units in view", timeout=PATIENCE_MS)
        page.get_by_role("group", name="Map of units").press("Enter")
        expect(said).to_contain_text("selected")
        page.locator("[data-list] a").first.click()
        expect(page.locator("img.portrait")).to_be_visible(timeout=PATIENCE_MS)
        page.go_back()
        page.get_by_role("link", name="volcano").click()
        found = page.locator("[data-found] a").first
        expect(found).to_have_attribute("href", f"{origin}/{VOLCANO}", timeout=PATIENCE_MS)


def test_what_one_has_found_on_the_map_is_in_the_address_and_there_again_on_the_way_back(
    browser: Browser, origin: str
) -> None:
    with looking(browser, DESK) as context:
        page = context.new_page()
        page.goto(f"{origin}/map.html")
        said, listed = page.locator("#map-said"), page.locator("[data-list] a")
        expect(said).to_have_text("287 units in view", timeout=PATIENCE_MS)
        box = page.locator(".map-canvas").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 5, box["y"] + 5)
        page.keyboard.down("Shift")
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 5, box["y"] + box["height"] - 5)
        page.mouse.up()
        page.keyboard.up("Shift")
        expect(said).to_contain_text("units selected")
        page.get_by_role("checkbox", name="conv_stem").uncheck()
        expect(said).not_to_have_text("287 units selected")
        count = int(said.inner_text().split()[0])
        assert 200 < count < 287
        expect(listed).to_have_count(48)
        expect(page.locator("[data-more]")).to_contain_text(f"48 of {count} are listed")
        page.get_by_role("button", name="Show 48 more").click()
        expect(listed).to_have_count(96)
        page.get_by_role("group", name="Map of units").press("+")
        page.wait_for_url(re.compile("view="), wait_until="commit")
        seen, last = page.url, listed.last.get_attribute("href")
        assert "without=conv_stem&" in seen, "maps of other versions number their layers otherwise"
        listed.last.click()
        expect(page.locator("img.portrait")).to_be_visible(timeout=PATIENCE_MS)
        page.go_back()
        assert page.url == seen
        expect(said).to_have_text(f"{count} units selected", timeout=PATIENCE_MS)
        expect(listed).to_have_count(96)
        assert listed.last.get_attribute("href") == last
        assert page.locator("[data-list]").evaluate("list => list.scrollTop") > 0
        expect(page.get_by_role("checkbox", name="conv_stem")).not_to_be_checked()
        other = context.new_page()
        other.goto(seen)
        expect(other.locator("#map-said")).to_have_text(f"{count} units selected", timeout=PATIENCE_MS)
        other.get_by_role("group", name="Map of units").press("Enter")
        expect(other.locator("[data-more]")).to_be_hidden()
        other.wait_for_url(re.compile(r"units=[a-z][a-z_.0-9]*:\d+"), wait_until="commit")
        selected = other.locator("#map-said").inner_text()
        other.reload()
        expect(other.locator("#map-said")).to_have_text(selected, timeout=PATIENCE_MS)


@pytest.mark.parametrize("look", [DESK, pytest.param(PHONE, marks=pytest.mark.thorough)], ids=str)
def test_its_pages_can_be_used_by_everybody(browser: Browser, origin: str, look: Look) -> None:
    grid = "/layers/001-conv_stem/index.html"
    ordered = f"{grid}?order=label&state=done"
    pages = ["/index.html", grid, f"/{VOLCANO}", "/search.html?q=volcano", "/map.html", ordered]
    found = {path: list(looked_at.faults_of(browser, origin, path, look)) for path in pages}
    found |= {
        f"{path} by keyboard": list(keyboard.faults_of(browser, origin, path, look)) for path in pages[2:]
    }
    assert {path: said for path, said in found.items() if said} == {}
