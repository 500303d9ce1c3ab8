"""What becomes of work that a worker cannot go on with for a reason that lies where the worker is and not in
the work: pictures that it does not see, a full disk.

It is left to the workers that could still try. Where there is none it is put off, for what is absent now may
be there in a moment: a worker starts again, a folder is mounted late. It fails only once nobody could go on
with it for a long time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.queue.liveness import ALIVE

PATIENCE_SECONDS = 600.0
"""For how long nobody can go on with what never began, until it fails."""
PASSING_PATIENCE_SECONDS = 3600.0
"""The same where it is no lack of pictures but a fault of machines that may pass."""
BEGUN_PATIENCE_SECONDS = 7 * 86_400.0
"""The same of what was begun, which would be lost."""
LATELY_SECONDS = 600.0
"""A worker that was seen so long ago, at most, may be starting again."""
AGAIN_SECONDS, LONGEST_PAUSE_SECONDS = 15.0, 300.0
"""How soon what nobody can go on with is tried again: at first, and after a long time."""


def could_try(refused: str) -> str:
    """Workers that see pictures and are none of those in an array of SQL, `refused`: a query for EXISTS."""
    return f"SELECT FROM workers WHERE has_data_root AND {ALIVE} AND workers.id <> ALL ({refused})"


_OUTLOOK = text(f"""
    SELECT clock_timestamp() AS now, EXISTS ({could_try("CAST(:refused AS text[])")}) AS others, EXISTS (
        SELECT FROM workers WHERE id <> ALL (CAST(:refused AS text[]))
        AND seen_at > now() - make_interval(secs => :lately)
        AND (has_data_root OR started_at > now() - make_interval(secs => :lately))
    ) AS expected
""")


@dataclass(frozen=True)
class Outlook:
    """Of work that the workers `refused` could not go on with. `others`: one that is here could still try;
    `since` when nobody could, None where somebody can, and for so many `seconds`; `expected`: one that could
    try may be starting; `again_seconds`: how soon to try again where no other worker does."""

    refused: tuple[str, ...]
    others: bool
    since: datetime | None
    seconds: float
    expected: bool = False

    @property
    def again_seconds(self) -> float:
        return min(max(AGAIN_SECONDS, self.seconds), LONGEST_PAUSE_SECONDS)

    def told(self, message: str) -> str:
        """What this worker lacks, as people are told it: with the others, where they said so too."""
        return (
            message if self.others or len(self.refused) == 1 else f"{message} The other workers lack it too."
        )

    def hopeless(self, patience_seconds: float) -> bool:
        """Whether nobody could go on with it for longer than that. A worker that may be starting is awaited,
        but not for ever: where workers start again and again one always may be."""
        awaited = LATELY_SECONDS if self.expected else 0.0
        return self.since is not None and self.seconds >= patience_seconds + awaited


def outlook(session: Session, worker_id: str, refused: Sequence[str], since: datetime | None) -> Outlook:
    """Now that this worker cannot go on with it either; `refused` are those before, `since` what the last
    outlook said."""
    known = (*(id for id in refused if id != worker_id), worker_id)
    row = session.execute(_OUTLOOK, {"refused": [*known], "lately": LATELY_SECONDS}).one()
    if row.others:
        return Outlook(known, True, None, 0.0)
    since = since or row.now
    return Outlook(known, False, since, (row.now - since).total_seconds(), row.expected)
