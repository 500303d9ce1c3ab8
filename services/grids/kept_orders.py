"""Orders of large layers, kept in the database: computed once, as a version of an atlas is published or
imported, else for who asks first. A page reads the part of one that it shows.

Of a version that is being built an order is due to be computed anew after some minutes; it is shown
meanwhile, since whoever comes need not wait for that."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.canonical import sha256_of
from services.base.errors import NotFound
from services.grids import orders
from services.grids.orders import By, Wanted
from services.grids.subjects import Subject, of_version

KEPT_FROM = 5_000
"""Units of a layer: fewer are sorted as quickly."""
AGAIN_SECONDS, LATE_SECONDS = 300, 3600
"""After how long an order of a version that is being built is due to be computed anew, if pictures of it have
ended, and after how long it tells nothing any more."""
_VERSION = 1
"""Part of what an order follows from: raise it when orders come out other."""
_KEPT = """
    atlas_no = :atlas_no AND layer_no = :layer_no AND number = :number AND facet = :facet
    AND ordered_by = :by AND basis = :basis
"""
_VALID = f"{_KEPT} AND (progress = :progress OR made_at > now() - make_interval(secs => {LATE_SECONDS}))"
_DUE = f"progress <> :progress AND made_at <= now() - make_interval(secs => {AGAIN_SECONDS})"
_PART = text(f"""
    SELECT octet_length(units) / 4 AS total, substring(units FROM 4 * :start + 1 FOR 4 * :most) AS part,
        {_DUE} AS is_due
    FROM grid_orders WHERE {_VALID}
""")
_WHOLE = text(f"SELECT units, {_DUE} AS is_due FROM grid_orders WHERE {_VALID}")
_IS_THERE = text(f"SELECT EXISTS (SELECT FROM grid_orders WHERE {_VALID})")
# Of several processes that find it due one computes it: the others wait here, and then it is due no more.
_TAKE = text(f"UPDATE grid_orders SET made_at = now() WHERE {_KEPT} AND {_DUE} RETURNING 1")
_KEEP = text("""
    INSERT INTO grid_orders (atlas_no, layer_no, number, facet, ordered_by, basis, progress, units)
    VALUES (:atlas_no, :layer_no, :number, :facet, :by, :basis, :progress, :units)
    ON CONFLICT (atlas_no, layer_no, number, facet, ordered_by) DO UPDATE
    SET basis = EXCLUDED.basis, progress = EXCLUDED.progress, units = EXCLUDED.units, made_at = now()
""")


@dataclass(frozen=True)
class Window:
    """Some of the units that a grid shows, of `total`, from the place `start` on. `is_due`: their order is to
    be computed anew."""

    units: Sequence[int]
    total: int
    start: int
    is_due: bool = False


def is_kept(subject: Subject, wanted: Wanted) -> bool:
    """Whether such an order is kept: of all units of a large layer, by what does not change by itself."""
    is_of_all = wanted.kind is None and wanted.label is None and wanted.like is None
    is_large = len(subject.units) >= KEPT_FROM and orders.can_order(subject)
    return subject.place is not None and is_of_all and wanted.by != By.INDEX and is_large


def window(session: Session, subject: Subject, wanted: Wanted, start: int, most: int) -> Window | None:
    """Units from the place `start` on, None where the order is not there."""
    found = session.execute(_PART, {**_key(subject, wanted), "start": start, "most": most}).first()
    return None if found is None else Window(orders.unpacked(found.part), found.total, start, found.is_due)


def whole(session: Session, subject: Subject, wanted: Wanted) -> tuple[bytes, bool] | None:
    """All of an order as it is sent, and whether it is to be computed anew; None where it is not there."""
    found = session.execute(_WHOLE, _key(subject, wanted)).first()
    return None if found is None else (found.units, found.is_due)


def is_there(session: Session, subject: Subject, wanted: Wanted) -> bool:
    """Whether the order need not be waited for."""
    return bool(session.execute(_IS_THERE, _key(subject, wanted)).scalar_one())


def renew(session: Session, subject: Subject, wanted: Wanted) -> None:
    """Compute an order and keep it, if it is not there or is due."""
    is_due = session.execute(_TAKE, _key(subject, wanted)).first() is not None
    if is_due or not is_there(session, subject, wanted):
        keep(session, subject, wanted, orders.order(session, subject, wanted))


def keep(session: Session, subject: Subject, wanted: Wanted, units: Sequence[int]) -> None:
    """Keep an order that was computed."""
    session.execute(_KEEP, {**_key(subject, wanted), "units": orders.packed(units)})


def make(session: Session, network: str, layer: str, atlas: str, number: int) -> None:
    """Compute and keep what readers will ask for first of a layer of a version that is to be published, or
    was, and whose pictures have all ended: of its first facet every order, of the others the strongest first.
    Nothing of a layer that the network has no more."""
    try:
        subject = of_version(session, network, layer, atlas, str(number), by=None)
    except NotFound:
        return
    assert subject.place is not None
    subject = replace(subject, place=replace(subject.place, progress=()))
    wanted = [Wanted(by=by) for by in orders.possible(subject)]
    wanted += [Wanted(By.ACTIVATION, facet) for facet in range(1, subject.facets)]
    for each in wanted:
        if is_kept(subject, each):
            keep(session, subject, each, orders.order(session, subject, each))


def _key(subject: Subject, wanted: Wanted) -> dict[str, Any]:
    place, inspected = subject.place, subject.network.inspected_at
    assert place is not None
    basis = {
        "version": _VERSION,
        "units": len(subject.units),
        "inspected": inspected and inspected.isoformat(),
        "scan": subject.watched and subject.watched.basis,
    }
    return {
        "atlas_no": place.atlas_no,
        "layer_no": place.layer_no,
        "number": place.number,
        "facet": wanted.facet,
        "by": wanted.by,
        "basis": sha256_of(basis),
        "progress": " ".join(map(str, place.progress)),
    }
