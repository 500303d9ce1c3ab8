"""Let everybody see an atlas whose entries have all been imported: as a version that is published."""

import time

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.canonical import sha256_of
from services.atlases.publishing import counted, counts_of, freeze
from services.atlases.tables import AtlasLayerRow, AtlasRow, AtlasVersionRow
from services.atlases.versions import open_version
from services.base.database import Database
from services.base.errors import Invalid
from services.base.ids import new_id
from services.base.states import AtlasWish, JobState, Lane
from services.exports.manifest import AtlasManifest
from services.grids import kept_orders
from services.jobs.tables import JobRow

_BEYOND = text("""
    SELECT l.layer, max(e.unit) AS unit FROM atlas_entries e JOIN atlas_layers l USING (atlas_no, layer_no)
    JOIN layers found ON found.network_id = :network AND found.name = l.layer
    WHERE e.atlas_no = :no GROUP BY l.layer, found.units HAVING max(e.unit) >= found.units LIMIT 1
""")


def complete(session: Session, row: AtlasRow, manifest: AtlasManifest) -> None:
    """Publish the atlas, whose row the caller has locked. Raises `Invalid` where the entries are not those
    that the manifest counts.

    Each layer gets a job that has ended, since the progress of an atlas is told by its jobs. Where the
    version was published before it was complete, what it lacks is not wanted until someone resumes it.
    """
    # Counting a million entries takes some seconds.
    session.execute(text("SET LOCAL statement_timeout = 0"))
    version = open_version(session, row.no)
    if (beyond := session.execute(_BEYOND, {"no": row.no, "network": row.network_id}).first()) is not None:
        raise Invalid.field("/entries", f"show unit {beyond.unit} of {beyond.layer}, which has none")
    counts = counts_of(session, row.no, version.number)
    whole = True
    now = session.execute(text("SELECT now()")).scalar_one()
    for layer_no, layer in enumerate(manifest.layers):
        found = counts.get(layer_no)
        if found is None or (found.pictures, found.unreachable) != (layer.pictures, layer.unreachable):
            raise Invalid.field("/entries", f"are not those that the manifest counts of {layer.layer}")
        at = session.get_one(AtlasLayerRow, (row.no, layer_no))
        full = layer.lines == layer.unit_count * layer.facets
        at.expanded = layer.lines if full else 0
        whole = whole and full
        request = {"imported": manifest.atlas, "layer": layer.layer}
        session.add(
            JobRow(
                id=new_id("job"),
                state=JobState.SUCCEEDED,
                lane=Lane.BULK,
                request=request,
                owner_key_id=row.owner_key_id,
                request_hash=sha256_of(request),
                total=layer.lines,
                cached=layer.lines,
                done=layer.pictures,
                unreachable=layer.unreachable,
                turn=0,
                finished_at=now,
                atlas_no=row.no,
                layer_no=layer_no,
            )
        )
    session.flush()
    freeze(session, row, version, counted(session, row.no, counts))
    row.wish = AtlasWish.BUILD if whole else AtlasWish.CANCEL
    session.flush()


def order_at_once(database: Database, atlas: str, *, seconds: float) -> None:
    """Sort the large layers of an atlas that was just imported, layer by layer, for so many seconds at
    most: the others are sorted for whoever looks at them first. Not in the transaction that ends the import,
    which holds locks that everybody waits for."""
    until = time.monotonic() + seconds
    with database.session() as session:
        row = session.scalars(sa.select(AtlasRow).where(AtlasRow.id == atlas)).one()
        network = row.network_id
        version = session.get_one(AtlasVersionRow, (row.no, 1))
        layers = [shown["layer"] for shown in version.layers or ()]
    for layer in layers:
        if time.monotonic() >= until:
            return
        with database.session() as session:
            kept_orders.make(session, network, layer, atlas, 1)
