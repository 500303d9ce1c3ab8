"""Publish the open version of an atlas: from then on it never changes, and the next one is being built.

Pictures that are not there yet move on to the next version; those that are, are shared by both.
"""

from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.access.keys import Principal
from services.atlases.creation import open_version
from services.atlases.progress import Version, version_view
from services.atlases.tables import AtlasRow, AtlasVersionRow
from services.atlases.visibility import atlas_to_change
from services.base.errors import Conflict
from services.sheets.subjects import plan_version

_LAST_VERSION = 32_767
_UNLIMITED = text("SET LOCAL statement_timeout = 0")
# One statement sees one moment. What is done or unreachable stays so for ever.
_MOVE_ON = text("""
    UPDATE atlas_entries e SET since = :number + 1
    FROM visualizations v
    WHERE e.atlas_no = :no AND e.since = :number AND e.until IS NULL
    AND v.digest = e.digest AND v.state NOT IN ('done', 'unreachable')
""")
_ANYTHING_NEW = text("""
    SELECT FROM atlas_entries e JOIN visualizations v ON v.digest = e.digest
    WHERE e.atlas_no = :no AND e.since = :number AND v.state IN ('done', 'unreachable') LIMIT 1
""")
_COUNTS = text("""
    SELECT e.layer_no, count(*) FILTER (WHERE v.state = 'done') AS pictures,
        count(*) FILTER (WHERE v.state = 'unreachable') AS unreachable, count(DISTINCT e.unit) AS shown_units
    FROM atlas_entries e JOIN visualizations v ON v.digest = e.digest
    WHERE e.atlas_no = :no AND e.since <= :number AND (e.until IS NULL OR e.until > :number)
    GROUP BY e.layer_no
""")
_LAYERS = text("""
    SELECT layer_no, layer, ordinal, units, unit_count, facets, making FROM atlas_layers
    WHERE atlas_no = :no ORDER BY ordinal, layer_no
""")


def publish(session: Session, id: str, *, by: Principal | None = None) -> tuple[AtlasRow, Version]:
    """Freeze the open version and open the next one, in the caller's transaction. `by` is who asks, None for
    the operator of the service.

    Raises `NotFound`, `Forbidden` for another's atlas, or `Conflict` where nothing is done that the version
    before does not have.
    """
    row = atlas_to_change(session, id, by)
    version = open_version(session, row.no)
    here = {"no": row.no, "number": version.number}
    if session.execute(_ANYTHING_NEW, here).first() is None:
        since = f"since version {version.number - 1}" if version.number > 1 else "yet"
        raise Conflict(f"No picture of the atlas {id} was finished {since}; there is nothing to publish.")
    if version.number == _LAST_VERSION:
        raise Conflict(f"The atlas {id} has {_LAST_VERSION} versions; it can have no more.")
    # An atlas of a million units takes some seconds.
    session.execute(_UNLIMITED)
    session.execute(_MOVE_ON, here)
    freeze(session, row, version)
    return row, version_view(version)


def counts_of(session: Session, atlas_no: int, number: int) -> dict[int, Any]:
    """By the numbers of its layers, what a version has: pictures, unreachable, shown_units."""
    here = {"no": atlas_no, "number": number}
    return {found.layer_no: found for found in session.execute(_COUNTS, here)}


def freeze(session: Session, row: AtlasRow, version: AtlasVersionRow) -> None:
    """Write down what the open version has, which is all done or unreachable, open the next one, and have the
    sheets of the former made."""
    now = session.execute(text("SELECT now()")).scalar_one()
    counts = counts_of(session, row.no, version.number)
    version.published_at, version.layers = (
        now,
        [
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
                "pictures": counts[layer.layer_no].pictures,
                "unreachable": counts[layer.layer_no].unreachable,
                "shown_units": counts[layer.layer_no].shown_units,
            }
            for layer in session.execute(_LAYERS, {"no": row.no})
            if layer.layer_no in counts
        ],
    )
    session.flush()
    session.add(
        AtlasVersionRow(
            atlas_no=row.no,
            number=version.number + 1,
            request=version.request,
            network_sha256=version.network_sha256,
            generator_id=version.generator_id,
        )
    )
    session.flush()
    shown = [layer["layer_no"] for layer in version.layers if layer["pictures"]]
    plan_version(session, row.id, version.number, shown)
