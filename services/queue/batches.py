"""Batches of pictures as a kind of work: claim one, end its items, give them back.

Whatever a worker reports changes only rows that its lease still holds, in one transaction: a worker that lost
its lease, or reports twice, changes nothing. Results may therefore be reported again after any error.
"""

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from imago_engine.artifacts import ArtifactKind
from imago_engine.objectives import Place, objective_at, place_of
from imago_engine.specs import Recipe
from services.base.plain_text import told
from services.base.states import Lane, State
from services.jobs.job_counters import Change, update_counters
from services.pictures import artifacts
from services.pictures.artifacts import StoredArtifact
from services.queue import batch_crashes, leases, takeable
from services.queue.kinds import TakenBack
from services.queue.leases import Outcome
from services.search import indexing
from services.upkeep import collected

MAX_ATTEMPTS = 3
"""Times that an item may fail by its own fault."""
_RETRIES = {"attempts": MAX_ATTEMPTS, "backoff": 5}


@dataclass(frozen=True)
class Work:
    """One item of a batch; `place` is None for the unit's usual one, `attempt` the number of this execution,
    from 1.
    """

    digest: str
    unit: int
    place: Place | None
    seed: int
    attempt: int


@dataclass(frozen=True)
class Claim:
    """A batch under a lease: items of one network, layer, generator, recipe and version of its technique, for
    `expires_in` seconds."""

    lease_id: int
    batch_key: str
    network_id: str
    network_sha256: str
    layer: str
    generator_id: str | None
    recipe: Recipe
    version: str
    items: tuple[Work, ...]
    lane: Lane
    expires_in: float


@dataclass(frozen=True)
class Finished:
    """A picture whose objects are in the store, the image among them. `activation` is finite, and `score` if
    there is one; `crop_box` is (left, top, right, bottom). `embedding` is what `eye` makes of it, both None
    where it was not looked at.
    """

    digest: str
    activation: float
    predictions: Sequence[Any] | None
    artifacts: Sequence[StoredArtifact]
    crop_box: Sequence[int] | None
    provenance: Mapping[str, Any]
    score: float | None = None
    eye: str | None = None
    embedding: Sequence[float] | None = None

    @property
    def objects(self) -> tuple[str, ...]:
        """The keys of its objects."""
        return tuple(artifact.object for artifact in self.artifacts)

    def __post_init__(self) -> None:
        if not math.isfinite(self.activation):
            raise ValueError(f"activation must be finite, got {self.activation}")
        kinds = [artifact.kind for artifact in self.artifacts]
        if ArtifactKind.IMAGE not in kinds or len({*kinds}) < len(kinds):
            raise ValueError(f"each kind of artifact is given once, the image always; got {kinds}")


@dataclass(frozen=True)
class Failure:
    """An item's own error, in words for the person who asked for it."""

    digest: str
    code: str
    message: str
    retryable: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", told(self.message))


