"""The list of jobs, the page of one with what may be done with it, and the queue."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from services.base.database import Database
from services.base.storage import ObjectStore
from tests.api.browser.visiting import Browser, signed_in
from tests.api.resources.test_atlases import body
from tests.api.small_catalog import finish_all, job_body, look_at_network, with_key
from tests.api.web.browsing import BROWSER, PageRead
from tests.integration.atlases.building import carry_out


@pytest.mark.usefixtures("network")
def test_jobs_are_listed_with_what_they_ask_for_and_how_far_they_are(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    empty = client.get("/jobs").text
    assert "imago submit" in empty
    job = client.post("/v1/jobs", json=job_body("0-1")).get_json()
    waiting = client.get("/jobs").text
    assert f'<a href="/jobs/{job["id"]}"><code>output/0-1</code><span class="hidden">, {job["id"]}' in waiting
    assert client.get("/", headers=BROWSER).text.count("<code>output/0-1</code><span") == 1
    assert "0 of 2" in waiting
    finish_all(database, store)
    assert "2 of 2" in client.get("/jobs?state=succeeded").text
    assert job["id"] not in client.get("/jobs?state=failed").text


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize(
    ("kind", "asked"), [("jobs", job_body()), ("atlases", body(units="0-3", visibility="public"))]
)
def test_ones_own_are_listed_page_by_page(
    app: Flask, database: Database, monkeypatch: pytest.MonkeyPatch, kind: str, asked: dict[str, object]
) -> None:
    for at, shown in (("account.SHOWN", 1), ("jobs.JOBS_A_PAGE", 2), ("atlases.ATLASES_A_PAGE", 2)):
        monkeypatch.setattr(f"api.web.pages.{at}", shown)
    mine, others = signed_in(app, database, "read", "jobs:write"), with_key(app, database, "jobs:write")
    own = []
    for _ in range(3):
        others.post(f"/v1/{kind}", json=asked)
        token = {"X-CSRF-Token": mine.csrf_token()}
        own.append(mine.fetch(f"/v1/{kind}", "POST", json=asked, headers=token).get_json()["id"])
    path = f"/{kind}?owner=me"
    for page in ("/account", f"/{kind}"):
        assert path in PageRead(mine.open(page).text).links
    first = PageRead(mine.open(path).text)
    (following,) = (link for link in first.links if "cursor=" in link)
    second = PageRead(mine.open(following).text)
    listed = [[id for id in own[::-1] if f"/{kind}/{id}" in page.links] for page in (first, second)]
    assert listed == [[own[2], own[1]], [own[0]]]
    each = {link for page in (first, second) for link in page.links if link.startswith(f"/{kind}/")}
    assert each - {"/atlases/new"} == {f"/{kind}/{id}" for id in own}
    asked_to_sign_in = Browser(app).open(path)
    assert (asked_to_sign_in.status_code, asked_to_sign_in.headers["Location"]) == (
        303,
        f"/signin?next=/{kind}%3Fowner%3Dme",
    )
    assert mine.open(f"/{kind}?owner=somebody").status_code == 422


@pytest.mark.usefixtures("network")
def test_a_wrong_state_of_jobs_is_explained(client: FlaskClient) -> None:
    answer = client.get("/jobs?state=finished", headers={"Accept": "text/html"})
    assert answer.status_code == 422
    assert "succeeded" in answer.text


@pytest.mark.usefixtures("network")
def test_the_queue_says_what_waits_and_what_to_do_where_nobody_works(client: FlaskClient) -> None:
    client.post("/v1/jobs", json=job_body("0-1"))
    page = client.get("/queue").text
    assert "interactive" in page
    assert "No worker was seen" in page


@pytest.mark.usefixtures("network")
def test_a_job_and_its_network_say_how_far_a_first_look_at_the_network_is(
    client: FlaskClient, database: Database
) -> None:
    job = client.post("/v1/jobs", json=job_body("0-1")).get_json()
    job_page, network_page = job["links"]["page"], f"/networks/{job['network']}"
    assert job["progress"]["look"] is None
    assert "looks at the network" not in client.get(job_page).text
    look_at_network(database, job["id"], 128)
    for path in (job_page, network_page):
        assert "A worker first looks at the network: 128 of 512 pictures seen." in client.get(path).text
    shown = client.get(f"/v1/jobs/{job['id']}").get_json()
    assert shown["progress"]["look"] == {"seen": 128, "codes": 512}
    assert client.get(f"/v1/networks/{job['network']}").get_json()["look"] == {"seen": 128, "codes": 512}


@pytest.mark.usefixtures("network")
def test_a_look_whose_worker_was_killed_is_not_said_to_go_on(client: FlaskClient, database: Database) -> None:
    job = client.post("/v1/jobs", json=job_body("0-1")).get_json()
    look_at_network(database, job["id"], 128)
    with database.session() as session:
        session.execute(text("UPDATE looks SET seen_at = now() - interval '5 minutes'"))
    assert client.get(f"/v1/jobs/{job['id']}").get_json()["progress"]["look"] is None


def job_of(browser: Browser) -> str:
    """The address of the page of a job that the browser's own page has submitted."""
    headers = {"X-CSRF-Token": browser.csrf_token()}
    made = browser.fetch("/v1/jobs", "POST", json=job_body("0-1"), headers=headers)
    return str(made.get_json()["links"]["page"])


