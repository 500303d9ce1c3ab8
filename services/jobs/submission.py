"""Submitting a job: the request is checked and planned, then the job and what is missing are inserted at
once.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.access.fingerprints import as_sent, fingerprint, former_fingerprint
from services.access.idempotency import replayed
from services.base.errors import Conflict
from services.base.ids import new_id
from services.base.states import JobState, Lane, State
from services.estimates import forecast
from services.jobs import progress
from services.jobs.job_counters import Change, end_complete, update_counters
from services.jobs.job_request import JobRequest
from services.jobs.planning import Limits, Plan, PlannedItem, plan
from services.jobs.progress import JobView
from services.jobs.tables import JobRow
from services.pictures.tables import RecipeRow
from services.queue.queue_order import next_turn

_FORMER_DEFAULTS: tuple[dict[str, Any], ...] = tuple(
    {
        "generator": None,
        "lane": "interactive",
        "recipe": {"parameters": {}, "technique": technique},
        "seeds": [0],
        "targets": {"position": None},
    }
    for technique in ("dgn-am", "auto")
)
"""What releases filled in before they fingerprinted a request; never more, and never changed."""
_CHUNK = 5000
"""Rows of one statement, so that none comes near the time that a statement may take."""

# Lists are sent as texts with commas: to quote each entry of an array takes longer than to insert it. What
# items share is sent once, as one of the `kinds`.
_INSERT = text("""
    WITH item AS MATERIALIZED (
        SELECT * FROM unnest(
            string_to_array(:digests, ','), CAST(string_to_array(:units, ',') AS int[]),
            CAST(string_to_array(:ys, ',', '') AS int[]), CAST(string_to_array(:xs, ',', '') AS int[]),
            CAST(string_to_array(:tokens, ',', '') AS int[]), CAST(string_to_array(:seeds, ',') AS int[]),
            CAST(string_to_array(:orders, ',') AS bigint[]), CAST(string_to_array(:kinds, ',') AS int[])
        ) AS item (digest, unit, y, x, token, seed, queue_order, kind)
    ), added AS (
        INSERT INTO visualizations (
            digest, network_id, network_sha256, layer, unit, position_y, position_x, token, generator_id,
            recipe_digest, seed, engine, batch_key, lane, queue_order)
        SELECT item.digest, :network, :network_sha256, kind.layer, item.unit, item.y, item.x, item.token,
            kind.generator, kind.recipe, item.seed, kind.engine, kind.batch_key, :lane, item.queue_order
        FROM item JOIN jsonb_to_recordset(CAST(:shared AS jsonb)) AS kind (
            number int, layer text, generator text, recipe text, engine text, batch_key text
        ) ON kind.number = item.kind
        ORDER BY item.digest
        ON CONFLICT (digest) DO NOTHING
        RETURNING digest
    )
    SELECT digest FROM item WHERE digest NOT IN (SELECT digest FROM added)
""")
# Final rows never change again and need no lock.
_LOCK = text("""
    SELECT digest, state, lane, error FROM visualizations
    WHERE digest = ANY(CAST(:digests AS text[])) AND state NOT IN ('done', 'unreachable')
    ORDER BY digest FOR NO KEY UPDATE
""")
_REQUEUE = text("""
    UPDATE visualizations AS v SET
        state = 'queued', lane = :lane, queue_order = item.queue_order, lease_id = NULL, attempt = 0,
        crash_count = 0, not_before = NULL, error = NULL, finished_at = NULL
    FROM unnest(CAST(:digests AS text[]), CAST(:orders AS bigint[])) AS item (digest, queue_order)
    WHERE v.digest = item.digest
""")
_HURRY = text("""
    UPDATE visualizations AS v SET lane = :lane, queue_order = item.queue_order
    FROM unnest(CAST(:digests AS text[]), CAST(:orders AS bigint[])) AS item (digest, queue_order)
    WHERE v.digest = item.digest
""")
_UNREACHABLE = text("""
    SELECT count(*) FROM visualizations WHERE digest = ANY(CAST(:digests AS text[])) AND state = 'unreachable'
""")
_LINK = text("""
    INSERT INTO job_visualizations (job_id, ordinal, digest)
    SELECT :job, :start + item.ordinal - 1, item.digest
    FROM unnest(string_to_array(:digests, ',')) WITH ORDINALITY AS item (digest, ordinal)
