"""Pages of what goes on, in a browser: they fill in by events, also after a restart of the server."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, Response, expect

import imago
from api.edge.limits import STREAMS_OF_ONE
from infra.browser.chromium import Look, looking
from infra.browser.furnishing import NETWORK
from infra.local.processes.process import Process
from infra.local.processes.supervision import GRACE_SECONDS
from infra.local.stack import answers
from tests.small_training import BATCH, HELD_OUT, LAYER
from tests.web.conftest import PATIENCE_SECONDS, Site

FEW_STEPS = {"steps": 1}
SLOW = PATIENCE_SECONDS * 1000
"""For what a worker computes, on a machine where everything else runs too."""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with looking(browser, Look("light", 1280)) as context:
        yield context.new_page()


def process_of(site: Site, name: str) -> Process:
    return next(each for each in site.group.own if each.name == name)


@contextmanager
def paused(process: Process) -> Iterator[None]:
    """Have a process do nothing for the time of the block, nor what it has started: the work of a worker is
    done by a child, which goes on with what it finds."""
    found = process.find()
    assert found is not None
    stopped = [found, *found.children(recursive=True)]
    for each in stopped:
        each.suspend()
    try:
        yield
    finally:
        for each in stopped:
            each.resume()


def sign_in(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/signin")
    page.fill("input[name=key]", site.key)
    page.press("input[name=key]", "Enter")
    page.wait_for_url("**/account")


def is_stream(asked: Request | Response) -> bool:
    return asked.url.partition("?")[0].endswith("/events")


def streams_of(page: Page) -> list[Request]:
    """The requests for streams of a page from now on, as they are made."""
    asked: list[Request] = []
    page.on("request", lambda each: asked.append(each) if is_stream(each) else None)
    return asked


def shift_of(page: Page) -> float:
    """How much of what is shown has moved without anybody's doing."""
    return float(
        page.evaluate(
            """() => new Promise((resolve) => {
              let sum = 0;
              new PerformanceObserver((list) => {
                for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
              }).observe({ type: "layout-shift", buffered: true });
              setTimeout(() => resolve(sum), 100);
            })"""
        )
    )