@pytest.mark.usefixtures("network")
def test_a_job_that_goes_on_names_its_stream_and_keeps_a_place_for_each_picture(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    job = client.post("/v1/jobs", json=job_body("0-1")).get_json()
    page = PageRead(client.get(job["links"]["page"]).text)
    (live,) = (each for each in page.all("div") if each.get("id") == "live")
    assert live["data-events"] == f"/v1/jobs/{job['id']}/events"
    assert "http-equiv" not in page.html
    assert "<noscript>" in page.html
    assert 'id="item-1"' in page.html
    coming = [each["data-coming"] for each in page.all("span") if "data-coming" in each]
    finish_all(database, store)
    done = PageRead(client.get(job["links"]["page"]).text)
    assert done.pictures == coming
    assert done.html.count('class="pixels"') == 2, "pictures of two pixels keep them as squares"
    assert "data-events" not in done.html
    assert "live.js" not in done.html


@pytest.mark.usefixtures("network")
def test_a_job_says_what_was_asked_for_and_its_pictures_lead_to_their_units(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    job = client.post("/v1/jobs", json=job_body("0-1", recipe={"parameters": {"steps": 7}})).get_json()
    finish_all(database, store)
    page = PageRead(client.get(job["links"]["page"]).text)
    assert "2 pictures of small.random" in page.text
    assert "Steps 7" in page.text
    (unit, *_) = (link for link in page.links if link.startswith("/networks/small.random/layers/"))
    assert client.get(unit).status_code == 200
    assert f"imago job {job['id']} --watch" in page.copied("Terminal")
    assert f"/v1/jobs/{job['id']}/events" in page.copied("curl")


@pytest.mark.usefixtures("network")
def test_a_job_shows_how_far_it_is_before_its_pictures_until_it_has_ended(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    job = client.post("/v1/jobs", json=job_body("3")).get_json()["links"]["page"]
    begun = client.get(job).text
    assert begun.index('id="progress"') < begun.index('id="items"')
    assert "Unreachable" in begun
    finish_all(database, store)
    ended = client.get(job).text
    assert ended.index('id="items"') < ended.index('id="progress"')
    assert ("Unreachable" in ended, "1 of 1" in ended) == (False, True)


@pytest.mark.usefixtures("network")
def test_a_job_of_one_unit_is_called_by_it(client: FlaskClient) -> None:
    one = client.post("/v1/jobs", json=job_body("3", layer="blocks.0.1", seeds=[0, 1])).get_json()
    assert "<h1>2 pictures of blocks.0.1/3 in small.random</h1>" in client.get(one["links"]["page"]).text
    named = client.post("/v1/jobs", json=job_body("3")).get_json()
    assert "<h1>1 picture of class 3 in small.random</h1>" in client.get(named["links"]["page"]).text


@pytest.mark.usefixtures("network")
def test_its_owner_cancels_tries_again_and_deletes_a_job_by_the_buttons_of_its_page(
    app: Flask, database: Database, store: ObjectStore
) -> None:
    browser = signed_in(app, database, "read", "jobs:write")
    path = job_of(browser)
    token = {"csrf_token": browser.csrf_token()}
    assert f'action="{path}/cancel"' in browser.open(path).text
    assert f'action="{path}/delete"' not in browser.open(path).text
    assert browser.send(f"{path}/cancel", token).headers["Location"] == path
    canceled = browser.open(path).text
    assert "Try 2 again" in canceled
    assert f'action="{path}/cancel"' not in canceled
    assert browser.send(f"{path}/retry", token).status_code == 303
    finish_all(database, store)
    assert "2 of 2" in PageRead(browser.open(path).text).text
    assert browser.send(f"{path}/delete", token).headers["Location"] == "/jobs"
    assert browser.open(path).status_code == 404


@pytest.mark.usefixtures("network")
def test_a_job_is_changed_neither_by_a_forged_form_nor_by_another_key_which_sees_no_buttons(
    app: Flask, database: Database, anonymous: FlaskClient
) -> None:
    browser = signed_in(app, database, "read", "jobs:write")
    path = job_of(browser)
    assert browser.send(f"{path}/cancel", {}).status_code == 403
    token = {"csrf_token": browser.csrf_token()}
    assert browser.send(f"{path}/cancel", token, **{"Sec-Fetch-Site": "cross-site"}).status_code in (401, 403)
    others = with_key(app, database, "read", "jobs:write")
    assert "<form method" not in others.get(path).text
    assert others.post(f"{path}/cancel", headers=BROWSER).status_code == 403
    assert "<form method" not in anonymous.get(path).text
    assert "queued" in browser.open(path).text


@pytest.mark.usefixtures("network")
def test_a_job_that_builds_an_atlas_leads_to_it_and_has_no_buttons(
    client: FlaskClient, database: Database
) -> None:
    atlas = client.post("/v1/atlases", json=body()).get_json()
    carry_out(database, atlas["id"])
    (job, *_) = client.get(f"/v1/jobs?atlas={atlas['id']}").get_json()["data"]
    page = PageRead(client.get(job["links"]["page"]).text)
    assert f"/atlases/{atlas['id']}" in page.links
    assert "<form method" not in page.html
    answer = client.post(f"{job['links']['page']}/explode", headers=BROWSER)
    assert (answer.status_code, "retry" in answer.text) == (404, True)


@pytest.mark.usefixtures("network")
def test_the_pictures_of_a_job_are_shown_by_what_became_of_them(client: FlaskClient) -> None:
    job = client.post("/v1/jobs", json=job_body("0-1")).get_json()["links"]["page"]
    assert client.post(f"{job}/cancel").status_code == 303
    assert 'id="item-0"' in client.get(f"{job}?show=canceled").text
    assert 'id="item-0"' not in client.get(f"{job}?show=done").text
    wrong = client.get(f"{job}?show=everything", headers=BROWSER)
    assert (wrong.status_code, "unreachable" in wrong.text) == (422, True)
