"""Pages of other origins can neither write with a visitor's cookie nor read or show what it opens."""

import pytest
from flask import Flask

from services.base.database import Database
from tests.api.browser.visiting import FOLLOWED, Browser, new_key, signed_in
from tests.api.conftest import Start
from tests.api.small_catalog import NETWORK, job_body, row_counts, with_key

pytestmark = pytest.mark.usefixtures("network")

EVIL = "https://evil.example.org"
SAME_SITE = "http://localhost:3000"
"""Another origin of the same site: browsers send it the cookie."""
WRITES = ("/v1/jobs", "/v1/networks", "/v1/keys", "/signout", "/account/signout-others")


@pytest.fixture
def browser(app: Flask, database: Database) -> Browser:
    return signed_in(app, database, "admin")


def test_a_script_of_ours_writes_with_the_token(browser: Browser) -> None:
    token = browser.csrf_token()
    sent = browser.fetch("/v1/jobs", "POST", json=job_body(), headers={"X-CSRF-Token": token})
    assert sent.status_code == 202


@pytest.mark.parametrize("token", [None, "", "wrong", "ü", "A" * 43])
def test_a_write_without_the_sessions_token_is_refused(
    browser: Browser, database: Database, token: str | None
) -> None:
    counts = row_counts(database)
    for path in WRITES:
        headers = {} if token is None else {"X-CSRF-Token": token}
        answer = browser.fetch(path, "POST", json=job_body(), headers=headers)
        assert answer.status_code == 403, path
        assert answer.get_json()["type"].endswith("cross-site-request")
        fields = {} if token is None else {"csrf_token": token}
        assert browser.send(path, fields).status_code == 403, path
    assert row_counts(database) == counts
    assert browser.fetch("/v1/me").status_code == 200


def test_the_token_of_another_session_does_not_count(
    app: Flask, database: Database, browser: Browser
) -> None:
    token = signed_in(app, database, "admin").csrf_token()
    answer = browser.fetch("/v1/jobs", "POST", json=job_body(), headers={"X-CSRF-Token": token})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "said",
    [
        {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
        {"Origin": SAME_SITE, "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": EVIL},
        {"Origin": SAME_SITE},
        {"Origin": "null"},
        {},
    ],
)
def test_a_write_from_elsewhere_is_refused_even_with_the_token(
    browser: Browser, database: Database, said: dict[str, str]
) -> None:
    token, counts = browser.csrf_token(), row_counts(database)
    for path in WRITES:
        # Where browsers say that it comes from elsewhere the cookie counts for nothing: then it is nobody's,
        # and nobody is signed out.
        refused = (401, 403) if path != "/signout" else (303, 403)
        answer = browser.client.post(path, json=job_body(), headers={**said, "X-CSRF-Token": token})
        assert answer.status_code in refused, path
        answer = browser.client.post(path, data={"csrf_token": token}, headers=said)
        assert answer.status_code in refused, path
    assert row_counts(database) == counts
    assert browser.fetch("/v1/me").status_code == 200


def test_browsers_that_say_only_the_origin_can_write(browser: Browser) -> None:
    token = browser.csrf_token()
    headers = {"Origin": "http://localhost", "X-CSRF-Token": token}
    assert browser.client.post("/v1/jobs", json=job_body(), headers=headers).status_code == 202
    # A proxy with TLS that does not tell the scheme.
    headers["Origin"] = "https://localhost"
    assert browser.client.post("/v1/jobs", json=job_body("9"), headers=headers).status_code == 202


@pytest.mark.parametrize("said", [{"Origin": EVIL}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"}, {}])
def test_nobody_is_signed_in_by_a_form_of_another_origin(
    app: Flask, database: Database, said: dict[str, str]
) -> None:
    _, key = new_key(database, "read")
    answer = app.test_client().post("/signin", data={"key": key}, headers=said)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


def test_a_key_in_the_header_writes_without_any_token(app: Flask, database: Database) -> None:
    client = with_key(app, database, "jobs:write")
    for said in ({}, {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"}):
        assert client.post("/v1/jobs", json=job_body(), headers=said).status_code in (200, 202)


def test_the_cookie_opens_nothing_for_pages_of_other_origins(start: Start, database: Database) -> None:
    private = start(public_read=False)
    browser = signed_in(private, database, "read")
    path = f"/v1/networks/{NETWORK}"
    for said in (
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    ):
        assert browser.client.get(path, headers=said).status_code == 401, said
    assert browser.client.get(path, headers={**FOLLOWED, "Accept": "*/*"}).status_code == 200


def test_what_the_cookie_opens_is_for_this_origin_and_this_visitor(start: Start, database: Database) -> None:
    private = start(public_read=False, cors_origins=(SAME_SITE,))
    browser, path = signed_in(private, database, "read"), f"/v1/networks/{NETWORK}"
    # A browser that says nothing of where requests come from; the origin is one that may send keys.
    for said in ({}, {"Origin": EVIL}, {"Origin": SAME_SITE}):
        answer = browser.client.get(path, headers=said)
        assert answer.status_code == 200
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"].startswith("private")
        assert {"Cookie", "Origin"} <= set(answer.vary)


def test_what_anyone_may_read_stays_open_beside_a_cookie(app: Flask, browser: Browser) -> None:
    answer = browser.fetch("/v1/generators")
    assert answer.headers["Cache-Control"].startswith("public")
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert "Cookie" not in answer.vary
    # What depends on who asks is the visitor's alone, also when read by nobody in particular.
    for client in (browser.client, app.test_client()):
        answer = client.get("/v1/atlases")
        assert answer.headers["Cache-Control"].startswith("private")
        assert "Cookie" in answer.vary
    assert browser.fetch("/v1/atlases").headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_preflights_offer_neither_credentials_nor_the_token(browser: Browser) -> None:
    answer = browser.client.options(
        "/v1/jobs",
        headers={
            "Origin": EVIL,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-csrf-token",
        },
    )
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "csrf" not in answer.headers.get("Access-Control-Allow-Headers", "").lower()


def test_forms_of_pages_are_sent_to_this_origin_alone_and_say_where_they_come_from(browser: Browser) -> None:
    headers = browser.open("/account").headers
    assert "form-action 'self'" in headers["Content-Security-Policy"]
    # With `no-referrer` the browser would say `Origin: null` of the page's own forms.
    assert headers["Referrer-Policy"] == "same-origin"
