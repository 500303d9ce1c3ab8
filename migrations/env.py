"""Alembic's entry: on the connection that `services.base.database` passes, else on one of its own."""

import sqlalchemy as sa
from alembic import context

from services.base.settings import Settings
from services.schema import Base


def _run(connection: sa.Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


def _main() -> None:
    if context.is_offline_mode():
        raise SystemExit("Migrations lock the database that they change; they cannot be printed as a script.")
    given = context.config.attributes.get("connection")
    if given is not None:
        _run(given)
        return
    engine = sa.create_engine(Settings().database_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        _run(connection)


_main()
