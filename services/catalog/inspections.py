"""Inspections: what a worker finds out about a network, once, and again when a later release looks closer.

Pictures are named by what was found, so that facts never change under a name: where a later inspection finds
another output or another input, the network gets another hash (`spec_sha256`), and with it its pictures.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from imago_engine.canonical import canonical_json, sha256_of
from imago_engine.networks import LayerInfo
from services.base.errors import Invalid
from services.base.plain_text import storable
from services.catalog.networks import Network, view_of
from services.catalog.tables import LayerRow, NetworkRow

_TRIES = 3
_NEVER_ENDED = (
    f"The inspection was begun {_TRIES} times and never ended; the worker was probably "
    "killed, most likely because the network does not fit into memory. Register it again to try once more."
)
_LONGEST_MESSAGE = 2000


def next_pending_network(session: Session, *, version: int = 0, seconds: float = 600) -> Network | None:
    """Take a network to inspect, or None; commit before inspecting it.

    `version` is that of the worker's inspection: networks that an earlier one has inspected are due again. No
    other worker gets the network for that long; then it is free again, unless it has been taken three times,
    which makes it failed.
    """
    ready, due = NetworkRow.state == "ready", NetworkRow.inspection_due
    session.execute(
        sa.update(NetworkRow)
        .where(ready, ~due, NetworkRow.inspection_version < version)
        .values(inspection_due=True, inspection_tries=0, inspection_until=None)
    )
    pending = NetworkRow.state == "pending"
    row = session.scalars(
        sa.select(NetworkRow)
        .where(pending | (ready & due & (NetworkRow.inspection_version < version)))
        .where(sa.or_(NetworkRow.inspection_until.is_(None), NetworkRow.inspection_until < sa.func.now()))
        .order_by(~pending, NetworkRow.created_at, NetworkRow.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).first()
    if row is None:
        return None
    if row.inspection_tries >= _TRIES:
        record_inspection_failure(session, row.id, _NEVER_ENDED)
        return None
    row.inspection_tries += 1
    until: datetime = session.execute(
        sa.select(sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds))
    ).scalar_one()
    row.inspection_until = until
    session.flush()
    return view_of(row)


def keep_inspection(session: Session, id: str, *, seconds: float = 600) -> None:
    """Keep a network from other workers for so long from now on, while its inspection goes on."""
    until = sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    session.execute(
        sa.update(NetworkRow)
        .where(NetworkRow.id == id, NetworkRow.inspection_until.is_not(None))
        .values(inspection_until=until)
    )


def release_inspection(session: Session, id: str) -> None:
    """Leave a network to other workers at once: its inspection was given up for no fault of its own."""
    session.execute(
        sa.update(NetworkRow)
        .where(NetworkRow.id == id, NetworkRow.inspection_until.is_not(None))
        .values(inspection_until=None, inspection_tries=sa.func.greatest(NetworkRow.inspection_tries - 1, 0))
    )


def record_inspection(
    session: Session,
    id: str,
    *,
    weights_sha256: str,
    preprocessing: Mapping[str, Any],
    labels: Sequence[str],
    layers: Sequence[LayerInfo],
    input_sizes: Mapping[str, Any] | None = None,
    version: int = 0,
) -> bool:
    """Make a network that waits for it ready, with its layers in execution order; all or nothing.

    `input_sizes` is as `networks.Network` has it. False, and nothing changes, if the network does not wait
    any more: two workers may have inspected it. Raises `Invalid` where what was stated of the network does
    not fit it, `ValueError` for numbers that JSON does not have.
    """
    row = session.get(NetworkRow, id, with_for_update=True, populate_existing=True)
    if row is None or not (row.state == "pending" or row.inspection_due):
        return False
    output = next((layer for layer in reversed(layers) if layer.kind == "output"), None)
    if row.stated.get("labels") is not None and (output is None or output.units != len(labels)):
        has = "no output layer to name" if output is None else f"an output of {output.units} classes"
        raise Invalid.field("/labels", f"names {len(labels)} classes, but the network has {has}")
    row.spec_sha256 = _spec_sha256(session, row, weights_sha256, preprocessing, output)
    _replace_layers(session, id, layers)
    row.state, row.weights_sha256, row.error = "ready", weights_sha256, None
    row.preprocessing, row.labels = dict(preprocessing), list(labels)
    row.input_sizes = None if input_sizes is None else dict(input_sizes)
    row.outputs = None if output is None else output.units
    row.inspection_due, row.inspection_until, row.inspection_version = False, None, version
    row.inspected_at = session.execute(sa.select(sa.func.now())).scalar_one()
    session.flush()
    return True


def _spec_sha256(
    session: Session,
    row: NetworkRow,
    weights_sha256: str,
    preprocessing: Mapping[str, Any],
    output: LayerInfo | None,
) -> str:
    """What specs name the network by: the hash of its weights, where these tell everything.

    What is stated by hand is hashed too, and whatever another inspection finds to be otherwise than it was.
    """
    name = None if output is None else output.name
    known = {"weights": weights_sha256, **({"stated": row.stated} if row.stated else {})}
    if row.spec_sha256 is None:
        return weights_sha256 if len(known) == 1 else sha256_of(known)
    before = session.scalars(
        sa.select(LayerRow.name)
        .where(LayerRow.network_id == row.id, LayerRow.kind == "output", LayerRow.is_current)
        .order_by(LayerRow.ordinal.desc())
        .limit(1)
    ).first()
    facts = [weights_sha256, preprocessing, name]
    if canonical_json(facts) == canonical_json([row.weights_sha256, row.preprocessing, before]):
        return row.spec_sha256
    return sha256_of({**known, "preprocessing": dict(preprocessing), "output": name})


def _replace_layers(session: Session, id: str, layers: Sequence[LayerInfo]) -> None:
    """Pictures may hang on layers that are not found any more: those stay, but are no longer shown."""
    session.execute(sa.update(LayerRow).where(LayerRow.network_id == id).values(is_current=False))
    rows = [
        {
            "network_id": id,
            "name": layer.name,
            "ordinal": ordinal,
            "kind": layer.kind,
            "units": layer.units,
            "height": layer.spatial[0] if layer.spatial else None,
            "width": layer.spatial[1] if layer.spatial else None,
            "receptive_field": layer.receptive_field,
            "stride": layer.stride,
            "is_current": True,
        }
        for ordinal, layer in enumerate(layers)
    ]
    added = insert(LayerRow)
    found = (
        {name: added.excluded[name] for name in rows[0] if name not in ("network_id", "name")} if rows else {}
    )
    if rows:
        session.execute(added.on_conflict_do_update(index_elements=["network_id", "name"], set_=found), rows)


def record_inspection_failure(session: Session, id: str, message: str) -> bool:
    """Make a network that waits for an inspection failed, for the reason given. False if none waits."""
    changed = session.execute(
        sa.update(NetworkRow)
        .where(NetworkRow.id == id)
        .where((NetworkRow.state == "pending") | NetworkRow.inspection_due)
        .values(
            state="failed",
            error=storable(message)[:_LONGEST_MESSAGE],
            inspection_due=False,
            inspection_until=None,
            inspected_at=sa.func.now(),
        )
        .returning(NetworkRow.id)
    )
    return changed.first() is not None
