"""Generators: what turns a code into an image. A name stands for one file of weights for ever."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from imago_engine.techniques.automatic import WITH_GENERATOR
from services.base.errors import Conflict, FieldError, Invalid, NotFound
from services.base.paging import Page, page_of
from services.base.suggestions import did_you_mean
from services.catalog import looks
from services.catalog.insertion import inserted_or_there
from services.catalog.tables import GeneratorRow
from services.pictures import recipes

_LOCK = 0x696D61676F02
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
_NEEDED = {"architecture": str, "code_shape": list, "image_size": int, "encoder": str}


@dataclass(frozen=True)
class Generator:
    """Its file lies in the store under `storage.generator_key(weights_sha256)`, unless it is not `is_here`:
    then nothing can be made with it. `info` is the file's own description of itself.
    """

    id: str
    weights_sha256: str
    architecture: str
    code_shape: tuple[int, ...]
    image_size: int
    encoder: str
    info: Mapping[str, Any]
    is_default: bool
    is_here: bool
    created_at: datetime

    @property
    def recommended(self) -> Mapping[str, Any]:
        """The parameters of a recipe that suit it; others keep the technique's defaults."""
        recommended: Mapping[str, Any] = self.info.get("recommended") or {}
        return recommended


def register_generator(
    session: Session,
    name: str,
    info: Mapping[str, Any],
    sha256: str,
    *,
    default: bool = False,
    owner: str | None = None,
) -> Generator:
    """Add a generator whose file is in the store. `owner` is the id of the key that had it made, None for the
    operator of the service. With `default` it becomes the one that jobs use that name none, if its file was
    not here before, or if there is no such one: so that workers of two releases, or with files of their own,
    do not take that from each other whenever one of them starts.

    Raises `Invalid` when `info` lacks a field or recommends parameters that no recipe could have, `Conflict`
    when the name stands for other weights or the weights have another name. One registration runs at a time.
    """
    _check(name, info, sha256)
    session.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    here = sa.select(GeneratorRow.id).where(GeneratorRow.is_here)
    was_here = session.scalar(here.where(GeneratorRow.id == name)) is not None
    added = (
        insert(GeneratorRow)
        .values(
            id=name,
            weights_sha256=sha256,
            info=dict(info),
            owner_key_id=owner,
            **{field: info[field] for field in _NEEDED},
        )
        .on_conflict_do_nothing()
    )
    known = sa.or_(GeneratorRow.id == name, GeneratorRow.weights_sha256 == sha256)
    locking = sa.select(GeneratorRow).where(known).order_by(GeneratorRow.id).with_for_update(key_share=True)
    for row in inserted_or_there(session, added, locking, f"The generator {name!r}"):
        if row.id != name:
            raise Conflict(f"The weights of {name!r} are registered already, under the name {row.id!r}.")
        if row.weights_sha256 != sha256:
            raise Conflict(
                f"The generator {name!r} has the weights {row.weights_sha256[:12]}…; got {sha256[:12]}…. "
                "Pictures are named by their generator's weights: choose another name."
            )
        row.info, row.is_here = dict(info), True
        session.flush()
        if default and not (was_here and session.scalar(here.where(GeneratorRow.is_default))):
            _make_default(session, row)
    return get_generator(session, name)


def make_default(session: Session, name: str) -> Generator:
    """Have jobs that name no generator use this one from now on.

    Raises `NotFound`, and `Conflict` where its file is not here.
    """
    session.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    locking = sa.select(GeneratorRow).where(GeneratorRow.id == name).with_for_update(key_share=True)
    row = session.scalars(locking.execution_options(populate_existing=True)).first()
    if row is None:
        return get_generator(session, name)  # which says what there is
    if not row.is_here:
        raise Conflict(f"The file of the generator {name!r} is not here: nothing can be made with it.")
    _make_default(session, row)
    return get_generator(session, name)


def _make_default(session: Session, row: GeneratorRow) -> None:
    """The caller holds the lock and has locked the row."""
    if row.is_default:
        return
    others = sa.update(GeneratorRow).where(GeneratorRow.is_default, GeneratorRow.id != row.id)
    session.execute(others.values(is_default=False))
    row.is_default = True
    session.flush()
    looks.plan_all(session)


def register_absent(session: Session, name: str, info: Mapping[str, Any], sha256: str) -> str:
    """Add a generator that pictures were made with whose file is not here, unless the file is known; returns
    its name here, which another one may have taken. With the file, `register_generator` makes it whole.

    Raises `Invalid` when `info` lacks a field.
    """
    _check(name, info, sha256)
    session.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    known = session.scalar(sa.select(GeneratorRow.id).where(GeneratorRow.weights_sha256 == sha256))
    if known is not None:
        return known
    if session.get(GeneratorRow, name) is not None:
        name = f"{name[:103]}-{sha256[:16]}"
    fields = {field: info[field] for field in _NEEDED}
    added = insert(GeneratorRow).values(
        id=name, weights_sha256=sha256, info=dict(info), is_here=False, **fields
    )
    session.execute(added)
    return name


def name_of(session: Session, sha256: str) -> str | None:
    """The generator that has these weights, None where none has them."""
    return session.scalar(sa.select(GeneratorRow.id).where(GeneratorRow.weights_sha256 == sha256))


def check_name(name: str) -> list[FieldError]:
    """What is wrong with a generator's name, at `/name`."""
    if _NAME.fullmatch(name):
        return []
    return [FieldError("/name", f"must be letters, digits, '.', '_' and '-', 120 at most; got {name!r}")]


def _check(name: str, info: Mapping[str, Any], sha256: str) -> None:
    errors = check_name(name)
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        errors.append(FieldError("/sha256", f"must be 64 hex digits; got {sha256!r}"))
    for field, kind in _NEEDED.items():
        if not isinstance(info.get(field), kind):
            errors.append(FieldError(f"/info/{field}", f"must be a {kind.__name__}; got {info.get(field)!r}"))
    if errors:
        raise Invalid(errors)
    try:
        recipes.resolve(WITH_GENERATOR, info.get("recommended") or {}, {})
    except Invalid as error:
        raise error.told_at({"/recipe/parameters": "/info/recommended"}) from None


def list_generators(session: Session, *, cursor: str | None = None, limit: int = 50) -> Page[Generator]:
    """Generators by name. Raises `Invalid` for a wrong cursor or limit."""
    rows = page_of(
        session, sa.select(GeneratorRow), GeneratorRow.id, name="generators", cursor=cursor, limit=limit
    )
    return rows.map(_view)


def get_generator(session: Session, name: str | None = None) -> Generator:
    """The generator of that name, or the default one. Raises `NotFound`."""
    wanted = GeneratorRow.is_default if name is None else GeneratorRow.id == name
    row = session.scalars(
        sa.select(GeneratorRow).where(wanted).execution_options(populate_existing=True)
    ).first()
    if row is None:
        hint = did_you_mean(session, sa.select(GeneratorRow.id), name or "default", "There are")
        raise NotFound(
            "generator", name or "default", hint or "A worker registers the shipped one as it starts."
        )
    return _view(row)


def _view(row: GeneratorRow) -> Generator:
    return Generator(
        row.id,
        row.weights_sha256,
        row.architecture,
        tuple(row.code_shape),
        row.image_size,
        row.encoder,
        row.info,
        row.is_default,
        row.is_here,
        row.created_at,
    )
