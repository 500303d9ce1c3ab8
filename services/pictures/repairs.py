"""Making again what the store has lost: what is needed for it, and the transaction that ends it.

A repair counts in no job: the visualization is `done` before, meanwhile and afterwards. Its new objects need
not be those that were lost, since GPU arithmetic is not bit-deterministic; the row then points to the new
ones, and what is left of the old ones is collected.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.objectives import Objective
from imago_engine.specs import Spec
from services.base.errors import NotFound
from services.catalog.generators import get_generator
from services.pictures import artifacts, visualizations
from services.pictures.losses import Subject
from services.pictures.recipes import other_version
from services.queue import chores
from services.queue.batches import Finished
from services.queue.chores import WorkClaim
from services.search import indexing
from services.upkeep import collected, tallies


class Irreparable(Exception):
    """It cannot be made again; the message is for people."""


@dataclass(frozen=True)
class LostPicture:
    """A visualization of which an object is lost, and all that it is made from."""

    digest: str
    spec: Spec
    objective: Objective
    generator: str | None


_REPLACE = text("""
    UPDATE visualizations SET activation = :activation, score = :score,
        predictions = CAST(:predictions AS jsonb), crop_box = CAST(:crop_box AS jsonb),
        provenance = CAST(:provenance AS jsonb)
    WHERE digest = :digest AND state = 'done' RETURNING digest
""")
_COUNTS = text("""
    SELECT count(*) FILTER (WHERE NOT given_up) AS waiting, count(*) FILTER (WHERE given_up) AS given_up
    FROM (SELECT given_up FROM work WHERE kind = 'repair' LIMIT :cap) AS noted
""")
COUNT_CAP = 100_000


@dataclass(frozen=True)
class RepairsDepth:
    """Things that are to be made again, and those that were given up; together counted up to `COUNT_CAP`."""

    waiting: int
    given_up: int


def picture(session: Session, digest: str) -> LostPicture:
    """What a picture was made from. Raises `Irreparable` where that is not what it was any more."""
    try:
        found = visualizations.get(session, digest)
    except NotFound as error:
        raise Irreparable(str(error)) from error
    spec = found.spec
    if (other := other_version(spec.technique, spec.version)) is not None:
        raise Irreparable(f"It was made by {other.named}. Submit the unit again to have a picture of it.")
    if spec.digest != digest:
        raise Irreparable(
            f"The network {spec.network} is not what it was when the picture was made. "
            "Submit the unit again to have a picture of it."
        )
    if found.generator is not None and not get_generator(session, found.generator).is_here:
        raise Irreparable(f"The file of the generator {found.generator} is not here.")
    return LostPicture(digest, spec, found.objective, found.generator)


def replace(session: Session, claim: WorkClaim, results: Sequence[Finished]) -> set[str]:
    """Point to the new objects, which are in the store; returns the digests that were accepted.

    Nothing is changed for a claim that has ended. Objects that were collected while they were put again are
    left to the next attempt.
    """
    collected.enter(session)
    by_subject = {str(Subject("visualization", result.digest)): result for result in results}
    held = chores.hold(session, claim.lease_id, by_subject)
    doomed = collected.doomed(session, {key for result in results for key in result.objects})
    accepted = {subject for subject in held if doomed.isdisjoint(by_subject[subject].objects)}
    remade = sorted((by_subject[subject] for subject in accepted), key=lambda result: result.digest)
    there = [result for result in remade if session.execute(_REPLACE, _values(result)).first()]
    if there:
        artifacts.replace(session, {result.digest: result.artifacts for result in there})
        indexing.forget(session, [result.digest for result in there])
    chores.release(session, claim.lease_id, held - accepted, after_seconds=collected.WRITE_SECONDS)
    chores.done(session, claim.lease_id, accepted)
    tallies.add(session, {"repaired": len(accepted)})
    return {by_subject[subject].digest for subject in accepted}


def generator_sha256(session: Session, id: str) -> str:
    """Of a generator's weights. Raises `NotFound`."""
    return get_generator(session, id).weights_sha256


def depth(session: Session) -> RepairsDepth:
    """How many lost pictures wait to be made again, and how many cannot be."""
    row = session.execute(_COUNTS, {"cap": COUNT_CAP}).one()
    return RepairsDepth(row.waiting, row.given_up)


def _values(result: Finished) -> dict[str, Any]:
    return {
        "digest": result.digest,
        "activation": result.activation,
        "score": result.score,
        "predictions": _json(result.predictions),
        "crop_box": _json(result.crop_box),
        "provenance": _json(result.provenance),
    }


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, allow_nan=False)
