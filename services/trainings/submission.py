"""Submitting a training: everything that can be known is checked, then one row is written."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.access.fingerprints import as_sent, fingerprint, former_fingerprint
from services.access.idempotency import Submitted, replayed
from services.base.errors import FieldError, Invalid
from services.base.ids import new_id
from services.base.states import ENDED_TRAININGS
from services.catalog.generators import check_name
from services.catalog.tables import GeneratorRow
from services.trainings.checks import settled
from services.trainings.request import TrainingRequest
from services.trainings.tables import TrainingRow

_FORMER_ENCODER: dict[str, Any] = {"encoder": {"grid": 2, "layer": "bn2"}}
_FORMER_DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(("batch", "corrupt_share", "feature_size", "held_out", "image_size", "learning_rate")),
    **dict.fromkeys(("minimum", "pictures", "precision", "preset", "seed", "until", "warm_start")),
    "checkpoint_seconds": 300,
    "encoder": {
        "grid": None,
        "input_size": None,
        "layer": "global_pool",
        "network": "efficientnet_lite0.imagenet",
    },
    "options": {},
    "sample_seconds": 300,
}
"""What the release before filled in before it fingerprinted a request, first where it named no encoder.
Never more, and never changed."""


def submit(
    session: Session,
    name: str,
    request: TrainingRequest,
    *,
    owner: str | None = None,
    idempotency_key: str | None = None,
    data_root: Path | None = None,
) -> Submitted:
    """Queue the training of a generator that will be called `name`; commits with the caller.

    `data_root`: where this process sees the workers' pictures, if it does; sources are then looked for.
    With an idempotency key, the same request again returns the training there is; another request under it
    raises `IdempotencyKeyReused`. Raises `Invalid` for everything else that is wrong, all of it at once.
    """
    sent = {"name": name, **as_sent(request)}
    known_as = [fingerprint(sent), former_fingerprint({**_FORMER_ENCODER, **sent}, _FORMER_DEFAULTS)]
    if idempotency_key is not None:
        known = replayed(session, TrainingRow, owner, idempotency_key, known_as)
        if known is not None:
            return Submitted(known.id, created=False)
    asked = check(session, name, request, data_root)
    training_id = session.scalar(
        insert(TrainingRow)
        .values(
            id=new_id("trn"),
            name=name,
            request=asked,
            owner_key_id=owner,
            idempotency_key=idempotency_key,
            request_hash=known_as[0],
        )
        .on_conflict_do_nothing()
        .returning(TrainingRow.id)
    )
    if training_id is not None:
        return Submitted(training_id, created=True)
    # Submitted at the same moment: the insert has waited for that one to commit.
    known = None
    if idempotency_key is not None:
        known = replayed(session, TrainingRow, owner, idempotency_key, known_as)
    if known is None:
        raise Invalid.field("/name", _taken(name, "a training"))
    return Submitted(known.id, created=False)


def check(session: Session, name: str, request: TrainingRequest, data_root: Path | None) -> dict[str, Any]:
    """The request as it is kept. Raises `Invalid` with everything that is wrong; writes nothing."""
    return settled(session, request, data_root, _name(session, name))


def _name(session: Session, name: str) -> list[FieldError]:
    errors = check_name(name)
    if session.get(GeneratorRow, name) is not None:
        errors.append(FieldError("/name", _taken(name, "a generator")))
    elif session.scalar(
        sa.select(TrainingRow.id).where(TrainingRow.name == name, TrainingRow.state.not_in(ENDED_TRAININGS))
    ):
        errors.append(FieldError("/name", _taken(name, "a training that has not ended")))
    return errors


def _taken(name: str, by: str) -> str:
    return f"{name!r} is the name of {by} already; a name stands for one generator for ever, choose another"
