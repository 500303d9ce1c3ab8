"""The connection to PostgreSQL, and the one step that brings its schema to the newest migration."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import psycopg
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from services.base.errors import Invalid, Unavailable

_MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
_MIGRATION_LOCK = 0x696D61676F01
_NOT_NOW = ("25006", "25P03", "25P04")
"""SQLSTATEs of a server that writes nothing now (it fails over, or protects its disk), and of a transaction
that it has ended for having taken too long. psycopg calls them internal errors."""
_CONNECT_ARGUMENTS: dict[str, str | int | None] = {
    "application_name": "imago",
    "connect_timeout": 5,
    # A statement or an idle transaction that hangs would hold row locks that other processes wait for.
    # No statement of a request is so long that to start processes for its parts would not cost it more.
    "options": "-c timezone=UTC -c statement_timeout=60s -c idle_in_transaction_session_timeout=60s"
    " -c max_parallel_workers_per_gather=0",
    # A server that vanished without a word is noticed after 15 s, well within a lease.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
    # A generic plan knows neither the LIMIT nor the length of an array: the claim would lose its index.
    "prepare_threshold": None,
}
_PATIENT_ARGUMENTS = {**_CONNECT_ARGUMENTS, "options": "-c timezone=UTC"}
"""For what may take long: a migration, a backup. A server that vanished is noticed all the same."""


class Database:
    """A pool of connections. Make one in the process that uses it: a forked socket corrupts both sides."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.engine = sa.create_engine(
            url, pool_size=pool_size, max_overflow=10, pool_pre_ping=True, connect_args=_CONNECT_ARGUMENTS
        )
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @classmethod
    @contextmanager
    def opened(cls, url: str, *, pool_size: int = 10) -> Iterator["Database"]:
        """A pool for the time of a command."""
        database = cls(url, pool_size=pool_size)
        try:
            yield database
        finally:
            database.dispose()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Raises `Unavailable` when the database does not answer, cut the connection, or gave the transaction up
        to resolve a deadlock. After a cut during the commit nobody knows whether it took place; every write
        of this package may therefore be tried again.
        """
        try:
            with self._sessions.begin() as session:
                yield session
        except DataError as error:
            if "NUL" not in str(error.orig):
                raise
            raise Invalid.field("", "a text holds the character NUL, which cannot be stored") from error
        except DBAPIError as error:
            if not _may_be_tried_again(error):
                raise
            raise Unavailable("database", _first_line(error.orig)) from error
        except sa.exc.TimeoutError as error:
            raise Unavailable("database", advice="All connections are in use.") from error

    @contextmanager
    def patient_session(self) -> Iterator[Session]:
        """As `session`, but it may stay idle for as long as it takes."""
        with self.session() as session:
            session.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            yield session

    def ping(self) -> None:
        """Return when the database answers and its schema is the newest. Raises `Unavailable`."""
        with self.session() as session:
            at = MigrationContext.configure(session.connection()).get_current_heads()
        wanted = ScriptDirectory(str(_MIGRATIONS)).get_heads()
        if set(at) != set(wanted):
            raise Unavailable(
                "database", advice=f"Its schema is {', '.join(at) or 'empty'}, {', '.join(wanted)} is needed."
            )

    def dispose(self) -> None:
        """Close all connections: those in use by other threads as soon as they are given back."""
        pool = self.engine.pool
        # The pool that is given up would keep them open until it is collected as garbage.
        sa.event.listen(pool, "checkin", lambda _connection, record: record.invalidate())
        self.engine.dispose()


@contextmanager
def patient_transaction(url: str, **options: Any) -> Iterator[sa.Connection]:
    """One transaction on a connection of its own, whose statements may take as long as they take.

    `options` are execution options, such as the isolation level. Committed when the block ends, rolled back
    when it raises. Raises `Unavailable` when the database does not answer or cut the connection, also for
    what the driver itself raises in the block.
    """
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=_PATIENT_ARGUMENTS)
    try:
        with engine.execution_options(**options).begin() as connection:
            yield connection
    except DBAPIError as error:
        if not _may_be_tried_again(error):
            raise
        raise Unavailable("database", _first_line(error.orig)) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise Unavailable("database", _first_line(error)) from error


def _may_be_tried_again(error: DBAPIError) -> bool:
    """Whether the server, and not the statement, is why it was not carried out."""
    if isinstance(error, (OperationalError, InterfaceError)):
        return True
    return getattr(error.orig, "sqlstate", None) in _NOT_NOW


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().split("\n")[0]


def migrate(url: str) -> None:
    """Bring the schema to the newest migration, all or nothing. Several processes may call this at once.

    Raises `Unavailable` when the database does not answer.
    """
    with patient_transaction(url) as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        alembic.command.upgrade(_configuration(connection), "head")


def move_to(connection: sa.Connection, revision: str) -> None:
    """Bring the schema to a revision, up or down, in the connection's transaction; `head` is the newest and
    `base` is without any table."""
    configuration = _configuration(connection)
    at = MigrationContext.configure(connection).get_current_revision()
    if revision == "base" or (revision != "head" and at is not None and at > revision):
        alembic.command.downgrade(configuration, revision)
    else:
        alembic.command.upgrade(configuration, revision)


def has_revision(revision: str) -> bool:
    """Whether this release knows the revision."""
    return revision in {script.revision for script in ScriptDirectory(str(_MIGRATIONS)).walk_revisions()}


def check_migrations(url: str) -> None:
    """Raise `alembic.util.AutogenerateDiffsDetected` when the tables differ from services/schema.py."""
    with patient_transaction(url) as connection:
        alembic.command.check(_configuration(connection))


def _configuration(connection: sa.Connection) -> alembic.config.Config:
    configuration = alembic.config.Config()
    configuration.set_main_option("script_location", str(_MIGRATIONS))
    configuration.attributes["connection"] = connection
    return configuration
