"""The subject of a chore that writes down an export: a published version of an atlas."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from services.queue import chores
from services.queue.chores import ChoreName

EXPORT: ChoreName = "export"


@dataclass(frozen=True)
class Exported:
    """A version of an atlas."""

    atlas: str
    number: int

    def __str__(self) -> str:
        return f"{self.atlas}/{self.number}"

    @classmethod
    def parse(cls, subject: str) -> "Exported":
        """The inverse of `str`."""
        atlas, number = subject.split("/")
        return cls(atlas, int(number))


def plan(session: Session, wanted: Exported) -> None:
    """Have the export written down; nothing happens if that is planned already."""
    chores.plan(session, EXPORT, str(wanted))
