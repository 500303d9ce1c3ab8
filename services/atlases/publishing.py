"""Publish the open version of an atlas: from then on it never changes, and the next one is being built.

Entries whose pictures are not finished move on to the next version; both versions share the finished ones.
All entries must be read for that, so a request only notes that publishing is wanted (`publish`), and it is
carried out in slices (`publish_slice`), each a short transaction under the lock of the atlas. Until the last
slice, no other step of the atlas is taken, so that no entry is added, and the version is still the open one,
which also shows the entries that have moved on.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.access.keys import Principal
from services.atlases import subjects
from services.atlases.building.choosing import choose
from services.atlases.progress import AtlasView, Version
from services.atlases.tables import AtlasRow, AtlasVersionRow
from services.atlases.versions import candidates_of, open_version
from services.atlases.visibility import atlas_to_change
from services.base.database import Database
from services.base.errors import Conflict
from services.base.states import AtlasWish
from services.exports import subjects as exports
from services.grids import kept_orders
from services.maps import subjects as maps
from services.sheets.subjects import plan_version

SLICE = 10_000
"""Entries of one transaction, about: a unit's facets stay together."""
_LAST_VERSION = 32_766
_LARGEST = 2**31 - 1
_FINISHED = text("SELECT coalesce(sum(done + unreachable), 0) FROM jobs WHERE atlas_no = :no")
# Of an atlas whose jobs count candidates, too: what only the open version has, or may soon have.
_NEW_ENTRY = text("""
    SELECT EXISTS (
        SELECT FROM jobs WHERE atlas_no = :no AND undecided AND finished_at IS NOT NULL
    ) OR EXISTS (
        SELECT FROM atlas_entries e JOIN visualizations v ON v.digest = e.digest
        WHERE e.atlas_no = :no AND e.since = :number AND e.until IS NULL
        AND v.state IN ('done', 'unreachable')
    )
""")
_ENDED_SINCE = text("""
    SELECT EXISTS (
        SELECT FROM jobs JOIN atlases ON atlases.no = jobs.atlas_no
        WHERE atlases.id = :id AND jobs.finished_at > :moment
    )
""")
_PUBLISHED = text("""
    SELECT layers FROM atlas_versions WHERE atlas_no = :no AND published_at IS NOT NULL
    ORDER BY number DESC LIMIT 1
""")
_NEXT_UNIT = text("""
    SELECT unit FROM atlas_entries WHERE atlas_no = :no AND layer_no = :layer AND unit > :after
    ORDER BY unit, facet, since OFFSET :most LIMIT 1
""")
# One statement sees one moment. What is done or unreachable never changes again.
_MOVE_ON = text("""
    UPDATE atlas_entries e SET since = :number + 1
    FROM visualizations v
    WHERE e.atlas_no = :no AND e.layer_no = :layer AND e.unit > :after AND e.unit <= :last
    AND e.since = :number AND e.until IS NULL
    AND v.digest = e.digest AND v.state NOT IN ('done', 'unreachable')
""")
_COUNT = """
    SELECT {layer} count(*) FILTER (WHERE v.state = 'done') AS pictures,
        count(*) FILTER (WHERE v.state = 'unreachable') AS unreachable, count(DISTINCT e.unit) AS shown_units
    FROM atlas_entries e JOIN visualizations v ON v.digest = e.digest
    WHERE e.atlas_no = :no AND e.since <= :number AND (e.until IS NULL OR e.until > :number)
"""
_COUNTS = text(_COUNT.format(layer="e.layer_no,") + "GROUP BY e.layer_no")
_COUNT_SOME = text(
    _COUNT.format(layer="") + "AND e.layer_no = :layer AND e.unit > :after AND e.unit <= :last"
)
_LAYERS = text("""
    SELECT layer_no, layer, ordinal, units, unit_count, facets, making FROM atlas_layers
    WHERE atlas_no = :no ORDER BY ordinal, layer_no
""")
_COUNTED = ("pictures", "unreachable", "shown_units")


def publish(session: Session, id: str, *, by: Principal | None = None) -> tuple[AtlasRow, AtlasVersionRow]:
    """Note that the open version is to be published, in the caller's transaction; after the commit, ring the
    doorbell or carry it out with `publish_at_once`. Returns the version as it is: open until all is done.
    Asked for again meanwhile, nothing changes. `by` is who asks, None for the operator of the service.

    Raises `NotFound`, `Forbidden` for another's atlas, or `Conflict` where nothing is done that the version
    before does not have.
    """
    # Workers lock what is planned before the atlas.
    subjects.plan(session, id)
    row = atlas_to_change(session, id, by)
    version = open_version(session, row.no)
    if version.publishing is not None:
        return row, version
    if not _anything_new(session, version):
        since = f"since version {version.number - 1}" if version.number > 1 else "yet"
        raise Conflict(f"No picture of the atlas {id} was finished {since}; there is nothing to publish.")
    if version.number >= _LAST_VERSION:
        raise Conflict(f"The atlas {id} has {_LAST_VERSION} versions; it can have no more.")
    nothing = dict.fromkeys(_COUNTED, 0)
    layers = [{**layer, **nothing} for layer in _layers(session, row.no)]
    version.publishing = {"request": version.request, "layers": layers, "at": 0, "after": -1}
    return row, version


