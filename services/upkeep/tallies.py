"""Counting what keeps the store whole, in the transaction in which it happens."""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.orm import Session

_ADD = text("""
    INSERT INTO tallies (name, value) SELECT name, value FROM unnest(
        CAST(:names AS text[]), CAST(:values AS bigint[])) AS added (name, value)
    ON CONFLICT (name) DO UPDATE SET value = tallies.value + excluded.value
""")
_ALL = text("SELECT name, value FROM tallies")


def add(session: Session, counts: Mapping[str, int]) -> None:
    """Add to tallies by their names. Call it last in a transaction: it locks rows that others wait for."""
    added = sorted((name, value) for name, value in counts.items() if value)
    if added:
        session.execute(_ADD, {"names": [name for name, _ in added], "values": [value for _, value in added]})


def read(session: Session) -> dict[str, int]:
    """All tallies by name."""
    return {row.name: row.value for row in session.execute(_ALL)}
