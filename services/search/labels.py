"""Units by what their networks say of their pictures: which of them say *volcano*?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from services.base.errors import Invalid, NotFound
from services.base.paging import Key, Keyset, Page
from services.base.states import State
from services.base.suggestions import nearest
from services.catalog.layers import get_layer
from services.catalog.networks import get_network
from services.catalog.tables import LayerRow, NetworkRow
from services.exemplars import percentiles
from services.pictures.tables import VisualizationRow
from services.search.tables import PictureLabelRow

CLEAR = 0.1
"""Least probability of a class by which a picture is called in a few words, as below it and on maps: of what
is no more probable than any other class one is the first, too."""
SUGGESTED = 8
LOOKED_AT = 800
"""Pictures of which a page asks how high they stand among real ones."""
_SPARE = 20
"""Pictures that are looked at beyond those that are asked for: some do not count."""
_DRAWN = 50 * SUGGESTED
"""Pictures of which some labels are taken: many pictures share a label, and to look at all takes long."""


@dataclass(frozen=True)
class Said:
    """A picture of a unit, and the class that its network sees in it with this probability; `rank` 1 is the
    most probable."""

    network: str
    layer: str
    unit: int
    digest: str
    label: str
    rank: int
    probability: float
    activation: float


def saying(
    session: Session,
    label: str,
    *,
    network: str | None = None,
    layer: str | None = None,
    hidden: bool | None = None,
    min_percentile: float | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Said]:
    """Units whose pictures are seen as `label`, each by the one that is most, the most probable first.

    `label` is the name of a class or one of its synonyms, in any case. `hidden`: only units of layers before
    the output for True, of the output for False. With `min_percentile` only pictures that excite their unit
    more than so many of 100 real ones; a page of these may be short. Raises `NotFound` for one that no
    network has, with those that it may mean, `Invalid` for a layer without a network, a cursor or a limit.
    """
    if network is not None:
        get_network(session, network)
    elif layer is not None:
        raise Invalid.field("/layer", "needs a network beside it")
    found = None if layer is None or network is None else get_layer(session, network, layer).name
    names = meant(session, label, network)

    def read(after: Key | None, most: int) -> Sequence[Said]:
        asked = most + _SPARE
        while True:
            # One ordered scan a name, merged: a list of names would have to be sorted.
            scans = [_scan(name, network, found, hidden, after, asked).subquery() for name in names]
            rows = session.execute(_judged(scans, asked, names)).all()
            said = [_said(row) for row in rows if row.counts]
            if len(said) >= most or len(rows) < asked:
                return said[:most]
            asked *= 4

    keyset = Keyset("saying", (float, str))
    if min_percentile is None:
        return keyset.page(cursor, limit, read, _key)

    def standing_high(rows: Sequence[Said]) -> Sequence[Said]:
        known = percentiles.of_pictures(session, [row.digest for row in rows])
        return [row for row in rows if known.get(row.digest, -1) >= min_percentile]

    if not percentiles.any_scan(session, None if network is None else [network]):
        return keyset.page(cursor, limit, lambda after, most: (), _key)
    return keyset.sifted(cursor, limit, read, _key, standing_high, LOOKED_AT)


def _scan(
    label: str,
    network: str | None,
    layer: str | None,
    hidden: bool | None,
    after: Key | None,
    most: int,
) -> sa.Select[*tuple[Any, ...]]:
    """Pictures that are said to be this, the most probable first, whether or not they count."""
    row = PictureLabelRow
    query = (
        sa.select(*row.__table__.columns)
        .where(row.label == label)
        .order_by(row.probability.desc(), row.digest)
        .limit(most)
    )
    if network is not None:
        query = query.where(row.network_id == network)
    if layer is not None:
        query = query.where(row.layer == layer)
    if hidden is not None:
        query = query.where(~_is_of_the_output() if hidden else _is_of_the_output())
    if after is not None:
        probability, digest = after
        query = query.where(
            row.probability <= probability, sa.or_(row.probability < probability, row.digest > digest)
        )
    return query


def _judged(scans: Sequence[sa.Subquery], most: int, names: Sequence[str]) -> sa.Select[*tuple[Any, ...]]:
    """The first of them in one order, each with whether it counts.

    That is asked of so many as were read and of no more: left to itself the planner, which takes few to
    count, asks it of all and sorts them then.
    """
    merged = sa.union_all(*(sa.select(scan) for scan in scans)).subquery()
    first = sa.select(merged).order_by(merged.c.probability.desc(), merged.c.digest).limit(most).subquery()
    row, picture = aliased(PictureLabelRow, first), VisualizationRow
    counts = sa.and_(_is_current(picture), ~_said_better(row, names))
    return (
        sa.select(first, picture.activation, counts.label("counts"))
        .join(picture, picture.digest == first.c.digest)
        .join(NetworkRow, NetworkRow.id == first.c.network_id)
        .order_by(first.c.probability.desc(), first.c.digest)
    )


def _said_better(row: type[PictureLabelRow], names: Sequence[str]) -> sa.Exists:
    """Whether the same unit is said to be any of these with a higher probability: by another of its pictures,
    or by the same one, which may have several labels that one word stands for."""
    other, picture = aliased(PictureLabelRow), aliased(VisualizationRow)
    return (
        sa.select(sa.literal(1))
        .select_from(picture)
        .join(other, other.digest == picture.digest)
        .where(picture.network_id == row.network_id, picture.layer == row.layer, picture.unit == row.unit)
        .where(picture.state == State.DONE, picture.network_sha256 == NetworkRow.spec_sha256)
        .where(other.label.in_(names))
        .where(
            sa.or_(
                other.probability > row.probability,
                sa.and_(
                    other.probability == row.probability,
                    sa.tuple_(other.digest, other.rank) < sa.tuple_(row.digest, row.rank),
                ),
            )
        )
        .correlate(row, NetworkRow)
        .exists()
    )


def _is_of_the_output() -> sa.Exists:
    """Whether it is of a unit that stands for a class itself."""
    row = PictureLabelRow
    of_layer = sa.and_(LayerRow.network_id == row.network_id, LayerRow.name == row.layer)
    return sa.exists().where(of_layer, LayerRow.kind == "output").correlate(row)


def _is_current(picture: type[VisualizationRow]) -> sa.ColumnElement[bool]:
    """Whether it is of the network as it is now: pictures of earlier inspections name another."""
    return picture.network_sha256 == NetworkRow.spec_sha256


def meant(session: Session, text: str, network: str | None = None) -> Sequence[str]:
    """The labels that a word stands for: those that are it, or have it among their synonyms.

    Raises `NotFound` where there are none, with those that may be meant.
    """
    labels = _labels(session, network)
    found = _named(labels, _plain(text))
    if not found:
        near = suggestions(labels, text)
        raise NotFound("label", text, f"There are: {'; '.join(near)}." if near else "")
    return found


def meant_of(labels: Sequence[str], text: str) -> Sequence[int]:
    """The places of the labels among these that a word stands for: as `meant` has it, else those with a word
    that begins so. Raises `NotFound` where there are none.
    """
    wanted = _plain(text)
    for found in (_named(labels, wanted), _beginning(labels, wanted)):
        if found:
            chosen = set(found)
            return [number for number, label in enumerate(labels) if label in chosen]
    near = suggestions(labels, text)
    raise NotFound("label", text, f"There are: {'; '.join(near)}." if near else "")


def beginning(session: Session, prefix: str, network: str | None = None) -> Sequence[str]:
    """Labels that a word may become: those that begin so, then those with a word that does."""
    if network is not None:
        get_network(session, network)
    return _beginning(_labels(session, network), _plain(prefix))[:SUGGESTED]


def near(session: Session, text: str, network: str | None = None) -> Sequence[str]:
    """Labels that may be meant by a word that is none."""
    return suggestions(_labels(session, network), text)


def some_labels(session: Session) -> Sequence[str]:
    """Some labels that units are found by: those of the first pictures that come, whichever these are. Not
    the numbers of classes without names, which are no labels to search for."""
    row = PictureLabelRow
    some = sa.select(row.label, row.network_id).where(row.rank == 1).limit(_DRAWN).subquery()
    label = some.c.label
    is_name = sa.or_(label.op("!~")("^[0-9]+$"), sa.func.jsonb_exists(NetworkRow.labels, label))
    query = sa.select(label).join(NetworkRow, NetworkRow.id == some.c.network_id).where(is_name)
    return session.scalars(query.group_by(label).order_by(sa.func.md5(label)).limit(SUGGESTED)).all()


def suggestions(labels: Sequence[str], text: str) -> Sequence[str]:
    """Labels that may be meant by one that there is not."""
    wanted = _plain(text)
    near = [*_beginning(labels, wanted), *nearest(wanted, labels[:5000])]
    return list(dict.fromkeys(near))[:SUGGESTED]


def _named(labels: Sequence[str], wanted: str) -> list[str]:
    return [label for label in labels if wanted in {_plain(label), *map(_plain, label.split(","))}]


def _beginning(labels: Sequence[str], wanted: str) -> list[str]:
    starts = [label for label in labels if _plain(label).startswith(wanted)]
    within = [label for label in labels if f" {wanted}" in _plain(label).replace(",", " ")]
    return list(dict.fromkeys([*starts, *within])) if wanted else []


def _labels(session: Session, network: str | None) -> Sequence[str]:
    """The names of all classes that the networks have."""
    each = sa.func.jsonb_array_elements_text(NetworkRow.labels).label("label")
    query = sa.select(each).distinct().order_by(each)
    if network is not None:
        query = query.where(NetworkRow.id == network)
    return session.scalars(query).all()


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _key(found: Said) -> Key:
    return [found.probability, found.digest]


def _said(row: Any) -> Said:
    return Said(
        row.network_id, row.layer, row.unit, row.digest, row.label, row.rank, row.probability, row.activation
    )


def clear_labels(session: Session, digests: Sequence[str]) -> Mapping[str, str]:
    """The class that each picture is called by; pictures that show none clearly are left out."""
    row = PictureLabelRow
    query = sa.select(row.digest, row.label).where(row.digest.in_(digests), row.rank == 1)
    rows = session.execute(query.where(row.probability >= CLEAR)) if digests else ()
    return {found.digest: found.label for found in rows}
