"""The pages for people."""

import re

import pytest
from flask.testing import FlaskClient

from api.schemas.estimates import EtaRange
from api.schemas.jobs import Progress, Units
from api.web.filters import figure, time_left, units_in_words
from imago_engine.networks import LayerInfo
from services.base.database import Database
from services.base.storage import ObjectStore
from services.catalog.inspections import record_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.estimates.cost_model import Seconds
from services.queue import batches
from services.queue.batches import Failure
from tests.api.conftest import Start
from tests.api.small_catalog import NETWORK, finish_all, job_body
from tests.api.web.browsing import BROWSER, PageRead, scripts_within


def test_browsers_and_programs_get_each_their_entrance(client: FlaskClient, network: str) -> None:
    job = client.post("/v1/jobs", json=job_body()).get_json()
    page = client.get("/", headers=BROWSER)
    assert page.mimetype == "text/html"
    assert page.headers["Vary"] == "Accept, Origin"
    assert network in page.text
    assert f"/jobs/{job['id']}" in PageRead(page.text).addresses
    assert client.get("/").mimetype == "application/json"
    assert client.get("/", headers={"Accept": "application/json"}).mimetype == "application/json"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("/networks/", "/networks"),
        ("/docs/", "/docs"),
        ("/jobs//?state=done&cursor=a%2Fb", "/jobs?state=done&cursor=a%2Fb"),
        (f"/networks/{NETWORK}/layers/output/units/3/", f"/networks/{NETWORK}/layers/output/units/3"),
        ("/networks/caf%C3%A9/", "/networks/caf%C3%A9"),
    ],
)
def test_a_slash_too_many_leads_to_the_page(client: FlaskClient, asked: str, found: str) -> None:
    answer = client.get(asked, headers=BROWSER)
    assert (answer.status_code, answer.headers["Location"]) == (308, found)


def test_a_slash_too_many_leads_no_form_astray_and_nobody_elsewhere(client: FlaskClient) -> None:
    assert client.post("/atlases/", headers=BROWSER).headers["Location"] == "/atlases"
    for path in ("/nothing/", "//example.org/", "/v1/", "/v1/networks/"):
        answer = client.get("/", headers=BROWSER, environ_overrides={"PATH_INFO": path})
        assert (answer.status_code, answer.headers.get("Location")) == (404, None), path


def test_the_entrance_shows_no_lists_where_reading_needs_a_key(start: Start, network: str) -> None:
    page = start(public_read=False).test_client().get("/", headers=BROWSER)
    assert page.status_code == 200
    assert network not in page.text


