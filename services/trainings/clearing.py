"""What ended trainings have left in the store and on machines."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

_UNCLEARED = text("""
    SELECT id, log_object, card_object FROM trainings
    WHERE NOT cleared AND state IN ('succeeded', 'failed', 'canceled') ORDER BY id LIMIT 1
""")
_CLEARED = text("UPDATE trainings SET cleared = true, checkpoint_object = NULL WHERE id = :id")
_ENDED = text("""
    SELECT id FROM unnest(CAST(:ids AS text[])) AS known (id) WHERE NOT EXISTS (
        SELECT 1 FROM trainings WHERE trainings.id = known.id
        AND trainings.state IN ('queued', 'running', 'canceling')
    )
""")


def next_uncleared(session: Session) -> tuple[str, frozenset[str]] | None:
    """An ended training that may have left objects, and the keys that are to stay."""
    row = session.execute(_UNCLEARED).first()
    return None if row is None else (row.id, frozenset(filter(None, (row.log_object, row.card_object))))


def cleared(session: Session, id: str) -> None:
    """Note that an ended training has left nothing superfluous in the store."""
    session.execute(_CLEARED, {"id": id})


def ended(session: Session, ids: Sequence[str]) -> set[str]:
    """Those of the ids that no training has which could still go on."""
    return set(session.scalars(_ENDED, {"ids": list(ids)}))
