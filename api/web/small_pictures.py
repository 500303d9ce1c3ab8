"""Pictures of a few pixels, as those of early layers: pages enlarge them with their pixels as squares."""

from collections.abc import Collection, Iterable

from sqlalchemy.orm import Session

from imago_engine.artifacts import SMALL_BELOW, ArtifactKind
from services.pictures import artifacts


def is_small(side: int | None) -> bool:
    """Whether a picture of this longer side is small; one of which nobody noted it is not. Scripts are told
    what is by `data-small-below` of a page's body."""
    return side is not None and side < SMALL_BELOW


def small_among(session: Session, digests: Iterable[str]) -> Collection[str]:
    """Digests of those whose pictures are small, for templates to ask."""
    sides = artifacts.sides(session, list(digests), ArtifactKind.IMAGE)
    return frozenset(digest for digest, side in sides.items() if is_small(side))
