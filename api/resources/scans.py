"""Scans of real pictures, and the exemplars that they find of each unit."""

from sqlalchemy.orm import Session

from api.auth import principal
from api.context import context
from api.http import retry_after
from api.http.caching import BRIEF, SECRET
from api.http.objects import StoredObject
from api.openapi import examples
from api.operations.answers import Answer, Document, accepted
from api.operations.operation import REMOVED, ApiBlueprint, Tag, stored
from api.resources.networks import TAG as NETWORKS_TAG
from api.schemas.base import NoQuery
from api.schemas.networks import UnitPath
from api.schemas.scans import (
    ExemplarPath,
    ExemplarQuery,
    Scan,
    ScanHeaders,
    ScanListQuery,
    ScanPage,
    ScanPath,
    SubmitScan,
    UnitExemplars,
)
from api.streams.opening import STREAM, open_stream
from api.streams.requests import EventsHeaders, EventsQuery
from services.base.paging import Page
from services.base.states import Lane
from services.exemplars import found, scans
from services.exemplars.submission import submit
from services.pictures.losses import Subject

TAG = Tag(name="Scans", description="Real pictures that excite units most, and how strongly they do.")

blueprint = ApiBlueprint("scans", __name__, url_prefix="/v1", tag=TAG)
_UNIT = "/networks/<network>/layers/<layer>/units/<unit>"


@blueprint.operation("GET", "/scans", scope="read", responses={200: ScanPage})
def list_scans(session: Session, query: ScanListQuery) -> Page[Scan]:
    """List scans, the newest first."""
    page = scans.list(
        session, network=query.network, cursor=query.cursor, limit=query.limit, state=query.state
    )
    return page.map(Scan.of)


@blueprint.operation(
    "POST",
    "/scans",
    scope="jobs:write",
    responses={200: Scan, 202: Scan},
    example=examples.SCAN_BODY,
)
def submit_scan(session: Session, header: ScanHeaders, body: SubmitScan) -> Answer:
    """Have real pictures looked at.

    A worker that sees them passes each once through the network and keeps, of every unit of the layers
    that are watched, the pictures that excite it most and how strongly all of them do. Pictures that wait
    to be made go first, every few seconds.
    """
    submitted = submit(
        session,
        body.network,
        body.request,
        owner=principal().key_id,
        idempotency_key=header.idempotency_key,
        data_root=context().settings.data_root,
    )
    view = scans.get(session, submitted.id)
    shown = Scan.of(view)
    retry = retry_after.of_scan(view)
    return accepted(shown, retry, shown.links.self, replayed=not submitted.created, ring=Lane.BULK)


@blueprint.operation("GET", "/scans/<scan>", scope="read", responses={200: Scan})
def get_scan(session: Session, path: ScanPath, query: NoQuery) -> Answer:
    """Get a scan as it stands."""
    view = scans.get(session, path.scan)
    return Answer(Scan.of(view), headers=retry_after.header(retry_after.of_scan(view)))


@blueprint.operation("GET", "/scans/<scan>/events", scope="read", responses=STREAM, freshness=SECRET)
def follow_scan(session: Session, path: ScanPath, query: EventsQuery, header: EventsHeaders) -> Document:
    """Follow a scan: its state and progress, as server-sent events.

    Each event `progress` holds, as JSON, what changes of a scan; the last is `end`.
    """
    return open_stream(session, "scan", path.scan, query, header)


@blueprint.operation("POST", "/scans/<scan>/cancel", scope="jobs:write", responses={200: Scan})
def cancel_scan(session: Session, path: ScanPath) -> Scan:
    """Cancel a scan.

    Only the key that submitted it and keys with the scope `admin` may. Nothing of what it found is shown.
    """
    return Scan.of(scans.cancel(session, path.scan, by=principal()))


@blueprint.operation("DELETE", "/scans/<scan>", scope="jobs:write", responses=REMOVED)
def remove_scan(session: Session, path: ScanPath, query: NoQuery) -> None:
    """Remove a scan that has ended, with the exemplars and statistics that it found.

    Only the key that submitted it and keys with the scope `admin` may.
    """
    scans.remove(session, path.scan, by=principal())


@blueprint.operation(
    "GET", f"{_UNIT}/exemplars", scope="read", responses={200: UnitExemplars}, tag=NETWORKS_TAG
)
def get_unit_exemplars(session: Session, path: UnitPath, query: ExemplarQuery) -> UnitExemplars:
    """Get the real pictures that excite a unit most, and how strongly all that were scanned do."""
    unit = found.of_unit(session, path.network, path.layer, path.unit, scan=query.scan)
    return UnitExemplars.of(unit, query.scan)


@blueprint.operation(
    "GET",
    f"{_UNIT}/exemplars/<rank>/image",
    scope="read",
    responses=stored("image/webp", "The crop."),
    tag=NETWORKS_TAG,
)
def get_exemplar_image(session: Session, path: ExemplarPath, query: ExemplarQuery) -> StoredObject:
    """Get what the unit sees of one of these pictures. For embedding: clients keep it for a minute."""
    statistics, exemplar = found.one(session, path.network, path.layer, path.unit, path.rank, scan=query.scan)
    return StoredObject(
        exemplar.object,
        f"exemplar-{path.unit}-{path.rank}.webp",
        Subject("crops", f"{statistics.scan}/{exemplar.pack}"),
        BRIEF,
        part=(exemplar.start, exemplar.length),
    )
