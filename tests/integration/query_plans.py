"""The plans of the statements that something executes."""

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from services.base.database import Database

PLANNED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


def plans(
    database: Database, act: Callable[[Session], object], *, executed: bool = False
) -> list[tuple[str, dict[str, Any]]]:
    """The statements that `act` executes, each with the plan that it has at that moment; if it is to be
    `executed`, which does so once more, with what it has read."""
    how = "ANALYZE, TIMING OFF, FORMAT JSON" if executed else "FORMAT JSON"
    found: list[tuple[str, dict[str, Any]]] = []

    def explain(
        connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
    ) -> None:
        if not executemany and statement.lstrip().split(None, 1)[0] in PLANNED:
            beside = connection.connection.cursor()
            beside.execute(f"EXPLAIN ({how}) {statement}", parameters)
            found.append((statement, beside.fetchone()[0][0]["Plan"]))

    with database.session() as session:
        event.listen(database.engine, "before_cursor_execute", explain)
        try:
            act(session)
        finally:
            event.remove(database.engine, "before_cursor_execute", explain)
        session.rollback()
    assert found
    return found


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan with all that is below it."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)