@pytest.mark.usefixtures("network")
def test_a_jobs_gallery_shows_its_pictures_as_they_come(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    job = client.post("/v1/jobs", json=job_body()).get_json()
    waiting = client.get(job["links"]["page"])
    assert waiting.status_code == 200
    assert PageRead(waiting.text).pictures == []
    finish_all(database, store)
    finished = client.get(job["links"]["page"])
    page = PageRead(finished.text)
    thumbnails = [link for link in page.addresses if link.endswith("/image.webp?size=256")]
    assert len(set(thumbnails)) == 4
    assert "class 3" in finished.text
    assert '<span class="figure">4.00</span>' in finished.text
    assert any(link.endswith(".svg") for link in page.addresses), (
        "browsers ask for an icon where none is named"
    )
    for path in thumbnails:
        assert client.get(path, buffered=True).status_code == 200
    assert re.search(r'<img[^>]*width="160"[^>]*alt="[^"]+', finished.text)


@pytest.mark.usefixtures("network")
def test_a_gallery_explains_what_is_missing_and_escapes_what_it_shows(
    client: FlaskClient, database: Database
) -> None:
    job = client.post("/v1/jobs", json=job_body("0")).get_json()
    with database.session() as session:
        claim = batches.claim(session, "tester", limit=1, lease_seconds=60)
        assert claim is not None
        failure = Failure(claim.items[0].digest, "broken", "<script>alert(1)</script>", retryable=False)
        batches.conclude(session, claim.lease_id, failures=[failure])
    page = client.get(job["links"]["page"])
    assert "&lt;script&gt;" in page.text
    assert "<script>" not in page.text
    assert scripts_within(page.text) == ""


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("seeds", [[3], [0, 7]])
def test_a_gallery_names_every_seed_but_a_lone_0(client: FlaskClient, seeds: list[int]) -> None:
    job = client.post("/v1/jobs", json=job_body("0", seeds=seeds)).get_json()
    page = client.get(job["links"]["page"])
    assert [int(seed) for seed in re.findall(r"· seed (\d+)", page.text)] == seeds


@pytest.mark.usefixtures("network")
def test_a_gallery_says_which_candidate_is_the_best_and_shows_the_best_alone(
    client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    job = client.post("/v1/jobs", json=job_body("0-1", candidates=3)).get_json()
    finish_all(database, store)
    page = client.get(job["links"]["page"]).text
    assert (page.count("<img"), page.count("best of 3")) == (6, 2)
    (best,) = [link for link in PageRead(page).addresses if link.endswith("?show=best")]
    alone = client.get(best).text
    assert (alone.count("<img"), alone.count("best of 3")) == (2, 2)
    single = client.get(client.post("/v1/jobs", json=job_body("0")).get_json()["links"]["page"]).text
    assert "best" not in single


@pytest.mark.usefixtures("network")
def test_a_page_names_the_places_of_targets_and_of_pictures(client: FlaskClient, database: Database) -> None:
    vit = "vit.random"
    with database.session() as session:
        register_network(session, RegisterNetwork(id=vit))
        record_inspection(
            session,
            vit,
            weights_sha256="c" * 64,
            preprocessing={"size": 32},
            labels=[],
            layers=[
                LayerInfo("patches", "conv", 8, (4, 4), 8, 8),
                LayerInfo("blocks.1", "block", 8, None, None, None, tokens=17, usual_token=0, class_token=0),
            ],
        )
    targets = [
        {"layer": "patches", "units": [1, 2], "position": [3, 0]},
        {"layer": "blocks.1", "units": "0-1", "token": 5},
        {"layer": "blocks.1", "units": "0", "token": 0},  # the usual one
    ]
    job = client.post("/v1/jobs", json={"network": vit, "targets": targets}).get_json()
    page = client.get(job["links"]["page"]).text
    for target in ("patches/1,2@3,0", "blocks.1/0-1@5", "blocks.1/0@0"):
        assert f"<code>{target}</code>" in page
    shown = re.findall(r'<span class="caption quiet">([^<]+)<', page)
    assert shown == ["patches/1@3,0", "patches/2@3,0", "blocks.1/0@5", "blocks.1/1@5", "blocks.1/0"]


@pytest.mark.usefixtures("network")
def test_a_large_gallery_goes_on_on_the_next_page(client: FlaskClient) -> None:
    job = client.post("/v1/jobs", json=job_body("0-149", layer="blocks.0.1")).get_json()
    first = client.get(job["links"]["page"])
    (more,) = [link for link in PageRead(first.text).addresses if "cursor=" in link]
    second = client.get(more)
    assert first.text.count('<li class="cell"') + second.text.count('<li class="cell"') == 150
    assert "cursor=" not in second.text


def test_pages_may_load_nothing_but_our_own_files_and_run_nothing_inline(
    client: FlaskClient, network: str
) -> None:
    page = client.get("/", headers=BROWSER)
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    for name in ("script-src", "style-src", "connect-src", "form-action"):
        assert re.search(rf"{name} 'self'(;|$)", policy)
    assert "unsafe" not in policy
    assert scripts_within(page.text) == ""
    assert not re.search(r"<[^>]*\s(style|on[a-z]+)=", page.text)
    (stylesheet,) = [link for link in PageRead(page.text).addresses if link.endswith(".css")]
    assert client.get(stylesheet, buffered=True).mimetype == "text/css"


def test_a_page_that_is_not_there_is_explained_as_a_page(client: FlaskClient) -> None:
    answer = client.get("/jobs/job_none", headers=BROWSER)
    assert answer.status_code == 404
    assert answer.mimetype == "text/html"
    assert "job_none" in answer.text
    PageRead(answer.text)
    assert client.get("/v1/jobs/job_none", headers=BROWSER).mimetype == "application/problem+json"


def test_the_reference_names_every_operation_and_every_kind_of_problem(client: FlaskClient) -> None:
    page = client.get("/docs")
    PageRead(page.text)
    for path in client.get("/openapi.json").get_json()["paths"]:
        assert path in page.text
    problem = client.get(f"/v1/networks/{NETWORK}").get_json()
    assert f'id="{problem["type"].split("#")[1]}"' in page.text
    assert "`" not in page.text
    assert "<code>next_cursor</code> of the page before." in page.text


@pytest.mark.parametrize(
    ("eta", "words"),
    [
        (Seconds(0, 0.2, 0.4), "a moment"),
        (Seconds(220, 250, 280), "about 4 min"),
        (Seconds(240, 400, 700), "4 to 12 min"),
        (Seconds(20, 100, 900), "up to 15 min"),
        (Seconds(6000, 12_000, 50_000), "1 to 14 h"),
    ],
)
def test_the_time_left_is_one_figure_only_where_it_is_known(eta: Seconds, words: str) -> None:
    units = Units(total=1, done=0, failed=0, unreachable=0, canceled=0, queued=1, leased=0, cached=0)
    progress = Progress(units=units, rate=None, eta_seconds=eta.likely, eta_range=EtaRange.of(eta), look=None)
    assert time_left(progress) == words


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (24.4, "24.4"),
        (20, "20.0"),
        (9.94, "9.94"),
        (-0.5, "-0.500"),
        (0.00312, "0.00312"),
        (142.4, "142"),
        (999.6, "1\u202f000"),
        (68968.2, "68\u202f968"),
        (0, "0"),
        (7.788e-07, "≈\u00a00"),
        (-8e-11, "≈\u00a00"),
        (float("inf"), "inf"),
    ],
)
def test_figures_of_one_size_have_as_many_decimals_and_no_power_of_ten(value: float, said: str) -> None:
    assert figure(value) == said


