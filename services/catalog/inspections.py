"""Inspections: what a worker finds out about a network, once, and again when a later release looks closer.

Pictures are named by what was found, so that facts never change under a name: where a later inspection finds
another output, another input or that its classes do not exclude each other, the network gets another hash
(`spec_sha256`), and with it its pictures.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from imago_engine.canonical import canonical_json, sha256_of
from imago_engine.networks import LayerInfo
from services.base.errors import Invalid
from services.base.plain_text import label, told
from services.catalog.tables import LayerRow, NetworkRow
from services.queue import leases

SOFTMAX, SIGMOID = "softmax", "sigmoid"
"""What makes probabilities of a network's logits: of most the first, else each class's by itself."""
_LONGEST_MESSAGE = 2000


def record_inspection(
    session: Session,
    id: str,
    *,
    weights_sha256: str,
    preprocessing: Mapping[str, Any],
    labels: Sequence[str],
    layers: Sequence[LayerInfo],
    input_sizes: Mapping[str, Any] | None = None,
    squash: str = SOFTMAX,
    version: int = 0,
    lease_id: int | None = None,
) -> bool:
    """Make a network that waits for it ready, with its layers in execution order; all or nothing.

    `input_sizes` is as `networks.Network` has it; `squash` is what makes probabilities of its logits.
    `lease_id` is that of the claim, None for whoever tells what is known without one. False, and nothing
    changes, if the network does not wait any more, or not for this lease. Raises `Invalid` where what was
    stated of the network does not fit it, `ValueError` for numbers that JSON does not have.
    """
    row = _waiting(session, id, lease_id)
    if row is None:
        return False
    output = next((layer for layer in reversed(layers) if layer.kind == "output"), None)
    if row.stated.get("labels") is not None and (output is None or output.units != len(labels)):
        has = "no output layer to name" if output is None else f"an output of {output.units} classes"
        raise Invalid.field("/labels", f"names {len(labels)} classes, but the network has {has}")
    row.spec_sha256 = _spec_sha256(session, row, weights_sha256, preprocessing, output, squash)
    _replace_layers(session, id, layers)
    row.state, row.weights_sha256, row.error = "ready", weights_sha256, None
    row.preprocessing, row.labels = dict(preprocessing), [label(name) for name in labels]
    row.input_sizes = None if input_sizes is None else dict(input_sizes)
    row.outputs = None if output is None else output.units
    row.inspection_due, row.lease_id, row.inspection_version = False, None, version
    row.inspected_at = session.execute(sa.select(sa.func.now())).scalar_one()
    session.flush()
    return True


def _spec_sha256(
    session: Session,
    row: NetworkRow,
    weights_sha256: str,
    preprocessing: Mapping[str, Any],
    output: LayerInfo | None,
    squash: str,
) -> str:
    """What specs name the network by: as its first inspection would, while nothing else was ever found.

    Where only another squash is found the form of the name stays, so that a network that an earlier release
    has inspected and one that is registered now have one name.
    """
    name = None if output is None else output.name
    names = {each: _names(row, weights_sha256, preprocessing, name, each) for each in (SOFTMAX, SIGMOID)}
    first, again = names[squash]
    if row.spec_sha256 is None:
        return first
    before = session.scalars(
        sa.select(LayerRow.name)
        .where(LayerRow.network_id == row.id, LayerRow.kind == "output", LayerRow.is_current)
        .order_by(LayerRow.ordinal.desc())
        .limit(1)
    ).first()
    facts = [weights_sha256, preprocessing, name]
    if canonical_json(facts) != canonical_json([row.weights_sha256, row.preprocessing, before]):
        return again
    if row.spec_sha256 in [name_at_first for name_at_first, _ in names.values()]:
        return first
    return row.spec_sha256 if squash == SOFTMAX and row.spec_sha256 != names[SIGMOID][1] else again


def _names(
    row: NetworkRow, weights_sha256: str, preprocessing: Mapping[str, Any], output: str | None, squash: str
) -> tuple[str, str]:
    """The name that a first inspection gives, the hash of the weights where these tell everything, and the
    one that another inspection gives.

    What is stated by hand is hashed too, whatever another inspection finds to be otherwise than it was, and
    what makes probabilities of the logits where that is no softmax, as earlier releases took it to be.
    """
    known = {"weights": weights_sha256, **({"stated": row.stated} if row.stated else {})}
    known |= {} if squash == SOFTMAX else {"squash": squash}
    found = {**known, "preprocessing": dict(preprocessing), "output": output}
    return weights_sha256 if len(known) == 1 else sha256_of(known), sha256_of(found)


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
            "tokens": layer.tokens,
            "usual_token": layer.usual_token,
            "class_token": layer.class_token,
            "role": layer.role,
            "twin_of": layer.twin_of,
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


def record_inspection_failure(
    session: Session, id: str, message: str, *, lease_id: int | None = None
) -> bool:
    """Make a network that waits for an inspection failed, for the reason given. As `record_inspection`."""
    row = _waiting(session, id, lease_id)
    if row is None:
        return False
    row.state, row.error = "failed", told(message)[:_LONGEST_MESSAGE]
    row.inspection_due, row.lease_id = False, None
    row.inspected_at = session.execute(sa.select(sa.func.now())).scalar_one()
    session.flush()
    return True


def _waiting(session: Session, id: str, lease_id: int | None) -> NetworkRow | None:
    """The row, locked, if it waits for an inspection under this lease, which ends with the transaction."""
    if lease_id is not None:
        if not leases.hold(session, lease_id):
            return None
        leases.close(session, lease_id, outcome="finished")
    row = session.get(NetworkRow, id, with_for_update=True, populate_existing=True)
    if row is None or row.lease_id != lease_id:
        return None
    return row if row.state == "pending" or row.inspection_due else None
