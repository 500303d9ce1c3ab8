"""Read atlases and their versions. `by` is who asks, None for the operator of the service."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.access.keys import Principal
from services.atlases import progress
from services.atlases.progress import AtlasView, Version, version_view
from services.atlases.tables import AtlasRow, AtlasVersionRow
from services.atlases.visibility import atlas_row, seen_by
from services.base.errors import Invalid, NotFound
from services.base.paging import Page, page_of

LATEST, OPEN = "latest", "open"


@dataclass(frozen=True)
class ChoosableAtlas:
    """An atlas with the numbers of its newest published version, None before the first, and of the open one.
    `is_built`: pictures of that are to come."""

    id: str
    name: str
    network: str
    latest: int | None
    open: int
    is_built: bool


def get(session: Session, id: str, *, by: Principal | None = None) -> AtlasView:
    """The atlas as it stands. Raises `NotFound`, also for one that `by` does not see."""
    return progress.views(session, [atlas_row(session, id, by)])[0]


def shown(session: Session, row: AtlasRow) -> AtlasView:
    """The same of a row."""
    session.flush()
    return progress.views(session, [row])[0]


def list(
    session: Session,
    *,
    by: Principal | None = None,
    network: str | None = None,
    owner: str | None = None,
    name: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[AtlasView]:
    """Those that `by` sees, the newest first; of one network, of one owner, of one name.

    Raises `Invalid` for a wrong cursor or limit.
    """
    query = sa.select(AtlasRow).where(seen_by(by))
    for column, wanted in (
        (AtlasRow.network_id, network),
        (AtlasRow.owner_key_id, owner),
        (AtlasRow.name, name),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    rows = page_of(session, query, AtlasRow.id, name="atlases", cursor=cursor, limit=limit, descending=True)
    return Page(tuple(progress.views(session, rows.data)), rows.next_cursor)


def to_choose_from(session: Session, *, by: Principal | None, limit: int) -> Sequence[ChoosableAtlas]:
    """The newest atlases that `by` sees."""
    version = AtlasVersionRow
    published = (
        sa.select(sa.func.max(version.number))
        .where(version.atlas_no == AtlasRow.no, version.published_at.is_not(None))
        .scalar_subquery()
    )
    open_number = (
        sa.select(version.number)
        .where(version.atlas_no == AtlasRow.no, version.published_at.is_(None))
        .scalar_subquery()
    )
    query = sa.select(AtlasRow, published, open_number).where(seen_by(by)).order_by(AtlasRow.id.desc())
    found = session.execute(query.limit(limit)).all()
    states = progress.states(session, [row for row, _, _ in found])
    return [
        ChoosableAtlas(row.id, row.name, row.network_id, latest, open, states[row.no] in progress.GOING_ON)
        for row, latest, open in found
    ]


def made_with(session: Session, generator: str, *, by: Principal | None, limit: int) -> Sequence[AtlasView]:
    """Atlases that `by` sees and some version of which is made with a generator, the newest first."""
    theirs = sa.select(AtlasVersionRow.atlas_no).where(AtlasVersionRow.generator_id == generator)
    query = sa.select(AtlasRow).where(seen_by(by), AtlasRow.no.in_(theirs)).order_by(AtlasRow.id.desc())
    return progress.views(session, session.scalars(query.limit(limit)).all())


def to_show_first(session: Session, network: str, *, by: Principal | None = None) -> AtlasView | None:
    """The atlas of a network that is shown to `by` who names none: the newest that was published, else the
    newest; None without one. What is being tried out does not take the place of what is finished.
    """
    published = sa.exists().where(
        AtlasVersionRow.atlas_no == AtlasRow.no, AtlasVersionRow.published_at.is_not(None)
    )
    query = (
        sa.select(AtlasRow)
        .where(seen_by(by), AtlasRow.network_id == network)
        .order_by(published.desc(), AtlasRow.id.desc())
    )
    row = session.scalars(query.limit(1)).first()
    return None if row is None else progress.views(session, [row])[0]


def versions(
    session: Session, id: str, *, by: Principal | None = None, cursor: str | None = None, limit: int = 50
) -> Page[Version]:
    """Versions of an atlas, the newest first: the open one, then those that were published."""
    row = atlas_row(session, id, by)
    query = sa.select(AtlasVersionRow).where(AtlasVersionRow.atlas_no == row.no)
    number = AtlasVersionRow.number
    page = page_of(session, query, number, name="versions", cursor=cursor, limit=limit, descending=True)
    return page.map(version_view)


def version_row(session: Session, row: AtlasRow, named: str) -> AtlasVersionRow:
    """The version of a number, the `open` one, or the `latest` that was published: the open one where none
    was. Raises `NotFound`, or `Invalid` for what is none of these.
    """
    query = sa.select(AtlasVersionRow).where(AtlasVersionRow.atlas_no == row.no)
    newest = query.order_by(AtlasVersionRow.number.desc())
    if named == OPEN:
        query = query.where(AtlasVersionRow.published_at.is_(None))
    elif named == LATEST:
        query = newest.order_by(None).order_by(
            AtlasVersionRow.published_at.is_(None), AtlasVersionRow.number.desc()
        )
    elif named.isascii() and named.isdigit() and len(named) < 6:
        # As an integer: what has five digits may be more than the column can hold.
        query = query.where(AtlasVersionRow.number == sa.literal(int(named), sa.Integer))
    else:
        raise Invalid.field("/version", f"must be a number, {LATEST!r} or {OPEN!r}; got {named!r}")
    found = session.scalars(query.limit(1)).first()
    if found is None:
        last = session.scalars(newest.limit(1)).one().number
        raise NotFound("version", named, f"The atlas {row.id} has 1 to {last}.")
    return found


def version(session: Session, id: str, named: str, *, by: Principal | None = None) -> Version:
    """A version of an atlas. Raises as `version_row` does."""
    return version_view(version_row(session, atlas_row(session, id, by), named))


def layers(session: Session, id: str, *, by: Principal | None = None) -> Sequence[progress.AtlasLayer]:
    """The layers of an atlas as it is being built, in the order of the network."""
    return progress.layers(session, atlas_row(session, id, by))