def may_have_news(session: Session, found: AtlasView, published: Version | None) -> bool:
    """Whether there may be something to publish that the newest published version does not have. Counters
    tell it: no entry is looked at, so that pages may ask.
    """
    finished = found.pictures.done + found.pictures.unreachable
    if published is None or published.layers is None:
        return finished > 0
    shown = sum(int(layer["pictures"]) + int(layer["unreachable"]) for layer in published.layers)
    candidates = candidates_of(found.open.request)
    if finished > shown * candidates or candidates == 1:
        return finished > shown * candidates
    # Of what was published with some of its candidates a better one may have come.
    since = {"id": found.id, "moment": published.published_at}
    return bool(session.execute(_ENDED_SINCE, since).scalar_one())


def publish_slice(session: Session, row: AtlasRow, version: AtlasVersionRow) -> None:
    """Go on publishing an atlas, whose row the caller has locked: the next entries, or the end of it."""
    assert version.publishing is not None
    if version.publishing["at"] == 0 and version.publishing["after"] == -1 and choose(session, row, version):
        return
    layers, at, after = (version.publishing[name] for name in ("layers", "at", "after"))
    if at == len(layers):
        asked, version.publishing = version.publishing["request"], None
        freeze(session, row, version, layers, asked)
        return
    layer = layers[at]
    place = {"no": row.no, "layer": layer["layer_no"], "after": after}
    last = session.execute(_NEXT_UNIT, {**place, "most": SLICE}).scalar()
    part = {**place, "last": _LARGEST if last is None else last, "number": version.number}
    session.execute(_MOVE_ON, part)
    counts = session.execute(_COUNT_SOME, part).one()
    layers[at] = {**layer, **{name: layer[name] + getattr(counts, name) for name in _COUNTED}}
    if last is None and layers[at]["shown_units"]:
        # All that the version will have of the layer is settled.
        kept_orders.make(session, row.network_id, layer["layer"], row.id, version.number)
    after, at = (-1, at + 1) if last is None else (last, at)
    version.publishing = {**version.publishing, "layers": layers, "at": at, "after": after}


def publish_at_once(database: Database, atlas_id: str, *, seconds: float) -> None:
    """Carry out what `publish` has noted for so many seconds at most: workers do the rest."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with database.session() as session:
            locking = sa.select(AtlasRow).where(AtlasRow.id == atlas_id).with_for_update(key_share=True)
            row = session.scalars(locking).first()
            if row is None or row.wish == AtlasWish.DELETE:
                return
            version = open_version(session, row.no)
            if version.publishing is None:
                return
            publish_slice(session, row, version)


def counts_of(session: Session, atlas_no: int, number: int) -> dict[int, Any]:
    """By the numbers of its layers, what a version has: pictures, unreachable, shown_units."""
    here = {"no": atlas_no, "number": number}
    return {found.layer_no: found for found in session.execute(_COUNTS, here)}


def counted(session: Session, atlas_no: int, counts: Mapping[int, Any]) -> list[dict[str, Any]]:
    """The layers of an atlas with such counts, as `freeze` wants them."""
    return [
        {**layer, **{name: getattr(counts[layer["layer_no"]], name) for name in _COUNTED}}
        for layer in _layers(session, atlas_no)
        if layer["layer_no"] in counts
    ]


def freeze(
    session: Session,
    row: AtlasRow,
    version: AtlasVersionRow,
    layers: Sequence[Mapping[str, Any]],
    asked: Mapping[str, Any] | None = None,
) -> None:
    """Write down what the open version has, which is all done or unreachable, open the next one, and have the
    sheets, the map and the export of the former made. `asked`: what it was asked for with, where more was
    asked for since."""
    next_request = version.request
    version.published_at = session.execute(text("SELECT now()")).scalar_one()
    version.layers = [dict(layer) for layer in layers if layer["shown_units"]]
    version.request = version.request if asked is None else dict(asked)
    session.flush()
    session.add(
        AtlasVersionRow(
            atlas_no=row.no,
            number=version.number + 1,
            request=next_request,
            network_sha256=version.network_sha256,
            generator_id=version.generator_id,
        )
    )
    session.flush()
    shown = [layer["layer_no"] for layer in version.layers if layer["pictures"]]
    plan_version(session, row.id, version.number, shown)
    if shown:
        maps.plan(session, maps.Mapped(row.id, version.number))
    exports.plan(session, exports.Exported(row.id, version.number))


def _layers(session: Session, atlas_no: int) -> list[dict[str, Any]]:
    """The layers as they are asked for now, without counts."""
    return [
        {
            "layer_no": layer.layer_no,
            "layer": layer.layer,
            "ordinal": layer.ordinal,
            "units": layer.units,
            "unit_count": layer.unit_count,
            "facets": layer.facets,
            "technique": layer.making["technique"],
            "parameters": layer.making["parameters"],
            "generator": layer.making["generator"],
        }
        for layer in session.execute(_LAYERS, {"no": atlas_no})
    ]


def _anything_new(session: Session, version: AtlasVersionRow) -> bool:
    """Whether more is finished than the newest published version has: the jobs of an atlas count every entry
    once, so no entry is looked at but where they count candidates.
    """
    place = {"no": version.atlas_no}
    if candidates_of(version.request) > 1:
        return bool(session.execute(_NEW_ENTRY, {**place, "number": version.number}).scalar_one())
    layers = session.execute(_PUBLISHED, place).scalar() or ()
    published = sum(layer["pictures"] + layer["unreachable"] for layer in layers)
    return bool(session.execute(_FINISHED, place).scalar_one() > published)
