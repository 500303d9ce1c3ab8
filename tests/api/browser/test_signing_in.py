"""Signing in and out, and what a browser that is signed in may see."""

from datetime import timedelta
from urllib.parse import quote

import pytest
from flask import Flask

from api.browser import attempts
from services.access import keys
from services.base.database import Database
from tests.api.browser.visiting import FOLLOWED, PAGES, Browser, new_key, signed_in
from tests.api.conftest import Start
from tests.api.small_catalog import NETWORK, job_body, with_key
from tests.api.web.browsing import PageRead

pytestmark = pytest.mark.usefixtures("network")


@pytest.fixture
def private(start: Start) -> Flask:
    """Where reading needs a key."""
    return start(public_read=False)


def test_a_page_that_needs_a_key_leads_to_the_form_and_back(private: Flask, database: Database) -> None:
    browser = Browser(private)
    asked = browser.open("/jobs/job_x?best=true&cursor=a%20b")
    assert asked.status_code == 303
    assert asked.headers["Cache-Control"] == "no-store"
    form = browser.open(asked.headers["Location"])
    assert form.status_code == 200
    assert 'value="/jobs/job_x?best=true&amp;cursor=a%20b"' in form.text
    back = browser.sign_in(new_key(database, "read")[1], "/jobs/job_x?best=true&cursor=a%20b")
    assert (back.status_code, back.headers["Location"]) == (303, "/jobs/job_x?best=true&cursor=a%20b")
    assert browser.open("/jobs/job_x").status_code == 404  # seen, and not there


def test_programs_are_told_401_where_browsers_are_led_to_the_form(private: Flask) -> None:
    client = private.test_client()
    assert client.get("/v1/networks", headers={"Accept": PAGES}).status_code == 401
    assert client.get("/jobs/job_x", headers={"Accept": "application/json"}).status_code == 401
    assert client.post("/account/signout-others", headers={"Accept": PAGES}).status_code == 401
    wrong = {"Accept": PAGES, "Authorization": "Bearer wrong"}
    assert client.get("/jobs/job_x", headers=wrong).status_code == 401
    # JSON or a picture that a person opens by a link is a page to them.
    assert client.get("/v1/networks", headers=FOLLOWED).status_code == 303


