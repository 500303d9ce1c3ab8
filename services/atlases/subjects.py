"""The subject of a chore that carries out what is wanted of an atlas: its id."""

from sqlalchemy.orm import Session

from services.queue import chores
from services.queue.chores import ChoreName

EXPAND: ChoreName = "expand"


def plan(session: Session, atlas_id: str) -> None:
    """Have workers carry out what is wanted of it from now on. Call it in the transaction that makes the
    atlas, or before its row is locked: they hold what is planned first.
    """
    chores.hasten(session, EXPAND, atlas_id)
