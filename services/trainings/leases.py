"""Trainings as a kind of work: claim one, report and save its progress, end it or give it back.

Every change names the lease that the claim has given. A worker that lost its lease
changes nothing, and hears so; what is reported twice takes effect once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.errors import Conflict
from services.base.object_keys import generator_key
from services.base.plain_text import told
from services.catalog.generators import name_of, register_generator
from services.queue import leases
from services.queue.crash_rule import CRASHES_ALONE
from services.queue.kinds import TakenBack
from services.queue.refusals import could_try
from services.trainings.request import TrainingRequest
from services.upkeep import collected

LEFT_SECONDS = 600.0
"""For how long a training that one worker could not go on with is left to the others, which may be busy."""


@dataclass(frozen=True)
class TrainingClaim:
    """A training under a lease; the objects are those of its last checkpoint, if there is one."""

    id: str
    lease_id: int
    name: str
    request: TrainingRequest
    checkpoint_object: str | None
    log_object: str | None
    pictures: int


class SameWeights(Conflict):
    """A training came to a generator that there is already, under another name."""


@dataclass(frozen=True)
class Sample:
    """Held-out metrics after so many pictures, and the key of the grid that shows them."""

    pictures: int
    held_out: Mapping[str, float]
    image_object: str | None
    at: datetime


_HEAD = text(f"""
    SELECT id FROM trainings WHERE state = 'queued' AND not_before <= clock_timestamp()
    AND (:worker <> ALL (refused_by) OR NOT EXISTS ({could_try("trainings.refused_by")})
        OR not_before <= clock_timestamp() - make_interval(secs => :left))
    ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
""")
_TAKE = text("""
    UPDATE trainings SET state = 'running', lease_id = :lease,
        started_at = coalesce(started_at, clock_timestamp())
    WHERE id = :id RETURNING name, request, checkpoint_object, log_object, progress
""")
_CANCELED = text("SELECT id FROM trainings WHERE lease_id = :lease AND state = 'canceling'")
_OF_LEASE = text("SELECT id FROM trainings WHERE lease_id = :lease")
_HOLD = text("""
    SELECT state, checkpoint_object, log_object, owner_key_id, progress, refused_by, stuck_since, setbacks
    FROM trainings WHERE id = :id AND lease_id = :lease FOR NO KEY UPDATE
""")
_REPORT = text("""
    UPDATE trainings SET progress = progress || CAST(:progress AS jsonb), error = NULL,
        refused_by = array_remove(refused_by, (SELECT worker_id FROM leases WHERE id = :lease))
    WHERE id = :id
""")
_SAMPLES = text("""
    INSERT INTO training_samples (training_id, pictures, held_out, image_object, created_at)
    SELECT :id, s.pictures, s.held_out, s.image_object, s.at
    FROM jsonb_to_recordset(CAST(:samples AS jsonb)) AS s (
        pictures bigint, held_out jsonb, image_object text, at timestamptz)
    ON CONFLICT (training_id, pictures) DO UPDATE
    SET held_out = excluded.held_out,
        image_object = coalesce(excluded.image_object, training_samples.image_object)
""")
# What is saved again as it was, before something fails for the same reason again, has not gone on. Its bytes
# alone do not tell: a checkpoint names the machine that it was computed on.
_AS_IT_WAS = """coalesce(
    progress -> 'saved' = CAST(:progress AS jsonb) -> 'saved',
    split_part(checkpoint_object, '/', 4) = split_part(:checkpoint, '/', 4), false)"""
_SAVE = text(f"""
    UPDATE trainings SET checkpoint_object = :checkpoint, log_object = :log, deaths = 0,
        error = NULL,
        stuck_since = CASE WHEN {_AS_IT_WAS} THEN stuck_since END,
        setbacks = CASE WHEN {_AS_IT_WAS} THEN setbacks ELSE 0 END,
        progress = progress || CAST(:progress AS jsonb)
    WHERE id = :id
""")
# A canceled one that is let go has nothing more to wait for.
_LET_GO = text("""
    UPDATE trainings SET lease_id = NULL,
        state = CASE state WHEN 'canceling' THEN 'canceled' ELSE 'queued' END,
        finished_at = CASE state WHEN 'canceling' THEN clock_timestamp() END,
        error = CASE state WHEN 'canceling' THEN NULL ELSE error END
    WHERE id = :id
