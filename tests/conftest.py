"""Real servers for the tests: one set a session; a test that asks gets a database and a bucket of its own.

`IMAGO_TEST_HOME=folder` keeps the servers of a session for the next one, which then starts at once
(`python -m infra.local down --home folder` ends them).
"""

import gc
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infra.local.endpoints import Endpoints
from infra.local.processes.process import Process
from infra.local.servers import Servers, running, stop
from services.base.database import Database, migrate
from services.base.settings import Settings
from services.base.storage import ObjectStore
from tests.own_settings import own_settings, own_variables

if TYPE_CHECKING:
    from tests.worker_processes import Scene

_HOME_PREFIX = "imago-tests-"


def pytest_configure() -> None:
    # What is imported and collected stays: the garbage collector would go through it again and again, for a
    # twelfth of the time that the tests take.
    gc.disable()
    # Otherwise a SIGTERM, as from timeout(1), would end pytest without its fixtures' farewell.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # What a developer's shell says about some other imago must not reach the tests.
    for name in [name for name in os.environ if name.startswith("IMAGO_") and name != "IMAGO_TEST_HOME"]:
        del os.environ[name]
    # Waiting threads of torch give their core to the servers under test; read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # A shell starts background jobs with SIGINT ignored, which all that the tests interrupt would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """PostgreSQL, Valkey and SeaweedFS, each with kill() and restart() for tests that inject faults."""
    kept = os.environ.get("IMAGO_TEST_HOME")
    if kept:
        servers = Servers(Path(kept), durable=False)
        servers.start()
        yield servers
        return
    # Not pytest's own folder: under root PostgreSQL is another user, who may not enter that.
    _end_leftovers()
    home = Path(tempfile.mkdtemp(prefix=_HOME_PREFIX))
    home.chmod(0o711)
    _session(home).remember(os.getpid())
    try:
        with running(home, durable=False) as servers:
            yield servers
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _session(home: Path) -> Process:
    """The pytest to which the servers of a home belong."""
    return Process("pytest", home / "session.json", home / "session.log")


def _end_leftovers() -> None:
    """End the servers of earlier sessions that were killed before they could."""
    for record in Path(tempfile.gettempdir()).glob(f"{_HOME_PREFIX}*/session.json"):
        if not _session(record.parent).running:
            stop(record.parent)
            shutil.rmtree(record.parent, ignore_errors=True)


@pytest.fixture(scope="session")
def endpoints(servers: Servers) -> Endpoints:
    return servers.endpoints


@pytest.fixture(scope="session")
def migrated_template(servers: Servers) -> Iterator[str]:
    """Name of a database at the newest migration, of which every test gets a copy."""
    name = f"template_{uuid.uuid4().hex[:12]}"
    servers.postgres.administer(f"CREATE DATABASE {name}")
    migrate(servers.postgres.url_of(name))
    yield name
    servers.postgres.administer(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def settings(servers: Servers, migrated_template: str) -> Iterator[Settings]:
    """Settings with a migrated, empty database and a bucket that no other test sees, and an empty broker.

    The bucket is made by the fixture `store`.
    """
    with own_settings(servers, migrated_template) as settings:
        yield settings


@pytest.fixture
def environment(settings: Settings, endpoints: Endpoints) -> dict[str, str]:
    """The same settings as variables, for processes of ours that a test starts."""
    return own_variables(endpoints, settings)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings.database_url)
    yield database
    database.dispose()


@pytest.fixture
def store(settings: Settings) -> ObjectStore:
    """The object store, with its bucket made."""
    store = ObjectStore(settings)
    store.ensure_bucket()
    return store


@pytest.fixture
def scene(
    database: Database, store: ObjectStore, settings: Settings, environment: dict[str, str], tmp_path: Path
) -> Iterator["Scene"]:
    """The small world of `tests.worker_processes`. Imported here, so that torch is loaded for those who
    ask.
    """
    from tests.worker_processes import Scene

    scene = Scene.build(database, store, settings, environment, tmp_path)
    yield scene
    scene.close()