def test_the_cookie_is_for_this_host_alone_and_no_script_reads_it(app: Flask, database: Database) -> None:
    _, key = new_key(database, "read")
    cookie = Browser(app).sign_in(key).headers["Set-Cookie"]
    attributes = {part.strip() for part in cookie.split(";")[1:]}
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= attributes
    assert not {part for part in attributes if part.startswith(("Domain", "Secure"))}
    assert key not in cookie
    secured = app.test_client().post(
        "/signin",
        data={"key": key},
        base_url="https://imago.example.org",
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert secured.headers["Set-Cookie"].startswith("__Host-imago_session=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= {
        part.strip() for part in secured.headers["Set-Cookie"].split(";")
    }


def test_the_cookie_opens_pages_and_the_api_for_reading(private: Flask, database: Database) -> None:
    browser = signed_in(private, database, "read", "jobs:write")
    assert browser.fetch(f"/v1/networks/{NETWORK}").status_code == 200
    assert browser.fetch("/v1/me").get_json()["scopes"] == ["jobs:write", "read"]
    assert browser.fetch("/v1/keys").status_code == 403
    stranger = Browser(private)
    assert stranger.fetch(f"/v1/networks/{NETWORK}").status_code == 401


def test_a_page_says_which_scope_is_missing(private: Flask, database: Database) -> None:
    browser = signed_in(private, database, "jobs:write")
    answer = browser.open("/jobs/job_x")
    assert answer.status_code == 403
    assert answer.mimetype == "text/html"
    assert "scope &#39;read&#39;" in answer.text


def test_a_key_in_the_header_counts_before_the_cookie(app: Flask, database: Database) -> None:
    browser = signed_in(app, database, "admin")
    _, other = new_key(database, "read", name="other")
    bearer = {"Authorization": f"Bearer {other}"}
    assert browser.fetch("/v1/me", headers=bearer).get_json()["name"] == "other"
    assert browser.fetch("/v1/keys", headers=bearer).status_code == 403
    wrong = browser.fetch("/v1/me", headers={"Authorization": "Bearer wrong"})
    assert wrong.status_code == 401


def test_signing_out_ends_the_session_and_not_just_the_cookie(app: Flask, database: Database) -> None:
    browser = signed_in(app, database, "read")
    held = browser.cookie()
    assert held is not None
    left = browser.send("/signout", {"csrf_token": browser.csrf_token()})
    assert (left.status_code, left.headers["Location"]) == (303, "/signin")
    assert browser.cookie() is None
    browser.client.set_cookie("imago_session", held)
    assert browser.fetch("/v1/me").status_code == 401
    assert browser.send("/signout", {}).status_code == 303  # nothing is left to end


def test_a_cookie_whose_session_has_ended_is_taken_back(app: Flask, database: Database) -> None:
    key, token = new_key(database, "read")
    browser = Browser(app)
    browser.sign_in(token)
    with database.session() as session:
        keys.revoke_key(session, key)
    assert browser.fetch("/v1/networks").status_code == 200  # as for anyone
    assert browser.cookie() is not None
    again = browser.open("/account")
    assert again.status_code == 303
    assert browser.cookie() is None


def test_cookies_that_others_have_put_beside_ours_do_no_harm(app: Flask) -> None:
    client = app.test_client()
    for path in ("/account", "/v1/networks"):
        answers = [
            client.get(path, headers={"Accept": PAGES, "Cookie": cookie}).status_code
            for cookie in ("", "other=\xff", "imago_session=\xff", "other=\xff; imago_session=x")
        ]
        assert len(set(answers)) == 1, answers


def test_signing_in_again_ends_the_session_before(app: Flask, database: Database) -> None:
    browser = signed_in(app, database, "read")
    first = browser.cookie()
    assert first is not None
    browser.sign_in(new_key(database, "read", name="second")[1])
    assert browser.cookie() != first
    assert browser.fetch("/v1/me").get_json()["name"] == "second"
    browser.client.set_cookie("imago_session", first)
    assert browser.fetch("/v1/me").status_code == 401


def test_a_wrong_key_is_explained_on_the_form(app: Flask, database: Database) -> None:
    browser = Browser(app)
    for wrong in ("", "wrong", "imago_aaaaaaaa_" + "b" * 43, "<script>", "x" * 5000, "ü\0"):
        answer = browser.sign_in(wrong)
        assert answer.status_code == 401
        assert answer.mimetype == "text/html"
        assert 'role="alert"' in answer.text
        assert "Set-Cookie" not in answer.headers
    assert "This key is not known" in browser.sign_in("wrong").text


def test_many_wrong_keys_of_one_address_are_slowed_down(
    app: Flask, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("api.browser.attempts.time.monotonic", lambda: now[0])
    browser, (_, key) = Browser(app), new_key(database, "read")
    app.extensions.pop("imago.attempts", None)
    for _ in range(attempts.MOST):
        assert browser.sign_in("wrong").status_code == 401
    held = browser.sign_in(key)
    assert held.status_code == 429
    assert 0 < int(held.headers["Retry-After"]) <= attempts.SECONDS
    elsewhere = app.test_client().post(
        "/signin",
        data={"key": key},
        headers={"Sec-Fetch-Site": "same-origin"},
        environ_base={"REMOTE_ADDR": "10.0.0.2"},
    )
    assert elsewhere.status_code == 303
    now[0] += attempts.SECONDS + 1
    assert browser.sign_in(key).status_code == 303


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example.org/",
        "//evil.example.org/",
        "/\\evil.example.org",
        "\\\\evil.example.org",
        "/\t/evil.example.org",
        "/\n//evil.example.org",
        "javascript:alert(1)",
        "http:evil",
        "evil.example.org",
        "@evil.example.org",
        " //evil.example.org",
        "/" + "a" * 3000,
        "",
    ],
)
def test_signing_in_leads_to_no_other_origin(app: Flask, database: Database, elsewhere: str) -> None:
    answer = Browser(app).sign_in(new_key(database, "read")[1], elsewhere)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account")
    page = Browser(app).client.get("/signin", query_string={"next": elsewhere})
    assert 'name="next" value="/account"' in page.text


