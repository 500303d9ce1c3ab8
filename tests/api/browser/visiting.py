"""A browser as the tests have one: it keeps cookies, and says where a request comes from as browsers do."""

import re
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from services.access import keys
from services.base.database import Database

PAGES = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
FOLLOWED = {
    "Accept": PAGES,
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}
"""What a browser says of a link on another site that was followed."""
FROM_HERE = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}


class Browser:
    """Signed in or not."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()

    def open(self, path: str, **headers: str) -> TestResponse:
        """A page, opened by the person."""
        said = {"Accept": PAGES, "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}
        return self.client.get(path, headers={**said, "Sec-Fetch-Dest": "document", **headers})

    def send(self, path: str, fields: dict[str, str], **headers: str) -> TestResponse:
        """A form of a page of this origin."""
        return self.client.post(path, data=fields, headers={"Accept": PAGES, **FROM_HERE, **headers})

    def fetch(self, path: str, method: str = "GET", **more: Any) -> TestResponse:
        """What a script of ours asks for."""
        headers = {**FROM_HERE, **more.pop("headers", {})}
        if method == "GET":
            del headers["Origin"]
        return self.client.open(path, method=method, headers=headers, **more)

    def sign_in(self, key: str, back_to: str = "/account") -> TestResponse:
        return self.send("/signin", {"key": key, "next": back_to})

    def csrf_token(self) -> str:
        """The token that pages of ours have in their forms."""
        (token, *_) = re.findall(r'name="csrf_token" value="([^"]+)"', self.open("/account").text)
        return str(token)

    def cookie(self) -> str | None:
        found = self.client.get_cookie("imago_session")
        return None if found is None else found.value


def new_key(database: Database, *scopes: str, name: str = "test") -> tuple[str, str]:
    """The id of a new key and its token."""
    with database.session() as session:
        key, token = keys.create_key(session, name, scopes)
    return key.id, token


def signed_in(app: Flask, database: Database, *scopes: str) -> Browser:
    browser = Browser(app)
    assert browser.sign_in(new_key(database, *scopes)[1]).status_code == 303
    return browser
