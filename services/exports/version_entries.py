"""All pictures of a version of an atlas with all that is known of them, in pages or one after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.access.keys import Principal
from services.atlases.atlases import version_row
from services.atlases.tables import AtlasEntryRow
from services.atlases.visibility import atlas_row
from services.base.database import Database
from services.base.paging import Key, Keyset, Page, streamed
from services.catalog.networks import get_network
from services.pictures import visualizations
from services.pictures.visualizations import Visualization

_AT_ONCE = 200
_KEYSET = Keyset("atlas-entries", (int, int, int))
FIRST: Key = (-1, -1, -1)
"""Goes before the key of every entry."""
_PAGE = text("""
    SELECT layer_no, unit, facet, digest FROM atlas_entries
    WHERE atlas_no = :no AND (layer_no, unit, facet) > (:layer, :unit, :facet)
    AND since <= :number AND (until IS NULL OR until > :number)
    ORDER BY layer_no, unit, facet LIMIT :most
""")


@dataclass(frozen=True)
class Entry:
    """A picture of an atlas. `layer_no` is the atlas's own number of the layer; `facet` is its seed, or that
    of the first of its candidates."""

    layer_no: int
    facet: int
    visualization: Visualization

    @property
    def key(self) -> Key:
        """Its place among the entries of a version."""
        return (self.layer_no, self.visualization.objective.unit, self.facet)


@dataclass(frozen=True)
class Entries:
    """The entries of one version, layer by layer, unit by unit. `number` is the version's, `shows` as in its
    row, `class_labels` are the names of the classes that predictions are about."""

    number: int
    shows: int
    published: bool
    atlas_no: int
    class_labels: Sequence[str]

    def read(self, session: Session, after: Key, most: int) -> list[Entry]:
        """Up to so many entries that follow the one of this key."""
        layer, unit, facet = after
        place = {"no": self.atlas_no, "layer": layer, "unit": unit, "facet": facet}
        rows = session.execute(_PAGE, {**place, "number": self.shows, "most": most}).all()
        known = visualizations.of_digests(session, [row.digest for row in rows])
        return [Entry(row.layer_no, row.facet, known[row.digest]) for row in rows]

    @property
    def digests(self) -> sa.Select[str]:
        """A statement that gives the digests of all of them."""
        row = AtlasEntryRow
        until = sa.or_(row.until.is_(None), row.until > self.shows)
        return sa.select(row.digest).where(row.atlas_no == self.atlas_no, row.since <= self.shows, until)

    def page(self, session: Session, cursor: str | None, limit: int) -> Page[Entry]:
        """Raises `Invalid` for a wrong cursor or limit."""

        def read(after: Key | None, most: int) -> Sequence[Entry]:
            return self.read(session, after or FIRST, most)

        return _KEYSET.page(cursor, limit, read, lambda entry: entry.key)

    def after(self, cursor: str | None) -> Key:
        """The key that a cursor stands behind. Raises `Invalid` for a wrong one."""
        return FIRST if cursor is None else _KEYSET.key_in(cursor)

    def all(self, database: Database, after: Key = FIRST) -> Iterator[Entry]:
        """Every entry after that one, as `paging.streamed` reads."""
        return streamed(database, self.read, after, lambda entry: entry.key, at_once=_AT_ONCE)


def entries_of(session: Session, id: str, version: str, *, by: Principal | None = None) -> Entries:
    """The entries of a version of an atlas: see `atlases.version_row`. Raises `NotFound`."""
    row = atlas_row(session, id, by)
    found = version_row(session, row, version)
    labels = get_network(session, row.network_id).labels
    return Entries(found.number, found.shows, found.published_at is not None, row.no, labels)
