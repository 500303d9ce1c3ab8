"""What a request wants to see in a grid, and the order of its units, kept for whoever scrolls on."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from api.auth import reader
from api.context import context
from services.atlases import atlases
from services.grids import orders
from services.grids.orders import By, Wanted, packed
from services.grids.subjects import Subject, of_best, of_version

SORTED_AT_ONCE = 10_000
"""Units of a layer that are shown the strongest first where nothing else is asked for."""


def subject(session: Session, network: str, layer: str, atlas: str | None, version: str | None) -> Subject:
    """A layer in a version of an atlas that the reader sees, or by the best picture of each unit."""
    if atlas is None:
        return of_best(session, network, layer)
    return of_version(session, network, layer, atlas, version or atlases.LATEST, by=reader())


def order_of(session: Session, shown: Subject, wanted: Wanted) -> Sequence[int]:
    """The units in the order wanted; raises as `orders.order` does.

    Kept for a version of an atlas, as long as none of its pictures ends. Whether somebody may see the atlas
    was settled by who made the subject.
    """
    if wanted.is_plain or shown.place is None:
        return orders.order(session, shown, wanted)
    # What a label means, and where photographs stand, is the network's and the scan's.
    about = (shown.place, shown.network.inspected_at, shown.watched and shown.watched.scan, wanted)
    kept = context().orders.get(about)
    if kept is not None:
        return kept
    found = orders.order(session, shown, wanted)
    if wanted.like is None:  # what is not indexed yet will be in a moment
        context().orders.put(about, found, 4 * len(found))
    return found


def order_bytes(session: Session, shown: Subject, wanted: Wanted) -> bytes:
    """The same as unsigned integers of 32 bits, the least significant byte first."""
    return packed(order_of(session, shown, wanted))


def default_order(shown: Subject) -> By:
    """The strongest first, but by number where it would take long to sort them."""
    quick = len(shown.units) <= SORTED_AT_ONCE and orders.can_order(shown)
    return By.ACTIVATION if quick else By.INDEX
