"""Remove an atlas little by little: its jobs, its entries, then itself. Its pictures stay, under their own
addresses, and with whatever else shows them."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.atlases.tables import AtlasRow
from services.comparison import removal
from services.jobs.withdrawal import withdraw
from services.maps import making as maps
from services.sheets import making

_AT_ONCE = 5_000
_JOB = text("SELECT id FROM jobs WHERE atlas_no = :no ORDER BY id LIMIT 1")
_REMOVE_JOB = text("DELETE FROM jobs WHERE id = :id")
_REMOVE_ENTRIES = text("""
    DELETE FROM atlas_entries WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM atlas_entries WHERE atlas_no = :no LIMIT :most
    )) RETURNING 1
""")


def delete_some(session: Session, row: AtlasRow) -> bool:
    """The next step of a removal, whose atlas the caller has locked; False when it is gone."""
    job = session.execute(_JOB, {"no": row.no}).scalar()
    if job is not None:
        # What a worker computes of it ends, and is kept as any picture is.
        withdraw(session, job)
        session.execute(_REMOVE_JOB, {"id": job})
        return True
    if session.execute(_REMOVE_ENTRIES, {"no": row.no, "most": _AT_ONCE}).first() is not None:
        return True
    if removal.remove_some(session, removal.of_atlas(row.no)):
        return True
    making.remove_of_atlas(session, row.no)
    maps.remove_of_atlas(session, row.no)
    session.delete(row)
    session.flush()
    return False
