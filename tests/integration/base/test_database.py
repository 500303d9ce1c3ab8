"""Connections to the database."""

from sqlalchemy import text

from services.base.database import Database


def test_a_connection_in_use_when_all_are_closed_is_closed_as_it_is_given_back(database: Database) -> None:
    others = Database(database.engine.url.render_as_string(hide_password=False))
    with others.session() as session:
        pid = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
        connection = session.connection().connection.driver_connection
        others.dispose()
        assert session.execute(text("SELECT pg_backend_pid()")).scalar_one() == pid  # it may finish its work
    assert connection is not None
    assert connection.closed
