"""A whole imago with the small atlas, and a browser that looks at its pages."""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser

import imago
from infra.browser import chromium
from infra.browser.furnishing import NETWORK, furnish, furnish_answers
from infra.browser.walk import Walk, walk
from infra.local import ports
from infra.local.processes.supervision import Group
from infra.local.servers import Servers
from infra.local.stack import API, WORKER, answers
from services.access import keys
from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.catalog.shipped_generator import register_shipped_generator
from tests.own_settings import own_settings, own_variables
from tests.small_training import draw_pictures

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 240.0


@dataclass
class Site:
    """A running API with one worker. `atlas`: the id of the small atlas, which everybody may read."""

    url: str
    key: str
    atlas: str
    settings: Settings
    group: Group


@pytest.fixture(scope="session")
def site(servers: Servers, migrated_template: str) -> Iterator[Site]:
    """One for all tests of a session: they may add to it, and take nothing away."""
    with (
        own_settings(servers, migrated_template) as settings,
        tempfile.TemporaryDirectory(prefix="imago-pages-") as home,
    ):
        key = _prepare(settings)
        draw_pictures(Path(home, "data", "discs"))
        environment = {
            **own_variables(servers.endpoints, settings),
            "IMAGO_CACHE_FOLDER": str(Path(home, "cache")),
            "IMAGO_DATA_ROOT": str(Path(home, "data")),
        }
        group = Group(Path(home), folder=ROOT, environment=environment)
        port = ports.pick(1)[0]
        url = f"http://127.0.0.1:{port}"
        try:
            group.start("worker", [sys.executable, "-m", *WORKER])
            group.start("api", [sys.executable, "-m", *API, "--host", "127.0.0.1", "--port", str(port)])
            group.wait_until(lambda: answers(url), "the start of the API", PATIENCE_SECONDS)
            with imago.Client(url, key) as client:
                atlas = furnish(client, PATIENCE_SECONDS)
            yield Site(url, key, atlas, settings, group)
        finally:
            group.stop()


def _prepare(settings: Settings) -> str:
    """A bucket, a generator and a network that is not inspected yet; returns a key that may do everything."""
    store, database = ObjectStore(settings), Database(settings.database_url)
    store.ensure_bucket()
    try:
        register_shipped_generator(database, store, settings.generator_path)
        with database.session() as session:
            register_network(session, RegisterNetwork(id=NETWORK))
            return keys.create_key(session, "a test", keys.SCOPES)[1]
    finally:
        database.dispose()


@pytest.fixture(scope="session")
def asked(site: Site) -> Mapping[str, str]:
    """By their kinds, the pages of a comparison of the small atlas with another one, and of a photograph that
    was looked at. All pictures are indexed."""
    with imago.Client(site.url, site.key) as client:
        return furnish_answers(client, site.atlas, PATIENCE_SECONDS)


@pytest.fixture(scope="session")
def walked(site: Site, asked: Mapping[str, str]) -> Walk:
    """Its pages."""
    return walk(site.url, asked)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ended with the module: while it runs, `asyncio.run` does not work."""
    if chromium.executable() is None:
        pytest.skip(chromium.MISSING)
    with chromium.running() as browser:
        yield browser
