"""Pause, resume, cancel, extend, retry, rename and delete atlases.

Each notes what is wanted, in the caller's transaction; workers carry it out (`services.atlases.building`),
so ring the doorbell after the commit. `by` is who asks, None for the operator of the service. All raise
`NotFound`, or `Forbidden` for another's atlas.
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.access.keys import Principal
from services.atlases import progress, subjects
from services.atlases.atlas_estimates import check_room_for_extension
from services.atlases.atlas_request import AtlasChange, AtlasExtension
from services.atlases.extensions import carry_out, check_current, plan_extension
from services.atlases.tables import AtlasRow
from services.atlases.visibility import atlas_to_change
from services.base.errors import Conflict
from services.base.states import AtlasState, AtlasWish

_ANY_FAILED = text("SELECT FROM jobs WHERE atlas_no = :no AND failed > 0 LIMIT 1")


def pause(session: Session, id: str, *, by: Principal | None = None) -> AtlasRow:
    """Begin nothing new of it; what is being computed ends. Pausing again changes nothing.

    `Conflict` for one that was canceled, or that is complete.
    """
    row = _changing(session, id, by)
    if row.wish == AtlasWish.CANCEL:
        raise Conflict(f"The atlas {id} was canceled; there is nothing to pause.")
    _check_goes_on(session, row, "pause")
    row.wish = AtlasWish.PAUSE
    return row


def cancel(session: Session, id: str, *, by: Principal | None = None) -> AtlasRow:
    """Want no more of it than is done. Canceling again changes nothing.

    `Conflict` for one that is complete.
    """
    row = _changing(session, id, by)
    _check_goes_on(session, row, "cancel")
    row.wish = AtlasWish.CANCEL
    return row


def resume(session: Session, id: str, *, by: Principal | None = None) -> AtlasRow:
    """Go on with one that was paused or canceled. `Conflict` where the network has other weights now."""
    row = _changing(session, id, by)
    check_current(session, row)
    row.wish = AtlasWish.BUILD
    return row


def retry(session: Session, id: str, *, by: Principal | None = None) -> AtlasRow:
    """Queue what failed again, with all its attempts. `Conflict` where nothing has failed, while it is paused
    or canceled, or where the network has other weights now.
    """
    row = _changing(session, id, by)
    check_current(session, row)
    if row.wish != AtlasWish.BUILD:
        raise Conflict(f"The atlas {id} is not being built; resume it first: POST /v1/atlases/{id}/resume.")
    if session.execute(_ANY_FAILED, {"no": row.no}).first() is None:
        raise Conflict(f"Nothing of the atlas {id} has failed.")
    row.retry_after = ""
    return row


def extend(
    session: Session,
    id: str,
    extension: AtlasExtension,
    *,
    by: Principal | None = None,
    room: int | None,
) -> AtlasRow:
    """Add layers, units or facets. What is wanted of it stays: one that is paused or canceled waits for
    `resume` with what is added, too. `room`: bytes that the store has left, None where nobody knows.

    Raises `Invalid` for wrong fields and for what would take something away, `Conflict` where the network has
    other weights now, or where the store plainly lacks the room.
    """
    row = _changing(session, id, by)
    planned = plan_extension(session, row, extension)
    check_room_for_extension(session, planned, room)
    carry_out(session, row, planned)
    return row


def change(session: Session, id: str, asked: AtlasChange, *, by: Principal | None = None) -> AtlasRow:
    """Give it another name or other readers."""
    row = atlas_to_change(session, id, by)
    row.name = asked.name or row.name
    row.visibility = asked.visibility or row.visibility
    return row


def delete(session: Session, id: str, *, by: Principal | None = None) -> None:
    """Nobody sees it from the commit on; its rows go little by little. Its pictures stay, and its idempotency
    key is free for another one. An import that goes on ends so, too.
    """
    row = _changing(session, id, by, or_import=True)
    row.wish, row.idempotency_key = AtlasWish.DELETE, None


def _check_goes_on(session: Session, row: AtlasRow, verb: str) -> None:
    """Raises `Conflict` for an atlas that is complete: it would be said to lack what it has."""
    if progress.states(session, [row])[row.no] == AtlasState.COMPLETE:
        raise Conflict(f"The atlas {row.id} is complete; there is nothing to {verb}.")


def _changing(session: Session, id: str, by: Principal | None, *, or_import: bool = False) -> AtlasRow:
    # Workers lock what is planned before the atlas. What is planned for an atlas that there is not, or that
    # is another's, is undone with the transaction.
    subjects.plan(session, id)
    return atlas_to_change(session, id, by, or_import=or_import)
