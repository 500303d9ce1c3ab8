"""Pages that wait, used by somebody meanwhile: what one writes, opens or scrolls stays."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

import imago
from infra.browser.chromium import Look, looking
from infra.browser.furnishing import NETWORK
from services.base.database import Database
from services.trainings import trainings
from services.trainings.trainings import TrainingRequest
from tests.small_training import SMALL
from tests.web.conftest import Site
from tests.web.test_live import FEW_STEPS, SLOW, paused, process_of, sign_in

UNIT = f"/networks/{NETWORK}/layers/classifier/units"
"""Units that the small atlas does not have."""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with looking(browser, Look("light", 1280)) as context:
        yield context.new_page()


def documents_of(page: Page) -> list[Request]:
    """The pages that the browser goes to from now on."""
    gone: list[Request] = []
    page.on("request", lambda each: gone.append(each) if each.is_navigation_request() else None)
    return gone


def scroll_left(page: Page) -> int:
    return int(page.evaluate("document.getElementById('jobs').scrollLeft"))


def test_a_picture_that_comes_does_not_take_away_what_somebody_writes(site: Site, page: Page) -> None:
    with imago.Client(site.url, site.key) as client, paused(process_of(site, "worker")):
        client.submit(NETWORK, ["classifier/50"], parameters=FEW_STEPS)
        sign_in(site, page)
        page.goto(f"{site.url}{UNIT}/50?atlas=any")
        page.get_by_text("Compute with other settings").click()
        page.get_by_label("seed").fill("77")
        gone = documents_of(page)
    there = page.get_by_role("link", name="Show it", exact=True)
    expect(there).to_be_visible(timeout=SLOW)
    assert page.get_by_label("seed").input_value() == "77"
    assert gone == []
    there.click()
    expect(page.get_by_alt_text("Preferred input of").first).to_be_visible()
    assert [each.method for each in gone] == ["GET"]


def test_a_page_that_answers_a_form_never_sends_it_again_by_itself(site: Site, page: Page) -> None:
    with imago.Client(site.url, site.key) as client, paused(process_of(site, "worker")):
        client.submit(NETWORK, ["classifier/51"], parameters=FEW_STEPS)
        sign_in(site, page)
        page.goto(f"{site.url}{UNIT}/51?atlas=any")
        page.get_by_text("Compute with other settings").click()
        page.get_by_label("seed").fill("-5")
        page.evaluate("document.querySelector('#compute form').noValidate = true")
        with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
            page.get_by_role("button", name="Compute it").click()
        assert answered.value.status == 422
        expect(page.get_by_label("seed")).to_have_value("-5")
        gone = documents_of(page)
    there = page.get_by_role("link", name="Show it", exact=True)
    expect(there).to_be_visible(timeout=SLOW)
    assert page.get_by_label("seed").input_value() == "-5"
    there.click()
    expect(page.get_by_alt_text("Preferred input of").first).to_be_visible()
    assert [each.method for each in gone] == ["GET"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_page_says_that_the_service_does_not_answer_also_where_a_proxy_answers_for_it(
    site: Site, page: Page, status: int
) -> None:
    with imago.Client(site.url, site.key) as client, paused(process_of(site, "worker")):
        job = client.submit(NETWORK, ["classifier/53"], parameters=FEW_STEPS)
        page.goto(f"{site.url}{UNIT}/53?atlas=any")
        page.route("**/units/53*", lambda route: route.fulfill(status=status, body="busy"))
        notice = page.get_by_text("The service does not answer")
        expect(notice).to_be_visible(timeout=SLOW)
        page.unroute("**/units/53*")
        expect(notice).to_be_hidden(timeout=SLOW)
        job.cancel()


def test_a_picture_that_comes_is_shown_at_once_to_who_only_waits(site: Site, page: Page) -> None:
    with imago.Client(site.url, site.key) as client, paused(process_of(site, "worker")):
        client.submit(NETWORK, ["classifier/52"], parameters=FEW_STEPS)
        page.goto(f"{site.url}{UNIT}/52?atlas=any")
        expect(page.locator("#coming")).to_be_visible()
    expect(page.get_by_alt_text("Preferred input of").first).to_be_visible(timeout=SLOW)


def test_what_somebody_has_opened_stays_open_when_its_part_is_read_anew(site: Site, page: Page) -> None:
    database = Database(site.settings.database_url)
    try:
        with paused(process_of(site, "worker")):
            with database.session() as session:
                request = TrainingRequest.model_validate({**SMALL, "pictures": 800})
                id = trainings.submit(session, "opened", request).id
            page.goto(f"{site.url}/trainings/{id}")
            page.get_by_text("Options of the preset").click()
            page.get_by_role("heading", level=1).click()  # where the keyboard is, nothing changes
            with database.session() as session:
                trainings.cancel(session, id)
            asked = page.locator("#asked")
            expect(asked).to_contain_text("Ended", timeout=SLOW)
            expect(asked.get_by_label("Options")).to_be_visible()
    finally:
        database.dispose()


def test_a_table_that_is_read_anew_stays_where_somebody_has_scrolled_it(site: Site, browser: Browser) -> None:
    with (
        imago.Client(site.url, site.key) as client,
        paused(process_of(site, "worker")),
        looking(browser, Look("light", 390)) as context,
    ):
        page = context.new_page()
        page.goto(f"{site.url}/jobs")
        page.evaluate("document.documentElement.style.fontSize = '40px'")  # so large that it has to scroll
        page.evaluate("document.getElementById('jobs').scrollLeft = 60")
        assert scroll_left(page) == 60
        job = client.submit(NETWORK, ["classifier/53"], parameters=FEW_STEPS)
        expect(page.locator("#jobs")).to_contain_text(job.id, timeout=SLOW)
        assert scroll_left(page) == 60
        job.cancel()


def without_streams(page: Page) -> None:
    page.route("**/events*", lambda route: route.fulfill(status=429))


def test_a_page_at_an_address_that_only_takes_forms_is_read_where_it_says(site: Site, page: Page) -> None:
    def says(route: Route) -> None:
        answer = route.fetch()
        text = answer.text()
        if route.request.is_navigation_request():
            text = text.replace('id="live"', f'id="live" data-page="{path}"')
        route.fulfill(response=answer, body=text)

    with imago.Client(site.url, site.key) as client, paused(process_of(site, "worker")):
        job = client.submit(NETWORK, ["classifier/54"], parameters=FEW_STEPS)
        path = f"/jobs/{job.id}"
        without_streams(page)
        page.add_init_script("history.replaceState(null, '', `${location.pathname}/cancel`)")
        page.route(f"{site.url}{path}", says)
        page.goto(f"{site.url}{path}")
        assert page.url.endswith("/cancel")
        job.cancel()
        expect(page.locator("#actions .state")).to_have_text("canceled", timeout=SLOW)


def test_a_page_that_can_not_be_read_anew_is_not_asked_for_again_and_again(site: Site, page: Page) -> None:
    asked: list[Request] = []
    with imago.Client(site.url, site.key) as client, paused(process_of(site, "worker")):
        job = client.submit(NETWORK, ["classifier/55"], parameters=FEW_STEPS)
        without_streams(page)
        page.add_init_script("history.replaceState(null, '', `${location.pathname}/cancel`)")
        page.on("request", lambda each: asked.append(each) if each.url.endswith("/cancel") else None)
        with page.expect_response(lambda answer: answer.url.endswith("/cancel")) as answered:
            page.goto(f"{site.url}/jobs/{job.id}")
        assert answered.value.status == 405
        page.wait_for_timeout(8_000)  # it would ask again after five seconds
        assert len(asked) == 1
        job.cancel()


def test_a_page_of_what_is_not_there_any_more_says_so(site: Site, page: Page) -> None:
    with imago.Client(site.url, site.key) as client, paused(process_of(site, "worker")):
        atlas = client.atlases.create(
            NETWORK, layers="classifier", units="56", parameters=FEW_STEPS, visibility="public"
        )
        without_streams(page)
        page.goto(f"{site.url}/atlases/{atlas.id}")
        atlas.change(visibility="private")
        expect(page.get_by_text("This is not there any more")).to_be_visible(timeout=SLOW)
        atlas.cancel()
