"""A photograph that somebody drops on the page of the search, from a folder of the desktop."""

from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from infra.browser.chromium import PATIENCE_MS, Look, looking
from infra.browser.furnishing import PHOTOGRAPH
from tests.web.conftest import Site
from tests.web.test_signing_in import sign_in


def drop(page: Page, file: Path) -> None:
    """Drag a file over the middle of the page and let it go, as a hand with a mouse would."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 600, "y": 300, "data": data})


def test_a_photograph_that_is_too_large_is_refused_by_a_page_where_no_script_makes_it_smaller(
    browser: Browser, site: Site, tmp_path: Path
) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(bytes(20_000_000))
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, site.url, site.key)
    page.goto(f"{site.url}/search")
    page.get_by_label("Photograph", exact=True).set_input_files(large)
    page.get_by_role("button", name="See what it excites").click()
    expect(page.get_by_role("heading", name="The body is too large")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("make it smaller")).to_be_visible()
    page.get_by_role("link", name="Back to the page").click()
    expect(page.get_by_role("button", name="See what it excites")).to_be_visible()
    context.close()


def test_a_photograph_that_is_dropped_is_looked_at_and_shown_beside_what_it_excites(
    browser: Browser, site: Site
) -> None:
    with looking(browser, Look("light", 1280)) as context:
        page = context.new_page()
        sign_in(page, site.url, site.key)
        page.goto(f"{site.url}/search")
        drop(page, PHOTOGRAPH)
        page.wait_for_url("**/search?photograph=*", timeout=PATIENCE_MS)
        output = page.locator("section", has=page.get_by_role("heading", name="classifier"))
        strongest = output.locator("ul").first.get_by_role("link").first
        expect(strongest).to_contain_text("980", timeout=PATIENCE_MS)
        own = page.get_by_alt_text("The photograph")
        assert own.evaluate("image => image.decode().then(() => image.naturalWidth)") == 128


def test_the_photograph_above_an_answer_is_its_own_also_after_another_was_refused(
    browser: Browser, site: Site, tmp_path: Path
) -> None:
    other = tmp_path / "other.png"
    Image.new("RGB", (64, 64), "red").save(other)
    with looking(browser, Look("light", 1280)) as context:
        page = context.new_page()
        sign_in(page, site.url, site.key)
        page.goto(f"{site.url}/search")
        drop(page, PHOTOGRAPH)
        page.wait_for_url("**/search?photograph=*", timeout=PATIENCE_MS)
        answer = page.url.partition("#")[0]
        for forgotten in (False, True):
            page.goto(f"{site.url}/search")
            page.evaluate("document.querySelector('#of-network option').value = 'nowhere'")
            drop(page, other)
            refused = page.get_by_text("nowhere").locator("visible=true")  # the first is an option of a list
            expect(refused.first).to_be_visible(timeout=PATIENCE_MS)
            if forgotten:
                page.evaluate(
                    "for (const name of Object.keys(sessionStorage))"
                    " if (name !== 'imago.photograph') sessionStorage.removeItem(name)"
                )
            page.goto(answer)
            own = page.get_by_alt_text("The photograph", exact=True)
            if forgotten:
                expect(page.get_by_text("the photograph itself is not kept")).to_be_visible()
                assert own.count() == 0
            else:
                width = own.evaluate("image => image.decode().then(() => image.naturalWidth)")
                assert width == 128