@pytest.mark.parametrize(
    ("path", "field"),
    [("/atlases/new", "network"), ("/trainings/new", "encoder.network"), ("/search", "network")],
)
def test_a_form_never_replaces_the_network_that_it_was_asked_for(
    client: FlaskClient, network: str, monkeypatch: pytest.MonkeyPatch, path: str, field: str
) -> None:
    client.post("/v1/networks", json={"id": "a.pending"})
    monkeypatch.setattr("api.web.network_choice.MOST", 0)  # it is beyond those that are listed

    def shown(asked: str) -> PageRead:
        answer = client.get(path, query_string={field: asked}, headers={"Accept": "text/html"})
        assert answer.status_code == 200
        return PageRead(answer.text)

    def chosen(page: PageRead) -> bool:
        return f"<option selected>{network}</option>" in page.html

    assert chosen(shown(network))
    assert "field-wrong" not in shown(network).html
    monkeypatch.undo()
    for asked, said in (("a.pending", "a.pending is not ready"), ("none.here", "There is no network")):
        page = shown(asked)
        assert not chosen(page)
        assert f"<option selected>{asked}</option>" in page.html
        (_, wrong) = page.html.split('class="field field-wrong"')
        assert said in wrong.split("</div>")[0]


def test_units_are_said_in_words_where_that_is_shorter_for_people() -> None:
    of_every = {step: units_in_words(f"::{step}") for step in (1, 2, 3, 7, 11, 21, 112)}
    assert list(of_every.values()) == [
        f"every {n}" for n in ("1st", "2nd", "3rd", "7th", "11th", "21st", "112th")
    ]
    assert [units_in_words(units) for units in ("all", "0-9,12", "5::7", [1, 2])] == [
        "all",
        "0-9,12",
        "5::7",
        "1,2",
    ]
