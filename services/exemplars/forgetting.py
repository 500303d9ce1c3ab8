"""Removing what was found by scans that are gone, little by little: of a million units it is tens of millions
of rows, more than one statement of a request could remove.

No foreign key leads from these rows to `scans`: a scan goes at once, nobody finds them any more, and numbers
of scans are not given twice. Whoever collects what nothing points to removes them.
"""

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.database import Database
from services.exemplars.tables import FOUND, CropPackRow, ExemplarRow, UnitStatisticsRow

AT_ONCE = 20_000
"""Rows of one statement."""

_Found = type[ExemplarRow] | type[CropPackRow] | type[UnitStatisticsRow]


def forget_removed(database: Database, may_go_on: Callable[[], bool]) -> bool:
    """Remove some rows of scans that are gone, and more as long as `may_go_on` says so; True where some may
    be left."""
    while True:
        with database.session() as session:
            if not _forget_some(session):
                return False
        if not may_go_on():
            return True


def forget_some_of(session: Session, scan_no: int) -> bool:
    """Remove some of the rows of one scan; False where there were none."""
    return any(_remove(session, table, scan_no) for table in FOUND)


def _forget_some(session: Session) -> bool:
    for table in FOUND:
        scan_no = session.execute(_GONE[table]).scalar()
        if scan_no is not None:
            return _remove(session, table, scan_no)
    return False


def _remove(session: Session, table: _Found, scan_no: int) -> bool:
    session.execute(_BY_INDEX)
    removed = session.execute(_REMOVE[table], {"scan": scan_no, "most": AT_ONCE})
    return removed.first() is not None


def _gone(table: str) -> sa.TextClause:
    """A scan that is gone, of which there are rows: asks the primary key for one scan after the other, of
    which there are few, and reads no more than one row of each."""
    return text(f"""
        WITH RECURSIVE numbers (scan_no) AS (
            SELECT min(scan_no) FROM {table}
            UNION ALL
            SELECT (SELECT min(f.scan_no) FROM {table} f WHERE f.scan_no > n.scan_no)
            FROM numbers n WHERE n.scan_no IS NOT NULL
        )
        SELECT n.scan_no FROM numbers n
        WHERE n.scan_no IS NOT NULL AND NOT EXISTS (SELECT FROM scans WHERE scans.no = n.scan_no) LIMIT 1
    """)


# Else the planner may read the table from its beginning each time, past all that was removed before.
_BY_INDEX = text("""
    SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)
""")
_GONE = {table: _gone(table.__tablename__) for table in FOUND}
_REMOVE = {
    table: text(f"""
        DELETE FROM {table.__tablename__} WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM {table.__tablename__} WHERE scan_no = :scan LIMIT :most
        )) RETURNING 1
    """)
    for table in FOUND
}