def hide(page: Page, is_hidden: bool) -> None:
    """What a browser does with a tab that somebody leaves, or comes back to."""
    page.evaluate(
        """(hidden) => {
          Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        is_hidden,
    )


def test_the_page_of_a_job_fills_in_while_its_pictures_are_made(site: Site, page: Page) -> None:
    with imago.Client(site.url, site.key) as client:
        job = client.submit(NETWORK, ["classifier/20-22"], seeds=[5, 6], parameters=FEW_STEPS)
        asked = streams_of(page)
        page.goto(f"{site.url}/jobs/{job.id}")
        cells = page.locator("#items > li")
        expect(cells).to_have_count(6)
        expect(cells.locator("img")).to_have_count(6, timeout=SLOW)
        expect(page.locator("#actions .state")).to_have_text("succeeded", timeout=SLOW)
        expect(page).to_have_title(f"succeeded: 6 of 6 · {NETWORK} · imago")
        expect(page.locator("#progress")).to_contain_text("6 of 6")
        expect(page.get_by_role("status")).to_have_text("succeeded: 6 of 6")
        assert shift_of(page) < 0.02
        assert len(asked) <= 1  # none where it had ended before the page was there


def test_a_build_goes_live_on_the_page_of_its_atlas_and_survives_a_restart_of_the_api(
    site: Site, page: Page
) -> None:
    api, worker = (process_of(site, name) for name in ("api", "worker"))
    sign_in(site, page)
    with imago.Client(site.url, site.key) as client, paused(worker):
        atlas = client.atlases.create(NETWORK, layers="classifier", units="30-32", parameters=FEW_STEPS)
        with page.expect_response(is_stream):
            page.goto(f"{site.url}/atlases/{atlas.id}")
        expect(page.locator("#progress")).to_contain_text("0 of 3")
        asked = streams_of(page)
        api.end(signal.SIGTERM, GRACE_SECONDS)
        site.group.spawn(api)
        site.group.wait_until(lambda: answers(site.url), "the restart of the API", PATIENCE_SECONDS)
    layer = page.locator("#progress tr", has_text="classifier")
    expect(layer).to_contain_text("3 of 3", timeout=SLOW)
    expect(page.locator("#state .state-complete")).to_be_visible(timeout=SLOW)
    expect(page.get_by_role("button", name="Publish", exact=True)).to_be_visible(timeout=SLOW)
    expect(page.locator("#strip img")).to_have_count(3)
    assert asked, "the page has asked for its stream again"


def test_a_page_that_gets_no_stream_asks_again_and_again_and_stays_live(site: Site, page: Page) -> None:
    with (
        imago.Client(site.url, site.key) as client,
        paused(process_of(site, "worker")),
        ExitStack() as stack,
    ):
        job = client.submit(NETWORK, ["classifier/41"], parameters=FEW_STEPS)
        for _ in range(STREAMS_OF_ONE):
            connection = HTTPConnection("127.0.0.1", urlsplit(site.url).port, timeout=PATIENCE_SECONDS)
            stack.callback(connection.close)
            connection.request("GET", f"/v1/jobs/{job.id}/events")
            assert connection.getresponse().status == 200
        with page.expect_response(is_stream) as answered:
            page.goto(f"{site.url}/jobs/{job.id}")
        assert answered.value.status == 429
        expect(page.locator("#actions .state")).to_have_text("waiting")
        job.cancel()
        expect(page.locator("#actions .state")).to_have_text("canceled", timeout=SLOW)
        expect(page).to_have_title(f"canceled: 0 of 1 · {NETWORK} · imago")
        expect(page.get_by_role("status")).to_have_text("canceled: 0 of 1")


@pytest.mark.thorough
def test_a_training_that_a_form_asks_for_is_followed_to_its_generator(site: Site, page: Page) -> None:
    sign_in(site, page)
    page.goto(f"{site.url}/trainings/new")
    page.get_by_label("Name", exact=True).fill("discs-32")
    page.get_by_label("Learns from").fill("discs")
    page.get_by_label("Layer", exact=True).select_option(LAYER)
    page.get_by_label("Image size").select_option("32")
    for summary in page.locator("summary").all():
        summary.click()
    tiny = {"pictures": 800, "encoder.input_size": 32, "feature_size": 32, "batch": BATCH, "minimum": 16}
    often = {"held_out": HELD_OUT, "sample_seconds": 1, "checkpoint_seconds": 1, "options.width": 0.125}
    for name, value in (tiny | often).items():
        page.locator(f'[name="{name}"]').fill(str(value))
    page.get_by_role("button", name="Train it").click()
    page.wait_for_url("**/trainings/trn_*")
    asked = page.url
    seen = page.locator("#progress")
    expect(seen).to_contain_text("training", timeout=SLOW)
    expect(page.locator("#samples svg.comparison")).to_be_visible(timeout=SLOW)
    expect(page.locator("#actions .state")).to_have_text("succeeded", timeout=SLOW)
    expect(seen).to_contain_text("800 of 800")
    expect(page.locator("#losses .chart").first).to_be_visible(timeout=SLOW)
    expect(page).to_have_title("discs-32: succeeded · imago")
    assert page.url == asked, "nobody has loaded the page again"
    page.get_by_role("link", name="The generator").click()
    expect(page.get_by_role("heading", name="discs-32")).to_be_visible()


def test_a_hidden_tab_has_no_stream_and_goes_on_where_it_was_when_it_is_seen_again(
    site: Site, page: Page
) -> None:
    with imago.Client(site.url, site.key) as client, paused(process_of(site, "worker")):
        job = client.submit(NETWORK, ["classifier/40"], parameters=FEW_STEPS)
        with page.expect_response(is_stream):
            page.goto(f"{site.url}/jobs/{job.id}")
        expect(page).to_have_title(f"queued: 0 of 1 · {NETWORK} · imago")
        # A stream that a page ends is told as a request that failed.
        with page.expect_event("requestfailed", is_stream):
            hide(page, True)
        asked = streams_of(page)
        job.cancel()
        assert page.title().startswith("queued")
        with page.expect_response(is_stream):
            hide(page, False)
        expect(page).to_have_title(f"canceled: 0 of 1 · {NETWORK} · imago")
        expect(page.locator("#actions .state")).to_have_text("canceled")
        assert len(asked) == 1
