"""How alike given pictures are: those of one unit, to see whether it wants one thing or several."""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from imago_engine.weights import EYE
from services.search.tables import EmbeddingRow


def likeness(session: Session, digest: str, others: Collection[str]) -> dict[str, float]:
    """The cosine of what the eye makes of a picture and of each of some others, at most 1; of those that are
    indexed."""
    one, other = aliased(EmbeddingRow), aliased(EmbeddingRow)
    distance = one.vector.op("<=>", return_type=sa.Double)(other.vector)
    query = (
        sa.select(other.digest, 1 - distance)
        .select_from(one)
        .join(other, sa.true())
        .where(one.digest == digest, one.eye == EYE)
        .where(other.digest.in_(set(others) - {digest}), other.eye == EYE)
    )
    return dict(iter(session.execute(query))) if others else {}
