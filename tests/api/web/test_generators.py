"""The pages of generators, and how their model cards are shown."""

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.context import context
from api.web.markdown import rendered
from services.base.database import Database
from services.base.storage import ObjectStore
from services.catalog.generators import get_generator
from services.catalog.shipped_generator import register_shipped_generator
from tests.api.resources.test_atlases import body
from tests.api.small_catalog import finish_all, job_body, with_key
from tests.api.web.browsing import PageRead

pytestmark = pytest.mark.usefixtures("network")


def test_a_generator_shows_what_it_is_and_the_atlases_that_are_made_with_it(
    client: FlaskClient, anonymous: FlaskClient
) -> None:
    assert 'href="/generators/small"' in client.get("/generators").text
    recipe = {"technique": "dgn-am"}
    made = client.post("/v1/atlases", json=body(name="mine", recipe=recipe, visibility="private"))
    assert made.status_code in (200, 202), made.text
    atlas = made.get_json()["id"]
    page = client.get("/generators/small").text
    assert "32 × 32" in page
    assert f'href="/atlases/{atlas}"' in page
    assert atlas not in anonymous.get("/generators/small").text
    assert client.get("/generators/nothing", headers={"Accept": "text/html"}).status_code == 404


def test_a_generator_shows_pictures_that_were_made_with_it(
    client: FlaskClient, anonymous: FlaskClient, database: Database, store: ObjectStore
) -> None:
    client.post("/v1/jobs", json=job_body("0-29", "blocks.0.1", recipe={"technique": "dgn-am"}))
    assert "Pictures made with it" not in anonymous.get("/generators/small").text
    finish_all(database, store)
    shown = PageRead(anonymous.get("/generators/small").text).pictures
    assert len(set(shown)) == 12
    assert anonymous.get(shown[0]).status_code == 200
    assert len(set(PageRead(anonymous.get("/generators").text).pictures)) == 6


def test_the_shipped_generator_is_shown_with_its_card(
    app: Flask, client: FlaskClient, database: Database, store: ObjectStore
) -> None:
    client.post("/v1/jobs", json=job_body("0-3", recipe={"technique": "dgn-am"}))
    finish_all(database, store)
    assert "Pictures made with it" in client.get("/generators/small").text
    path: Path = context(app).settings.generator_path
    register_shipped_generator(database, store, path)
    with database.session() as session:
        name = get_generator(session).id
    page = client.get(f"/generators/{name}").text
    assert "<h2>The default generator</h2>" in page
    assert "A projected GAN" in page
    assert page.count("<h1") == 1
    assert "Pictures made with it" not in page, "those of another generator are not its own"


def test_only_admins_are_offered_to_remove_what_no_key_made(
    app: Flask, client: FlaskClient, database: Database
) -> None:
    with database.session() as session:
        session.connection().exec_driver_sql("UPDATE generators SET is_default = false")
    assert "/remove" not in client.get("/generators/small").text
    assert client.post("/generators/small/remove").status_code == 403
    admin = with_key(app, database, "admin")
    assert 'action="/generators/small/remove"' in admin.get("/generators/small").text
    assert admin.post("/generators/small/remove").headers["Location"] == "/generators"
    assert admin.get("/generators/small").status_code == 404


def test_a_card_can_put_nothing_on_the_page_but_text() -> None:
    shown = rendered(
        "# Title\n\n<script>alert(1)</script> <b onclick=x>b</b>\n\n[a](javascript:alert(1)) "
        "[b](../../local.md) [c](https://example.org/) ![d](https://example.org/d.png) `<i>`\n\n"
        "<!-- facts -->\n\n| | b |\n|--:|---|\n| 1 | 57.4 % |\n"
    )
    assert "<td>57.4\u00a0%</td>" in shown, "a line is not broken before the sign"
    assert "<h2>Title</h2>" in shown
    for dangerous in ("<script", "<b ", "<img", 'javascript:alert(1)"', "style=", "facts", "local.md"):
        assert dangerous not in shown, dangerous
    assert '<a href="https://example.org/" rel="nofollow noreferrer">c</a>' in shown
    assert "<td></td>\n<th>b</th>" in shown
    assert "<td>1</td>" in shown
    assert "<code>&lt;i&gt;</code>" in shown


def test_a_card_of_any_length_is_shown_up_to_a_limit() -> None:
    assert len(rendered("word " * 200_000)) < 300_000
