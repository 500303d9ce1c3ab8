"""Submitting a scan: all that can be known is checked, then one row is written, and its work planned."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.access.data_root import missing_sources
from services.access.fingerprints import as_sent, fingerprint
from services.access.idempotency import Submitted, replayed
from services.base.errors import Conflict, FieldError, Invalid, NotFound
from services.base.ids import new_id
from services.catalog.layer_selection import LayerWords, NoSuchLayers
from services.catalog.networks import Network, get_network
from services.catalog.tables import GeneratorRow, NetworkRow
from services.exemplars.request import ScanRequest
from services.exemplars.tables import ScanRow
from services.queue import chores


def submit(
    session: Session,
    network: str,
    request: ScanRequest,
    *,
    owner: str | None = None,
    idempotency_key: str | None = None,
    data_root: Path | None = None,
) -> Submitted:
    """Have real pictures looked at with a network; commits with the caller.

    `data_root`: where this process sees the workers' pictures, if it does; sources are then looked for. With
    an idempotency key, the same request again returns the scan there is; another request under it raises
    `IdempotencyKeyReused`. Raises `Conflict` for a network that is not ready, `Invalid` for everything else
    that is wrong, all of it at once.
    """
    known_as = [fingerprint({"network": network, **as_sent(request)})]
    if idempotency_key is not None:
        known = replayed(session, ScanRow, owner, idempotency_key, known_as)
        if known is not None:
            return Submitted(known.id, created=False)
    found = _ready(session, network)
    layers, errors = _layers(session, found, request.layers)
    errors += [
        FieldError(f"/sources/{index}", detail)
        for index, detail in missing_sources(request.sources, data_root).items()
    ]
    size = request.input_size or _usual_size(session, found)
    if request.input_size is not None and not found.runs_at(request.input_size):
        detail = f"must be a size that {found.id} runs at: {found.sizes_accepted()}; got {request.input_size}"
        errors.append(FieldError("/input_size", detail))
    if errors:
        raise Invalid(errors)
    # Nobody can remove the network before the scan is there.
    session.execute(sa.select(NetworkRow.id).where(NetworkRow.id == found.id).with_for_update(key_share=True))
    id = session.scalar(
        insert(ScanRow)
        .values(
            id=new_id("scn"),
            network_id=found.id,
            network_sha256=found.spec_sha256,
            request={**request.model_dump(mode="json"), "layer_names": layers, "input_size": size},
            owner_key_id=owner,
            idempotency_key=idempotency_key,
            request_hash=known_as[0],
        )
        .on_conflict_do_nothing()
        .returning(ScanRow.id)
    )
    if id is not None:
        chores.plan(session, "scan", id)
        return Submitted(id, created=True)
    # Submitted at the same moment: the insert has waited for that one to commit.
    assert idempotency_key is not None
    known = replayed(session, ScanRow, owner, idempotency_key, known_as)
    assert known is not None
    return Submitted(known.id, created=False)


def _ready(session: Session, id: str) -> Network:
    try:
        network = get_network(session, id)
    except NotFound as error:
        raise Invalid.field("/network", str(error)) from None
    if network.state != "ready":
        why = f": {network.error}" if network.error else ""
        raise Conflict(f"The network {id!r} is {network.state}{why}; it can be scanned once it is ready.")
    if network.inspection_due:
        raise Conflict(f"The network {id!r} is to be inspected again; try again in a moment.")
    return network


def _layers(
    session: Session, network: Network, words: str | Sequence[str]
) -> tuple[list[str], list[FieldError]]:
    """The names of the layers that are meant, in the order of execution."""
    try:
        found = LayerWords(session, network.id).find(words).layers
    except NoSuchLayers as error:
        return [], [FieldError("/layers", str(error))]
    return [layer.name for layer in found], []


def _usual_size(session: Session, network: Network) -> int | None:
    """The input at which pictures of the default generator are looked at, unless a recipe says otherwise."""
    info = session.scalar(sa.select(GeneratorRow.info).where(GeneratorRow.is_default))
    size: int | None = ((info or {}).get("recommended") or {}).get("input_size")
    return size if size is not None and network.runs_at(size) else network.own_size
