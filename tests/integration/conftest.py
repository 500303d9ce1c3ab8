"""One database for the tests of the services, emptied before each: a new one each would take longer."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from infra.local.servers import Servers
from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from tests.integration import staging
from tests.own_settings import own_settings


@pytest.fixture(scope="session")
def shared_settings(servers: Servers, migrated_template: str) -> Iterator[Settings]:
    with own_settings(servers, migrated_template) as settings:
        yield settings


@pytest.fixture(scope="session")
def shared_database(shared_settings: Settings) -> Iterator[Database]:
    database = Database(shared_settings.database_url)
    staging.stage(database)
    yield database
    database.dispose()


@pytest.fixture
def emptied(shared_settings: Settings) -> ObjectStore:
    """The bucket beside the database of `staged`, with nothing in it."""
    store = ObjectStore(shared_settings)
    store.ensure_bucket()
    for key in store.keys(""):
        store.delete(key)
    return store


@pytest.fixture
def staged(shared_database: Database) -> Database:
    """A database with the catalog of `staging` and nothing else."""
    with shared_database.session() as session:
        for table in (
            "job_visualizations",
            "atlas_entries",
            "visualizations",
            "recipes",
            "trainings",
            "excitations",
            "work",
            "learned_costs",
            "jobs",
            "compared_units",
            "comparisons",
            "atlas_sheets",
            "sheets",
            "atlas_maps",
            "maps",
            "atlases",
            "scans",
            "exemplars",
            "crop_packs",
            "unit_statistics",
            "api_keys",
            "workers",
            "tallies",
            "collected",
        ):
            session.execute(text(f"DELETE FROM {table}"))
        session.execute(text("DELETE FROM networks WHERE id <> :id"), {"id": staging.NETWORK})
        session.execute(text("DELETE FROM generators WHERE id <> :id"), {"id": staging.GENERATOR})
        session.execute(text("UPDATE networks SET lease_id = NULL"))
        session.execute(text("DELETE FROM leases"))
    return shared_database