_RECIPE = text("""
    SELECT technique, parameters FROM recipes
    WHERE digest = (SELECT recipe_digest FROM visualizations WHERE digest = :digest)
""")
_BATCH = text("""
    SELECT digest FROM visualizations
    WHERE state = 'queued' AND lane = :lane AND batch_key = :batch_key AND crash_count = 0
    AND (not_before IS NULL OR not_before <= now())
    ORDER BY queue_order LIMIT :limit
    FOR NO KEY UPDATE SKIP LOCKED
""")
_TAKE = text("""
    UPDATE visualizations v SET state = 'leased', lease_id = :lease, not_before = NULL
    WHERE v.digest = ANY(CAST(:digests AS text[]))
    RETURNING v.digest, v.network_id, v.network_sha256, v.layer, v.unit, v.position_y, v.position_x, v.token,
        v.generator_id, v.seed, v.engine, v.attempt, v.queue_order
""")
_START_JOBS = text("""
    UPDATE jobs SET state = 'running', started_at = clock_timestamp()
    WHERE id IN (
        SELECT id FROM jobs
        WHERE state = 'queued'
        AND id IN (SELECT job_id FROM job_visualizations WHERE digest = ANY(CAST(:digests AS text[])))
        ORDER BY id FOR NO KEY UPDATE
    )
""")
_CANCELED = text("SELECT digest FROM visualizations WHERE lease_id = :lease AND state = 'canceled'")
_LOCK_HELD = text("""
    SELECT digest, state FROM visualizations WHERE lease_id = :lease ORDER BY digest FOR NO KEY UPDATE
""")
_FINISH = text(f"""
    WITH kept AS ({artifacts.INSERT}), {indexing.FINISHED}
    UPDATE visualizations v SET
        state = 'done', lease_id = NULL, error = NULL, finished_at = clock_timestamp(),
        activation = r.activation, score = r.score, predictions = r.predictions, crop_box = r.crop_box,
        provenance = r.provenance, eye = r.eye
    FROM jsonb_to_recordset(CAST(:results AS jsonb)) AS r (digest text, activation float, score float,
        predictions jsonb, crop_box jsonb, provenance jsonb, eye text)
    WHERE v.digest = r.digest
    RETURNING v.digest, v.state, v.error
""")
_UNREACHABLE = text("""
    UPDATE visualizations v SET
        state = 'unreachable', lease_id = NULL, error = NULL, finished_at = clock_timestamp(),
        provenance = r.provenance
    FROM jsonb_to_recordset(CAST(:results AS jsonb)) AS r (digest text, provenance jsonb)
    WHERE v.digest = r.digest
    RETURNING v.digest, v.state, v.error
""")
_FAIL = text("""
    UPDATE visualizations v SET
        state = CASE WHEN again THEN 'queued' ELSE 'failed' END,
        finished_at = CASE WHEN again THEN NULL ELSE clock_timestamp() END,
        not_before = CASE WHEN again
            THEN clock_timestamp() + make_interval(secs => :backoff * power(2, old.attempt)) END,
        attempt = old.attempt + 1, lease_id = NULL,
        error = jsonb_build_object('code', r.code, 'message', r.message, 'retryable', r.retryable)
    FROM jsonb_to_recordset(CAST(:results AS jsonb)) AS r (
        digest text, code text, message text, retryable boolean)
    JOIN visualizations old ON old.digest = r.digest
    CROSS JOIN LATERAL (SELECT r.retryable AND old.attempt + 1 < :attempts AS again) AS rule
    WHERE v.digest = r.digest
    RETURNING v.digest, v.state, v.error
""")
_RELEASE = text("""
    UPDATE visualizations SET state = CASE state WHEN 'leased' THEN 'queued' ELSE state END, lease_id = NULL
    WHERE digest = ANY(CAST(:digests AS text[]))
""")


def interactive_waits(session: Session, *, lacks: Collection[str] = ()) -> bool:
    """Whether a claim of the interactive lane would find something now."""
    return takeable.waits(session, lanes=[Lane.INTERACTIVE], lacks=lacks)


def claim(
    session: Session,
    worker_id: str,
    *,
    limit: int,
    lease_seconds: float,
    size: Callable[[str, Recipe], int] | None = None,
    lanes: Sequence[str] = takeable.LANES,
    lacks: Collection[str] = (),
) -> Claim | None:
    """Take the item whose turn it is in the first lane that has one, and up to `limit` - 1 that fit to it.

    `size` is told the batch key and the recipe of that item, and says how many of the kind make a batch where
    that is less than `limit`. None when nothing waits.

    Items are taken when the transaction commits; nobody else gets them until the lease expires, and nobody
    who takes or holds items is waited for. An item that was in a batch when a worker died is taken alone, so
    that it can only harm itself. Jobs that get their first item taken become `running`. What
    needs something of `lacks` (`network:ID`, `generator:ID`, `batch:KEY`) is left to others.
    """
    for lane in lanes:
        head = takeable.head(session, lane, lacks)
        if head is not None:
            break
    else:
        return None
    digests, recipe = [head.digest], _recipe(session, head.digest)
    if head.crash_count == 0:
        wanted = limit if size is None else min(limit, size(head.batch_key, recipe))
        batch = {"lane": lane, "batch_key": head.batch_key, "limit": wanted}
        digests = list(session.scalars(_BATCH, batch))
    lease_id = leases.open_lease(
        session, BATCHES.name, worker_id, lease_seconds=lease_seconds, items=len(digests)
    )
    rows = session.execute(_TAKE, {"lease": lease_id, "digests": digests}).all()
    session.execute(_START_JOBS, {"digests": digests})
    first = rows[0]
    return Claim(
        lease_id,
        head.batch_key,
        first.network_id,
        first.network_sha256,
        first.layer,
        first.generator_id,
        recipe,
        first.engine,
        tuple(_work(row) for row in sorted(rows, key=lambda row: row.queue_order)),
        Lane(lane),
        lease_seconds,
    )