""")


@dataclass(frozen=True)
class Submission:
    """`created` is False for a repeated submission; `all_cached`: there was nothing to compute."""

    job: JobView
    created: bool
    all_cached: bool


def submit(
    session: Session,
    request: JobRequest,
    *,
    owner: str | None = None,
    idempotency_key: str | None = None,
    limits: Limits | None = None,
) -> Submission:
    """Insert a job of the key `owner` with all that is missing of its items.

    All or nothing, within the caller's transaction, and everything is checked before the first insert; ring
    the doorbell after the commit. With an idempotency key, the same request again returns the job there is,
    also if both are submitted at the same moment; another request under the same key raises
    `IdempotencyKeyReused`. Items that failed or were canceled are queued anew. Otherwise raises as
    `planning.plan` does.
    """
    sent = as_sent(request)
    known_as = [fingerprint(sent), *(former_fingerprint(sent, filled) for filled in _FORMER_DEFAULTS)]
    if idempotency_key is not None:
        known = replayed(session, JobRow, owner, idempotency_key, known_as)
        if known is not None:
            return _repeated(session, known)
    planned = plan(session, request, limits or Limits())
    row = add_job(
        session,
        planned,
        request=_as_resolved(request, planned),
        lane=request.lane,
        owner=owner,
        request_hash=known_as[0],
        idempotency_key=idempotency_key,
    )
    if row is None:
        # The same key was submitted at the same moment: the insert has waited for that one to commit.
        assert idempotency_key is not None
        known = replayed(session, JobRow, owner, idempotency_key, known_as)
        if known is None:
            raise Conflict("A job of this idempotency key was removed at the same moment; try again.")
        return _repeated(session, known)
    job = progress.views(session, [row])[0]
    return Submission(job, created=True, all_cached=job.ended)


def add_job(
    session: Session,
    planned: Plan,
    *,
    request: Mapping[str, Any],
    lane: Lane,
    owner: str | None,
    request_hash: str,
    idempotency_key: str | None = None,
    atlas_layer: tuple[int, int] | None = None,
    undecided: bool = False,
) -> JobRow | None:
    """Insert a job of what was planned, with all that is missing of its items; None if its idempotency key
    is taken. `atlas_layer` is the number of the atlas, and of its layer, that it is a part of, `undecided`:
    whether that is to choose among its candidates.

    Locks items and jobs, so call it once in a transaction.
    """
    atlas_no, layer_no = atlas_layer or (None, None)
    job_id = session.scalar(
        insert(JobRow)
        .values(
            id=new_id("job"),
            state="queued",
            lane=lane,
            request=request,
            owner_key_id=owner,
            idempotency_key=idempotency_key,
            request_hash=request_hash,
            total=len(planned.items),
            cached=0,
            turn=next_turn(session, lane, owner),
            atlas_no=atlas_no,
            layer_no=layer_no,
            undecided=undecided,
        )
        .on_conflict_do_nothing()
        .returning(JobRow.id)
    )
    if job_id is None:
        return None
    row = session.get_one(JobRow, job_id)
    _insert_items(session, row, planned)
    return row


def _as_resolved(request: JobRequest, planned: Plan) -> dict[str, Any]:
    """The request as it is carried out: what it left open is what the plan has settled, a target for each
    layer; the job's own recipe is theirs where they share one.

    Its fingerprint is made of what was sent: the same words are the same request whatever they come to later.
    """
    asked = request.model_dump(mode="json")
    makings = [target.making for target in planned.targets]
    recipes = [
        {"technique": making.recipe.technique, "parameters": dict(making.recipe.parameters)}
        for making in makings
    ]
    targets = [
        {**target.model_dump(mode="json"), "recipe": recipe}
        for target, recipe in zip(planned.asked, recipes, strict=True)
    ]
    generator = next((making.generator_id for making in makings if making.generator), None)
    shared = recipes[0] if all(recipe == recipes[0] for recipe in recipes) else asked["recipe"]
    return {**asked, "targets": targets, "generator": generator, "recipe": shared}


def _repeated(session: Session, row: JobRow) -> Submission:
    return Submission(progress.views(session, [row])[0], created=False, all_cached=row.cached == row.total)


def _insert_items(session: Session, row: JobRow, planned: Plan) -> None:
    recipes = {target.making.recipe.digest: target.making.recipe for target in planned.targets}
    session.execute(
        insert(RecipeRow).on_conflict_do_nothing(),
        [
            {"digest": digest, "technique": recipe.technique, "parameters": dict(recipe.parameters)}
            for digest, recipe in sorted(recipes.items())
        ],
    )
    turns = {item.digest: row.turn + ordinal for ordinal, item in enumerate(planned.items)}
    # In the order of the digests, as everywhere: two jobs that insert the same items wait for each other, and
    # must not do so crosswise.
    in_order = sorted(planned.items, key=lambda item: item.digest)
    present: list[str] = []
    for chunk in _chunks(in_order):
        there = set(session.scalars(_INSERT, _columns(chunk, planned, row.lane, turns)))
        present.extend(item.digest for item in chunk if item.digest in there)
    states, moved = requeue_ended(session, present, row.lane, turns)
    for start in range(0, len(planned.items), _CHUNK):
        digests = _listed(item.digest for item in planned.items[start : start + _CHUNK])
        session.execute(_LINK, {"job": row.id, "start": start, "digests": digests})
    final = [digest for digest in present if digest not in states]
    others = set(present) - moved
    row.parts = forecast.parts_of(
        planned.kinds, [item.batch_key for item in planned.items if item.digest not in others]
    )
    row.cached = len(final)
    row.unreachable = session.execute(_UNREACHABLE, {"digests": final}).scalar_one() if final else 0
    row.done = row.cached - row.unreachable
    start_if_claimed(row, states.values())
    end_complete(session, [row])


def start_if_claimed(row: JobRow, states: Collection[State]) -> None:
    """A job that wants what a worker computes already is running from its beginning."""
    if State.LEASED in states:
        row.state = JobState.RUNNING
        row.started_at = sa.func.now()


def requeue_ended(
    session: Session, digests: Sequence[str], lane: str, turns: dict[str, int]
) -> tuple[dict[str, State], set[str]]:
    """Queue those items again that failed or were canceled, and hurry those that wait in a slower lane.

    `digests` ascend. Locks jobs, so call it once. Returns the states that the items had which are not final,
    and those of them that wait for their turn in `turns` now, not in one that they had before. They all stay
    locked to the end of the transaction, so that nobody can cancel them before the job that wants them is
    seen.
    """
    rows: list[sa.Row[Any]] = []
    for start in range(0, len(digests), _CHUNK):
        rows += session.execute(_LOCK, {"digests": digests[start : start + _CHUNK]}).all()
    anew = {row.digest for row in rows if row.state in (State.FAILED, State.CANCELED)}
    slower = {
        row.digest
        for row in rows
        if row.state == State.QUEUED and (row.lane, lane) == (Lane.BULK, Lane.INTERACTIVE)
    }
    for statement, chosen in ((_REQUEUE, anew), (_HURRY, slower)):
        if chosen:
            digests, orders = list(chosen), [turns[digest] for digest in chosen]
            session.execute(statement, {"lane": lane, "digests": digests, "orders": orders})
    reopened = {
        row.digest: Change(State(row.state), State.QUEUED, row.error) for row in rows if row.digest in anew
    }
    update_counters(session, reopened, let_go=anew)
    return {row.digest: State(row.state) for row in rows}, anew | slower


def _columns(chunk: Sequence[PlannedItem], planned: Plan, lane: str, turns: dict[str, int]) -> dict[str, Any]:
    numbers: dict[tuple[str, str, str], int] = {}
    shared: list[dict[str, Any]] = []
    kinds: list[int] = []
    for item in chunk:
        key = item.batch_key, item.layer, item.making.recipe.digest
        if key not in numbers:
            numbers[key] = len(numbers)
            shared.append({"number": numbers[key], **_shared(item)})
        kinds.append(numbers[key])
    return {
        "network": planned.network.id,
        "network_sha256": planned.network.spec_sha256,
        "lane": lane,
        "digests": _listed(item.digest for item in chunk),
        "units": _listed(item.unit for item in chunk),
        "ys": _listed(item.position[0] if item.position else None for item in chunk),
        "xs": _listed(item.position[1] if item.position else None for item in chunk),
        "tokens": _listed(item.token for item in chunk),
        "seeds": _listed(item.seed for item in chunk),
        "orders": _listed(turns[item.digest] for item in chunk),
        "kinds": _listed(kinds),
        "shared": json.dumps(shared),
    }


def _shared(item: PlannedItem) -> dict[str, Any]:
    """What an item has in common with others."""
    return {
        "layer": item.layer,
        "generator": item.making.generator_id,
        "recipe": item.making.recipe.digest,
        "engine": item.making.version,
        "batch_key": item.batch_key,
    }


def _listed(values: Iterable[str | int | None]) -> str:
    """As a text that PostgreSQL takes apart again; nothing stands for None."""
    return ",".join("" if value is None else str(value) for value in values)


def _chunks(items: Sequence[PlannedItem]) -> Iterator[Sequence[PlannedItem]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]
