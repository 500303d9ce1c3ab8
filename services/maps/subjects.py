"""The subject of a chore that makes a map: a version of an atlas. The map is by the eye of this release."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from services.queue import chores
from services.queue.chores import ChoreName

MAP: ChoreName = "map"
SEEN = "seen"
"""In the payload of a map that waits for embeddings: how many units had one the last time."""


@dataclass(frozen=True)
class Mapped:
    """A version of an atlas."""

    atlas: str
    number: int

    def __str__(self) -> str:
        return f"{self.atlas}/{self.number}"

    @classmethod
    def parse(cls, subject: str) -> "Mapped":
        """The inverse of `str`."""
        atlas, number = subject.split("/")
        return cls(atlas, int(number))


def plan(session: Session, wanted: Mapped, *, after_seconds: float = 0) -> None:
    """Plan the chore that makes the map or brings it up to date; does nothing if it is planned already."""
    chores.plan(session, MAP, str(wanted), after_seconds=after_seconds)
