"""Whose turn it is. Items of one submission follow each other in its order; submissions follow in theirs."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.queue.tables import QUEUE_TURNS

SPAN = 2**20
"""Items of one submission at most."""


def next_turn(session: Session) -> int:
    """The `queue_order` of the first item of a submission; the item of ordinal n has this plus n, n <
    `SPAN`.
    """
    return session.execute(select(QUEUE_TURNS.next_value())).scalar_one() * SPAN
