"""Which sheet a chore makes: that of a layer, or the poster, of a version of an atlas."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from services.queue import chores
from services.queue.chores import ChoreName

SHEET: ChoreName = "sheet"
POSTER = -1
"""Stands for the number of a layer."""


@dataclass(frozen=True)
class Sheeted:
    """A layer of a version of an atlas, by its number, or `POSTER` for all of them together."""

    atlas: str
    number: int
    layer_no: int

    def __str__(self) -> str:
        return f"{self.atlas}/{self.number}/{self.layer_no}"

    @classmethod
    def parse(cls, subject: str) -> "Sheeted":
        """The inverse of `str`."""
        atlas, number, layer_no = subject.split("/")
        return cls(atlas, int(number), int(layer_no))


def plan(session: Session, wanted: Sheeted, *, after_seconds: float = 0) -> None:
    """Have it made, or looked at whether something changed; nothing happens if that is planned already."""
    chores.plan(session, SHEET, str(wanted), after_seconds=after_seconds)


def plan_version(session: Session, atlas: str, number: int, layers: Iterable[int]) -> None:
    """Have the sheets of these layers made, and the poster."""
    for layer_no in (*layers, POSTER):
        plan(session, Sheeted(atlas, number, layer_no))