def conclude(
    session: Session,
    lease_id: int,
    *,
    finished: Sequence[Finished] = (),
    unreachable: Sequence[tuple[str, Mapping[str, Any]]] = (),
    failures: Sequence[Failure] = (),
) -> set[str]:
    """End items, each in its way, and the jobs and the lease that have nothing left, in the caller's
    transaction.

    Call it once in a transaction, with all there is to say: it locks jobs, and a second time would lock them
    out of their order. An item in several lists counts in the first. `unreachable` are (digest, provenance):
    no gradient reaches the code. `failures` charge their items an attempt: retryable ones are queued again
    until `MAX_ATTEMPTS` are used up, and wait before the next one, longer each time; others fail. They are
    for the items' own errors only: what the infrastructure did to them costs no attempt, see `release`.

    Returns the digests that were accepted: those that the lease still held. Put the objects first; an item of
    which one may have been collected again meanwhile is queued again. When the commit is in doubt, call it
    again: what was accepted once is not accepted twice.
    """
    if finished:
        collected.enter(session)
    held = _hold(session, lease_id)
    if held is None:
        return set()
    again = collected.doomed_items(session, lease_id, {result.digest: result.objects for result in finished})
    again &= held.keys()
    if again:
        session.execute(_RELEASE, {"digests": list(again)})
    unreached = [{"digest": digest, "provenance": dict(provenance)} for digest, provenance in unreachable]
    ways: list[tuple[TextClause, list[dict[str, Any]], dict[str, int]]] = [
        (_FINISH, [asdict(result) for result in finished], {}),
        (_UNREACHABLE, unreached, {}),
        (_FAIL, [vars(failure) for failure in failures], _RETRIES),
    ]
    accepted: set[str] = set()
    changes: dict[str, Change] = {}
    for statement, results, rule in ways:
        # Per digest, so that a result given twice is one.
        new = {
            result["digest"]: result
            for result in results
            if held.get(result["digest"]) == State.LEASED and result["digest"] not in accepted | again
        }
        if new:
            given: dict[str, Any] = {"results": json.dumps(list(new.values()), allow_nan=False), **rule}
            for row in session.execute(statement, given):
                changes[row.digest] = Change(State.LEASED, State(row.state), row.error)
            accepted |= new.keys()
    let_go = {digest for digest in again if held[digest] == State.CANCELED}
    _close(session, lease_id, held, accepted | again, changes, let_go, outcome="finished")
    return accepted


def release(session: Session, lease_id: int, digests: Collection[str] | None = None) -> set[str]:
    """Give items back, or all that the lease holds, without an attempt charged; they keep their turn.

    Returns those that are queued again. Canceled ones are let go, which ends the jobs that waited for that.
    """
    held = _hold(session, lease_id)
    if held is None:
        return set()
    chosen = [digest for digest in held if digests is None or digest in digests]
    session.execute(_RELEASE, {"digests": chosen})
    let_go = {digest for digest in chosen if held[digest] == State.CANCELED}
    _close(session, lease_id, held, chosen, {}, let_go, outcome="released")
    return set(chosen) - let_go


class _Batches:
    """Batches of pictures, as a kind of work."""

    name = "batch"

    def canceled(self, session: Session, lease_id: int) -> frozenset[str]:
        return frozenset(session.scalars(_CANCELED, {"lease": lease_id}))

    def give_back(self, session: Session, lease_id: int) -> None:
        release(session, lease_id)

    def take_back(self, session: Session, lease_ids: Sequence[int]) -> TakenBack:
        return batch_crashes.take_back(session, lease_ids)


BATCHES = _Batches()


def _hold(session: Session, lease_id: int) -> dict[str, State] | None:
    """Lock the lease, then all rows that it holds; None if it has ended."""
    if not leases.hold(session, lease_id):
        return None
    return {digest: State(state) for digest, state in session.execute(_LOCK_HELD, {"lease": lease_id})}


def _close(
    session: Session,
    lease_id: int,
    held: Mapping[str, State],
    given_up: Collection[str],
    changes: Mapping[str, Change],
    let_go: set[str],
    *,
    outcome: Outcome,
) -> None:
    """End the lease if it has nothing left to compute, and let the jobs follow."""
    left = [digest for digest in held if digest not in set(given_up)]
    ends = all(held[digest] == State.CANCELED for digest in left)
    if ends and left:
        session.execute(_RELEASE, {"digests": left})
        let_go = let_go | set(left)
    if changes:
        leases.settle(session, lease_id, len(changes))
    if ends:
        leases.close(session, lease_id, outcome=outcome)
    update_counters(session, changes, let_go)


def _recipe(session: Session, digest: str) -> Recipe:
    row = session.execute(_RECIPE, {"digest": digest}).one()
    return Recipe(row.technique, row.parameters)


def _work(row: Any) -> Work:
    position = None if row.position_y is None else (row.position_y, row.position_x)
    place = place_of(objective_at(row.layer, row.unit, position=position, token=row.token))
    return Work(row.digest, row.unit, place, row.seed, row.attempt + 1)
