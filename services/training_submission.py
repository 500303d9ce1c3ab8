"""Submitting a training: everything that can be known is checked, then one row is written."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services import catalog
from services.canonical import sha256_of
from services.errors import FieldError, Invalid, NotFound
from services.generators import check_name
from services.ids import new_id
from services.requested import replayed
from services.schema import GeneratorRow, TrainingRow
from services.states import ENDED_TRAININGS
from services.training_request import TrainingRequest


@dataclass(frozen=True)
class Submitted:
    """`created` is False for a repeated submission."""

    id: str
    created: bool


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
    asked = request.model_dump(mode="json")
    request_hash = sha256_of({"name": name, **asked})
    if idempotency_key is not None:
        known = replayed(session, TrainingRow, owner, idempotency_key, request_hash)
        if known is not None:
            return Submitted(known.id, created=False)
    layer = _checked(session, name, request, data_root)
    asked["encoder"]["layer"] = layer
    training_id = session.scalar(
        insert(TrainingRow)
        .values(
            id=new_id("trn"),
            name=name,
            request=asked,
            owner_key_id=owner,
            idempotency_key=idempotency_key,
            request_hash=request_hash,
        )
        .on_conflict_do_nothing()
        .returning(TrainingRow.id)
    )
    if training_id is not None:
        return Submitted(training_id, created=True)
    # Submitted at the same moment: the insert has waited for that one to commit.
    known = None
    if idempotency_key is not None:
        known = replayed(session, TrainingRow, owner, idempotency_key, request_hash)
    if known is None:
        raise Invalid.field("/name", _taken(name, "a training"))
    return Submitted(known.id, created=False)


def _checked(session: Session, name: str, request: TrainingRequest, data_root: Path | None) -> str:
    """The encoder's layer as the catalog calls it. Raises `Invalid` with everything that is wrong."""
    errors = [*check_name(name)]
    if session.get(GeneratorRow, name) is not None:
        errors.append(FieldError("/name", _taken(name, "a generator")))
    elif session.scalar(
        sa.select(TrainingRow.id).where(TrainingRow.name == name, TrainingRow.state.not_in(ENDED_TRAININGS))
    ):
        errors.append(FieldError("/name", _taken(name, "a training that has not ended")))
    layer, wrong = _encoder(session, request)
    errors += wrong
    if request.pictures is None and request.until is None and request.preset is None:
        errors.append(
            FieldError("/training/pictures", "is required unless until or a preset says when to end")
        )
    if request.until is not None and request.until <= datetime.now(UTC):
        errors.append(
            FieldError("/training/until", f"must be in the future; got {request.until.isoformat()}")
        )
    # A process that does not see the folder leaves it to the worker.
    if data_root is not None and data_root.is_dir():
        errors += [
            FieldError(f"/training/sources/{index}", f"{source!r} does not exist below the data root")
            for index, source in enumerate(request.sources)
            if not (data_root / source).exists()
        ]
    if errors:
        raise Invalid(errors)
    return layer


def _encoder(session: Session, request: TrainingRequest) -> tuple[str, list[FieldError]]:
    wanted = request.encoder
    where = "/training/encoder/network"
    try:
        network = catalog.get_network(session, wanted.network)
    except NotFound as error:
        return "", [FieldError(where, str(error))]
    if network.state != "ready":
        detail = f"{network.id!r} is {network.state}" + (f": {network.error}" if network.error else "")
        return "", [FieldError(where, f"{detail}; it can be inverted once it is ready")]
    if network.source == "file":
        return "", [
            FieldError(
                where,
                f"{network.id!r} is a file of weights; only networks known by their id can be inverted",
            )
        ]
    try:
        return catalog.get_layer(session, network.id, wanted.layer).name, []
    except NotFound as error:
        return "", [FieldError("/training/encoder/layer", str(error))]


def _taken(name: str, by: str) -> str:
    return f"{name!r} is the name of {by} already; a name stands for one generator for ever, choose another"
