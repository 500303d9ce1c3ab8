"""The migrations and the tables that the code speaks of are the same, and moving between them is safe."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import alembic.command
import alembic.config
import pytest
import sqlalchemy as sa
from sqlalchemy import text

from infra.local.servers import Servers
from services.base.database import Database, check_migrations, migrate
from services.base.errors import Unavailable
from services.schema import Base

NAMES = ("test_migrated", "test_created")


@pytest.fixture
def urls(servers: Servers) -> Iterator[tuple[str, str]]:
    """Two empty databases."""
    for name in NAMES:
        servers.postgres.administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        servers.postgres.administer(f"CREATE DATABASE {name}")
    yield servers.postgres.url_of(NAMES[0]), servers.postgres.url_of(NAMES[1])
    for name in NAMES:
        servers.postgres.administer(f"DROP DATABASE {name} WITH (FORCE)")


def _described(url: str) -> set[tuple[str, str]]:
    """Every column, constraint, index and sequence of a database in PostgreSQL's own words."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return {(row[0], row[1]) for query in _DESCRIBE for row in connection.execute(text(query))}


_DESCRIBE = (
    """
    SELECT table_name || '.' || column_name, concat_ws(' ', data_type, collation_name, is_nullable,
        column_default, is_identity)
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
    """,
    """
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'
    """,
    """
    SELECT indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    """,
    "SELECT sequencename, data_type::text FROM pg_sequences WHERE schemaname = 'public'",
)


def test_migrating_makes_exactly_the_tables_of_the_schema(urls: tuple[str, str]) -> None:
    migrated, created = urls
    migrate(migrated)
    engine = sa.create_engine(created, poolclass=sa.NullPool)
    Base.metadata.create_all(engine)
    assert _described(migrated) == _described(created)
    check_migrations(migrated)


def test_replicas_may_migrate_at_once_and_again(urls: tuple[str, str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, [urls[0]] * 4))
    migrate(urls[0])
    database = Database(urls[0])
    database.ping()
    database.dispose()


def test_a_database_that_is_not_at_the_newest_migration_is_not_ready(urls: tuple[str, str]) -> None:
    database = Database(urls[0])
    with pytest.raises(Unavailable, match="Its schema is empty"):
        database.ping()
    database.dispose()


def test_the_way_back_leaves_nothing(urls: tuple[str, str]) -> None:
    migrate(urls[0])
    configuration = alembic.config.Config()
    configuration.set_main_option("script_location", "migrations")
    engine = sa.create_engine(urls[0], poolclass=sa.NullPool)
    with engine.begin() as connection:
        configuration.attributes["connection"] = connection
        alembic.command.downgrade(configuration, "base")
    assert _described(urls[0]) == set()
    migrate(urls[0])


def test_an_absent_database_is_unavailable() -> None:
    database = Database("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    with pytest.raises(Unavailable, match="The database does not answer"), database.session():
        database.ping()
    database.dispose()
