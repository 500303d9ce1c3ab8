"""What a request wants to see in a grid, and the order of its units, kept for whoever comes or scrolls on."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from api.auth import reader
from api.context import context
from services.atlases import atlases
from services.grids import kept_orders, orders
from services.grids.kept_orders import Window
from services.grids.orders import By, Wanted, packed
from services.grids.subjects import Subject, of_best, of_version

SORTED_AT_ONCE = 10_000
"""Units of a layer that are shown the strongest first where nothing else is asked for."""


def subject(session: Session, network: str, layer: str, atlas: str | None, version: str | None) -> Subject:
    """A layer in a version of an atlas that the reader sees, or by the best picture of each unit."""
    if atlas is None:
        return of_best(session, network, layer)
    return of_version(session, network, layer, atlas, version or atlases.LATEST, by=reader())


def window_of(session: Session, shown: Subject, wanted: Wanted, start: int, most: int) -> Window:
    """`most` units of the order wanted, from the page of so many on that has the place `start`, the last one
    where there are fewer. Raises as `orders.order` does.

    Of a large layer no more is read than that.
    """
    if kept_orders.is_kept(shown, wanted):
        # What is not of the layer is left out before: all its units are in such an order.
        at = min(start, len(shown.units) - 1) // most * most
        if (found := kept_orders.window(session, shown, wanted, at, most)) is not None:
            if found.is_due:
                _renew_aside(shown, wanted)
            return found
    units = _order_of(session, shown, wanted)
    at = min(start, max(len(units) - 1, 0)) // most * most
    return Window(units[at : at + most], len(units), at)


def order_bytes(session: Session, shown: Subject, wanted: Wanted) -> bytes:
    """All of the order as unsigned integers of 32 bits, the least significant byte first. Raises as
    `orders.order` does."""
    kept = kept_orders.whole(session, shown, wanted) if kept_orders.is_kept(shown, wanted) else None
    if kept is None:
        return packed(_order_of(session, shown, wanted))
    units, is_due = kept
    if is_due:
        _renew_aside(shown, wanted)
    return units


def _renew_aside(shown: Subject, wanted: Wanted) -> None:
    """Have the order computed anew while nobody waits for it."""
    database, place = context().database, shown.place
    assert place is not None

    def renew() -> None:
        with database.session() as session:
            kept_orders.renew(session, shown, wanted)

    context().aside.do((place.atlas_no, place.layer_no, place.number, wanted), renew)


def _order_of(session: Session, shown: Subject, wanted: Wanted) -> Sequence[int]:
    """The units in the order wanted.

    Kept for a version of an atlas, as long as none of its pictures ends: in the database, or in this process
    where there may be very many (by each label, say). Whether somebody may see the atlas was settled by who
    made the subject.
    """
    if wanted.is_plain or shown.place is None:
        return orders.order(session, shown, wanted)
    if kept_orders.is_kept(shown, wanted):
        found = orders.order(session, shown, wanted)
        kept_orders.keep(session, shown, wanted, found)
        return found
    # What a label means, and where photographs stand, is the network's and the scan's.
    about = (shown.place, shown.network.inspected_at, shown.watched and shown.watched.basis, wanted)
    known = context().orders.get(about)
    if known is not None:
        return known
    found = orders.order(session, shown, wanted)
    if wanted.like is None:  # what is not indexed yet will be in a moment
        context().orders.put(about, found, 4 * len(found))
    return found


def default_order(session: Session, shown: Subject, facet: int) -> By:
    """The strongest first, but by number where it would take long to sort them, or where nobody has looked at
    a layer that is being built: they are sorted for whoever comes next."""
    if len(shown.units) > SORTED_AT_ONCE or not orders.can_order(shown):
        return By.INDEX
    wanted = Wanted(By.ACTIVATION, facet)
    if kept_orders.is_kept(shown, wanted) and not kept_orders.is_there(session, shown, wanted):
        _renew_aside(shown, wanted)
        return By.INDEX
    return By.ACTIVATION