""")
_FAIL = text("""
    UPDATE trainings SET state = 'failed', lease_id = NULL,
        finished_at = clock_timestamp(),
        error = jsonb_build_object('code', CAST(:code AS text), 'message', CAST(:message AS text))
    WHERE id = :id
""")
_SUCCEED = text("""
    UPDATE trainings SET state = 'succeeded', lease_id = NULL,
        finished_at = clock_timestamp(), generator_id = :generator, log_object = :log, card_object = :card,
        error = NULL,
        progress = progress || CAST(:progress AS jsonb)
    WHERE id = :id
""")
# A death is not the training's where its worker was at something beside it.
_TAKE_BACK = text("""
    WITH taken AS (
        SELECT trainings.id, trainings.deaths + CASE WHEN EXISTS (
            SELECT FROM leases later WHERE later.id > leases.id AND later.worker_id = leases.worker_id
            AND later.kind <> 'training' AND (later.ended_at IS NULL OR later.outcome = 'expired')
        ) THEN 0 ELSE 1 END AS deaths
        FROM trainings JOIN leases ON leases.id = trainings.lease_id
        WHERE trainings.lease_id = ANY(CAST(:leases AS bigint[]))
        ORDER BY trainings.id FOR NO KEY UPDATE OF trainings
    )
    UPDATE trainings SET lease_id = NULL, deaths = taken.deaths,
        state = CASE WHEN state = 'canceling' THEN 'canceled' WHEN taken.deaths >= :deaths THEN 'failed'
            ELSE 'queued' END,
        finished_at = CASE WHEN state = 'canceling' OR taken.deaths >= :deaths THEN clock_timestamp() END,
        error = CASE WHEN state = 'canceling' THEN NULL WHEN taken.deaths >= :deaths
            THEN jsonb_build_object('code', 'poisoned', 'message', CAST(:message AS text)) ELSE error END
    FROM taken WHERE trainings.id = taken.id
    RETURNING state
