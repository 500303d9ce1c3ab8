"""The API on the real servers: one application, database and bucket for all tests, emptied before each."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api import create_app
from api.context import context
from api.http import waiting
from infra.local.servers import Servers
from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from tests.api.small_catalog import NETWORK, register, with_key
from tests.emptying import empty
from tests.own_settings import own_settings

Start = Callable[..., Flask]


@pytest.fixture(scope="session")
def shared_settings(servers: Servers, migrated_template: str) -> Iterator[Settings]:
    with own_settings(servers, migrated_template) as settings:
        yield settings


@pytest.fixture(scope="session")
def shared_app(shared_settings: Settings) -> Iterator[Flask]:
    app = create_app(shared_settings)
    context(app).store.ensure_bucket()
    yield app
    context(app).close()


@pytest.fixture(autouse=True)
def requests_have_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a request carries out at once it ends, however busy the machine: the rest would be a worker's."""
    monkeypatch.setattr(waiting, "AT_ONCE_SECONDS", 60.0)


@pytest.fixture
def database(shared_app: Flask) -> Database:
    """Empty. Objects stay: they are named by their bytes."""
    database = context(shared_app).database
    with database.session() as session:
        empty(session)
    return database


@pytest.fixture
def settings(shared_settings: Settings, database: Database) -> Settings:
    return shared_settings


@pytest.fixture
def store(shared_app: Flask) -> ObjectStore:
    return context(shared_app).store


@pytest.fixture
def app(shared_app: Flask, database: Database) -> Flask:
    return shared_app


@pytest.fixture
def start(settings: Settings) -> Iterator[Start]:
    """Makes another application, with settings changed as told."""
    started: list[Flask] = []

    def make(**changes: object) -> Flask:
        started.append(create_app(settings.model_copy(update=changes)))
        return started[-1]

    yield make
    for app in started:
        context(app).close()


@pytest.fixture
def anonymous(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def client(app: Flask, database: Database) -> FlaskClient:
    """With a key that may submit."""
    return with_key(app, database, "read", "jobs:write")


@pytest.fixture
def network(database: Database) -> str:
    """The id of a network of three layers, ready, beside a default generator."""
    register(database)
    return NETWORK