def test_a_session_lasts_no_longer_than_its_key(app: Flask, database: Database) -> None:
    key, token = new_key(database, "read")
    with database.session() as session:
        session.connection().exec_driver_sql(
            "UPDATE api_keys SET expires_at = now() + interval '1 hour' WHERE id = %s", (key,)
        )
    cookie = Browser(app).sign_in(token).headers["Set-Cookie"]
    (age,) = [part.split("=")[1] for part in cookie.split("; ") if part.startswith("Max-Age")]
    assert int(age) <= timedelta(hours=1).total_seconds()


def test_the_account_shows_ones_own_key_and_jobs(app: Flask, database: Database) -> None:
    mine = signed_in(app, database, "read", "jobs:write")
    others = with_key(app, database, "jobs:write").post("/v1/jobs", json=job_body("1")).get_json()["id"]
    token = mine.csrf_token()
    own = mine.fetch("/v1/jobs", "POST", json=job_body("2"), headers={"X-CSRF-Token": token}).get_json()["id"]
    page = mine.open("/account")
    assert page.headers["Cache-Control"] == "no-store"
    assert own in page.text
    assert others not in page.text
    assert "jobs:write" in page.text
    assert "All other keys" not in page.text
    admin = signed_in(app, database, "admin")
    assert "All other keys" in admin.open("/account").text


def test_what_was_refused_is_come_back_to_by_signing_in_with_another_key(
    private: Flask, database: Database
) -> None:
    browser = signed_in(private, database, "jobs:write")
    refused = browser.open("/networks?cursor=a%20b")
    assert refused.status_code == 403
    assert "/signin?next=%2Fnetworks%3Fcursor%3Da%2520b" in PageRead(refused.text).links
    reading = signed_in(private, database, "read")
    unit = f"/networks/{NETWORK}/layers/output/units/3"
    form = {"csrf_token": reading.csrf_token()}
    refused = reading.send(unit, form, Referer=f"http://localhost{unit}?atlas=any")
    assert refused.status_code == 403
    back_to = quote(f"{unit}?atlas=any", safe="")
    assert f"/signin?next={back_to}" in PageRead(refused.text).links


def test_a_key_can_revoke_itself_and_admins_any(app: Flask, database: Database) -> None:
    key, token = new_key(database, "read", name="lost")
    other, _ = new_key(database, "read", name="other")
    browser = Browser(app)
    browser.sign_in(token)
    form = {"csrf_token": browser.csrf_token()}
    assert browser.send(f"/account/keys/{other}/revoke", form).status_code == 403
    gone = browser.send(f"/account/keys/{key}/revoke", form)
    assert (gone.status_code, gone.headers["Location"]) == (303, "/signin")
    assert browser.cookie() is None
    assert "revoked" in browser.sign_in(token).text

    admin = signed_in(app, database, "admin")
    form = {"csrf_token": admin.csrf_token()}
    assert admin.send(f"/account/keys/{other}/revoke", form).headers["Location"] == "/account"
    assert admin.send("/account/keys/nobody/revoke", form).status_code == 404
    with database.session() as session:
        assert {row.id for row in keys.list_keys(session) if row.revoked_at} == {key, other}


def test_all_other_browsers_of_a_key_can_be_signed_out(app: Flask, database: Database) -> None:
    _, token = new_key(database, "read")
    here, there = Browser(app), Browser(app)
    for browser in (here, there):
        browser.sign_in(token)
    assert here.send("/account/signout-others", {"csrf_token": here.csrf_token()}).status_code == 303
    assert here.fetch("/v1/me").status_code == 200
    assert there.fetch("/v1/me").status_code == 401


def test_the_bar_leads_to_an_account_once_one_is_signed_in(app: Flask, database: Database) -> None:
    browser = signed_in(app, database, "read")
    for path in ("/networks", "/docs", "/design", "/nothing-here"):
        assert ">Account</a>" in browser.open(path).text, path
    stranger = Browser(app)
    for path in ("/networks", "/docs", "/nothing-here"):
        shown = stranger.open(path).text
        assert (">Sign in</a>" in shown, ">Account</a>" in shown) == (True, False), path
