"""What work has cost, kept for all workers: each reports its batches, everyone reads."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.estimates.cost_model import Cost, Costs, Kind, Spent, learned
from services.estimates.tables import LearnedCostRow
from services.pictures.recipes import cost_of
from services.queue.batches import Claim

_LIKE_AT_MOST = 400
"""Costs that are read to guess one that is not known."""
_ELSEWHERE_AT_MOST = 50

_DEPTH = text("SELECT ordinal FROM layers WHERE network_id = :network AND name = :layer")


def note(
    session: Session, claim: Claim, *, device: str, round_items: int, rounds: float, seconds: float
) -> None:
    """Learn that a device took so many seconds for `rounds` rounds of at most `round_items` items of a claim.

    Call it in the transaction that ends them, and last: all who finish this kind of work change one row.
    """
    depth = session.execute(_DEPTH, {"network": claim.network_id, "layer": claim.layer}).scalar_one()
    kind = Kind(claim.batch_key, claim.network_id, depth, claim.generator_id, *cost_of(claim.recipe))
    spent = Spent(kind, device, round_items, rounds, seconds)
    row = session.scalar(
        sa.select(LearnedCostRow)
        .where(
            LearnedCostRow.device == spent.device,
            LearnedCostRow.batch_key == spent.kind.batch_key,
        )
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    values = _values(learned(None if row is None else _cost(row), spent))
    statement = insert(LearnedCostRow).values(values)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[LearnedCostRow.device, LearnedCostRow.batch_key],
            set_={**values, "updated_at": sa.func.now()},
        )
    )


def read(session: Session, kinds: Iterable[Kind], devices: Sequence[str]) -> Costs:
    """What is known of these kinds on these devices, and, where one is not known, of those like it."""
    wanted = {kind.batch_key: kind for kind in kinds}
    row = LearnedCostRow
    here = sa.select(row).where(row.device.in_(devices))
    found = list(session.scalars(here.where(row.batch_key.in_(wanted))))
    costs = Costs(map(_cost, found))
    unknown = {
        kind.network for kind in wanted.values() if not all(costs.knows(device, kind) for device in devices)
    }
    if unknown:
        newest = here.order_by(row.updated_at.desc())
        found += session.scalars(newest.where(row.network_id.in_(unknown)).limit(_LIKE_AT_MOST))
        found += session.scalars(newest.limit(_ELSEWHERE_AT_MOST))
        costs = Costs({(one.device, one.batch_key): _cost(one) for one in found}.values())
    return costs


def _cost(row: LearnedCostRow) -> Cost:
    kind = Kind(
        row.batch_key,
        row.network_id,
        row.depth,
        row.generator_id,
        row.technique,
        row.steps,
        row.input_size,
    )
    return Cost(kind, row.device, row.round_items, row.seconds, row.spread, row.batches)


def _values(cost: Cost) -> dict[str, Any]:
    values = asdict(cost.kind)
    values["network_id"], values["generator_id"] = values.pop("network"), values.pop("generator")
    return values | {
        "device": cost.device,
        "round_items": cost.round_items,
        "seconds": cost.seconds,
        "spread": cost.spread,
        "batches": cost.batches,
    }