""")


def claim(session: Session, worker_id: str, *, lease_seconds: float) -> TrainingClaim | None:
    """Take the training that has waited longest, or None. Nobody is waited for.

    One that this worker could not go on with is left for a while to those that could still try.
    """
    id: str | None = session.execute(_HEAD, {"worker": worker_id, "left": LEFT_SECONDS}).scalar()
    if id is None:
        return None
    lease_id = leases.open_lease(session, TRAININGS.name, worker_id, lease_seconds=lease_seconds)
    row = session.execute(_TAKE, {"id": id, "lease": lease_id}).one()
    return TrainingClaim(
        id,
        lease_id,
        row.name,
        TrainingRequest.model_validate(row.request),
        row.checkpoint_object,
        row.log_object,
        int(row.progress.get("pictures") or 0),
    )


def report(
    session: Session, id: str, lease_id: int, progress: Mapping[str, Any], samples: Sequence[Sample] = ()
) -> bool:
    """Note how far it is: members of `progress` replace those there are. False if the lease is lost.

    Raises `Unavailable` when a sample's object may have been collected meanwhile: put it again.
    """
    collected.guard(session, _grids(samples))
    if held(session, id, lease_id) is None:
        return False
    session.execute(_REPORT, {"id": id, "lease": lease_id, "progress": json.dumps(progress)})
    _add_samples(session, id, samples)
    return True


def save(
    session: Session, id: str, lease_id: int, checkpoint: str, log: str, progress: Mapping[str, Any]
) -> tuple[str, ...] | None:
    """Point to a checkpoint and a log that are in the store; None if the lease is lost. `saved` of `progress`
    tells how many pictures the checkpoint has seen.

    Returns the keys that nothing points to any more: delete them after the commit.
    """
    row = held(session, id, lease_id)
    if row is None:
        return None
    session.execute(_SAVE, {"id": id, "checkpoint": checkpoint, "log": log, "progress": json.dumps(progress)})
    return tuple(
        key for key in (row.checkpoint_object, row.log_object) if key and key not in (checkpoint, log)
    )


def release(session: Session, id: str, lease_id: int) -> bool:
    """Give it back, to go on from its checkpoint; a canceled one ends. False if the lease is lost."""
    if held(session, id, lease_id) is None:
        return False
    session.execute(_LET_GO, {"id": id})
    leases.close(session, lease_id, outcome="released")
    return True


def fail(session: Session, id: str, lease_id: int, code: str, message: str) -> bool:
    """End it for a reason, in words for the person who asked for it. A canceled one ends as canceled."""
    row = held(session, id, lease_id)
    if row is None:
        return False
    if row.state == "canceling":
        return release(session, id, lease_id)
    session.execute(_FAIL, {"id": id, "code": code, "message": told(message)})
    leases.close(session, lease_id, outcome="finished")
    return True


def finish(
    session: Session,
    training: TrainingClaim,
    *,
    info: Mapping[str, Any],
    sha256: str,
    log: str,
    card: str | None,
    progress: Mapping[str, Any],
    samples: Sequence[Sample],
) -> str | None:
    """Register the generator, whose file is in the store, and end the training: both or neither.

    Returns the generator's id; None if the lease is lost, or ends here because the training was canceled. The
    name is the training's own since it was submitted; should another registration have got it all the same,
    the weights' hash is added to it. Raises `SameWeights` where there is such a generator already, and
    `Unavailable` when an object may have been collected meanwhile: put all of them again.
    """
    collected.guard(session, [generator_key(sha256), *_grids(samples)])
    row = held(session, training.id, training.lease_id)
    if row is None:
        return None
    if row.state == "canceling":
        release(session, training.id, training.lease_id)
        return None
    generator = None
    for name in (training.name, f"{training.name}-{sha256[:8]}"):
        try:
            with session.begin_nested():
                generator = register_generator(session, name, info, sha256, owner=row.owner_key_id)
            break
        except Conflict:
            continue
    if generator is None:
        raise SameWeights(
            f"It came to the very weights of the generator {name_of(session, sha256)!r}, which it would only "
            "repeat: the same pictures, options and seed give the same generator. Use that one."
        )
    _add_samples(session, training.id, samples)
    session.execute(
        _SUCCEED,
        {
            "id": training.id,
            "generator": generator.id,
            "log": log,
            "card": card,
            "progress": json.dumps(progress),
        },
    )
    leases.settle(session, training.lease_id, 1)
    leases.close(session, training.lease_id, outcome="finished")
    return generator.id


class _Trainings:
    """Trainings, as a kind of work: one a lease."""

    name = "training"

    def canceled(self, session: Session, lease_id: int) -> frozenset[str]:
        return frozenset(session.scalars(_CANCELED, {"lease": lease_id}))

    def give_back(self, session: Session, lease_id: int) -> None:
        id: str | None = session.execute(_OF_LEASE, {"lease": lease_id}).scalar()
        if id is not None:
            release(session, id, lease_id)

    def take_back(self, session: Session, lease_ids: Sequence[int]) -> TakenBack:
        """Queue them again. One whose worker vanishes again and again before it can store a checkpoint fails
        as `poisoned`."""
        message = (
            f"The worker died {CRASHES_ALONE} times while it trained, "
            "each time before it stored a checkpoint."
        )
        given = {"leases": list(lease_ids), "deaths": CRASHES_ALONE, "message": message}
        states = list(session.scalars(_TAKE_BACK, given))
        return TakenBack(queued=states.count("queued"), poisoned=states.count("failed"))


TRAININGS = _Trainings()


def _grids(samples: Sequence[Sample]) -> list[str]:
    return [sample.image_object for sample in samples if sample.image_object is not None]


def held(session: Session, id: str, lease_id: int) -> Any:
    """The row, locked after its lease, if this lease still holds it."""
    if not leases.hold(session, lease_id):
        return None
    return session.execute(_HOLD, {"id": id, "lease": lease_id}).first()


def _add_samples(session: Session, id: str, samples: Sequence[Sample]) -> None:
    # A training that goes on from its checkpoint passes some numbers of pictures again: the last one counts.
    latest = {sample.pictures: sample for sample in samples}
    if latest:
        rows = [{**vars(sample), "at": sample.at.isoformat()} for sample in latest.values()]
        session.execute(_SAMPLES, {"id": id, "samples": json.dumps(rows, allow_nan=False)})
