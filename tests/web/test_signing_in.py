"""Signing in with a real browser, where reading needs a key; and what pages of others can do beside it."""

import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

import imago
from infra.browser.chromium import Look, looking
from infra.browser.furnishing import NETWORK
from infra.local import ports
from infra.local.stack import API, answers
from tests.web import looked_at
from tests.web.conftest import PATIENCE_SECONDS, Site
from tests.web.test_live import FEW_STEPS, SLOW, paused, process_of

PICTURE = f"/v1/networks/{NETWORK}/layers/conv_stem/units/0/image"
OTHERS = ("http://evil.example.org/", "http://127.0.0.1:9/")
"""A page of another site, and one of the same site on another port: to that one browsers send the cookie."""
LOOKS = [Look("light", 1280), Look("dark", 390)]


@pytest.fixture(scope="module")
def private(site: Site) -> str:
    """The address of a second API on the same servers, where reading needs a key."""
    port = ports.pick(1)[0]
    url = f"http://127.0.0.1:{port}"
    api = [sys.executable, "-m", *API, "--host", "127.0.0.1", "--port", str(port)]
    site.group.start("private-api", ["/usr/bin/env", "IMAGO_PUBLIC_READ=false", *api])
    site.group.wait_until(lambda: answers(url), "the start of the private API", PATIENCE_SECONDS)
    return url


@pytest.fixture
def visitor(browser: Browser) -> Iterator[BrowserContext]:
    with looking(browser, LOOKS[0]) as context:
        yield context


def sign_in(page: Page, url: str, key: str, wanted: str = "/account") -> None:
    """Open what needs a key, and give the form that comes one."""
    page.goto(url + wanted)
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(url + wanted)


def is_shown(page: Page, picture: str) -> bool:
    """Whether an <img> of this address shows a picture on the page."""
    shown: bool = page.evaluate(
        """(address) => new Promise((resolve) => {
          const picture = new Image();
          picture.onload = () => resolve(true);
          picture.onerror = () => resolve(false);
          picture.src = address;
        })""",
        picture,
    )
    return shown


def asked_with_cookies(page: Page, address: str) -> str:
    """What a script of the page gets of an address, with the visitor's cookies: `refused` or its text."""
    text: str = page.evaluate(
        """(address) => fetch(address, { credentials: "include" })
          .then((answer) => answer.text(), () => "refused")""",
        address,
    )
    return text


def test_who_signs_in_sees_what_they_wanted_and_its_pictures_until_they_sign_out(
    visitor: BrowserContext, site: Site, private: str
) -> None:
    page = visitor.new_page()
    sign_in(page, private, site.key, "/jobs")
    assert is_shown(page, private + PICTURE)
    page.get_by_role("link", name="Account").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.wait_for_url(f"{private}/signin")
    assert page.goto(f"{private}/account") is not None
    assert page.url.startswith(f"{private}/signin?next=")
    # Nor is it shown from what the browser has kept.
    assert not is_shown(page, private + PICTURE)


def test_a_script_of_ours_writes_with_the_token_of_the_page_and_not_without(
    visitor: BrowserContext, site: Site, private: str
) -> None:
    page = visitor.new_page()
    sign_in(page, private, site.key)
    send = """(token) => fetch("/v1/atlases:estimate", {
      method: "POST",
      headers: { "Content-Type": "application/json", ...(token ? { "X-CSRF-Token": token } : {}) },
      body: "{}",
    }).then((answer) => answer.status)"""
    token = page.locator("input[name=csrf_token]").first.input_value()
    assert page.evaluate(send, None) == 403
    assert page.evaluate(send, token) == 422  # allowed, and an empty body is none


def test_a_page_that_goes_on_says_that_one_is_signed_out_and_leads_back_to_itself(
    visitor: BrowserContext, site: Site, private: str
) -> None:
    with imago.Client(site.url, site.key) as client, paused(process_of(site, "worker")):
        job = client.submit(NETWORK, ["classifier/60"], parameters=FEW_STEPS)
        page = visitor.new_page()
        page.route("**/events*", lambda route: route.fulfill(status=401))
        sign_in(page, private, site.key, f"/jobs/{job.id}")
        title = page.title()
        visitor.clear_cookies()
        notice = page.get_by_role("status").filter(has_text="You are signed out")
        expect(notice).to_be_visible(timeout=SLOW)
        assert page.title() == title
        notice.get_by_role("link").click()
        page.get_by_label("Key", exact=True).fill(site.key)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{private}/jobs/{job.id}")
        job.cancel()


def test_a_page_that_waits_does_not_take_the_page_that_signs_in_for_what_it_waits_for(
    visitor: BrowserContext, site: Site, private: str
) -> None:
    unit = f"/networks/{NETWORK}/layers/classifier/units/61?atlas=any"
    with imago.Client(site.url, site.key) as client, paused(process_of(site, "worker")):
        job = client.submit(NETWORK, ["classifier/61"], parameters=FEW_STEPS)
        page = visitor.new_page()
        sign_in(page, private, site.key, unit)
        page.get_by_text("Compute with other settings").click()
        page.get_by_label("seed").fill("77")
        visitor.clear_cookies()
        expect(page.get_by_text("You are signed out")).to_be_visible(timeout=SLOW)
        assert page.get_by_text("What this page waits for is there").count() == 0
        job.cancel()


@pytest.mark.parametrize("other", OTHERS)
def test_pages_of_others_neither_show_nor_read_nor_write_what_the_cookie_opens(
    visitor: BrowserContext, site: Site, private: str, other: str
) -> None:
    page = visitor.new_page()
    sign_in(page, private, site.key)
    assert is_shown(page, private + PICTURE)
    visitor.route(other, lambda route: route.fulfill(body=_EVIL.format(private), content_type="text/html"))
    evil = visitor.new_page()
    evil.goto(other)
    assert not is_shown(evil, private + PICTURE)
    assert asked_with_cookies(evil, f"{private}/v1/me") in ("refused", "")
    evil.get_by_role("button", name="win a prize").click()
    evil.wait_for_url(f"{private}/**")
    page.reload()
    assert page.url == f"{private}/account"  # still signed in


_EVIL = """<title>evil</title><form method="post" action="{}/signout"><input name="csrf_token" value="guess">
<button>win a prize</button></form>"""


@pytest.mark.parametrize("look", [LOOKS[0], pytest.param(LOOKS[1], marks=pytest.mark.thorough)], ids=str)
def test_the_pages_of_who_is_signed_in_can_be_used_by_everybody(
    browser: Browser, site: Site, private: str, look: Look
) -> None:
    def signed_in(page: Page) -> None:
        sign_in(page, private, site.key)

    for path in ("/account", "/signin"):
        assert list(looked_at.faults_of(browser, private, path, look, signed_in)) == [], path
