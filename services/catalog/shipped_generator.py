"""Register the generator that comes with the code, so that a first job needs no preparation."""

from pathlib import Path

import structlog
from sqlalchemy import func, select

from imago_engine.generators import GeneratorFileError, read_description
from services.base.database import Database
from services.base.errors import Conflict, Invalid
from services.base.storage import ObjectStore, generator_key, sha256_of_file
from services.catalog.generators import register_generator
from services.upkeep import collected

log = structlog.get_logger()


def register_shipped_generator(database: Database, store: ObjectStore, path: Path) -> None:
    """Bring the file at `path` into the store and register it; it becomes the default generator if it was not
    known before.

    A file that cannot be used is reported, not fatal: jobs may name other generators. Raises `Unavailable`
    when the database or the store is away.
    """
    if not path.is_file():
        log.warning("no_shipped_generator", path=str(path))
        return
    try:
        info = read_description(path)
        sha256 = sha256_of_file(path)
        with database.session() as session:
            began = session.execute(select(func.clock_timestamp())).scalar_one()
        # First the object, then the row that points to it.
        if not store.has(generator_key(sha256)):
            store.put_file(generator_key(sha256), path)
        # A release may ship better weights. Names stand for one file for ever, so the name says which.
        name = f"imago-{info.get('image_size')}-{sha256[:8]}"
        with database.session() as session:
            collected.guard(session, [generator_key(sha256)], since=began)
            known = register_generator(session, name, info, sha256, default=True)
        if not known.is_default:
            log.warning(
                "shipped_generator_is_not_default",
                generator=name,
                how=f"python -m infra.admin default {name}",
            )
    except (GeneratorFileError, OSError, Invalid, Conflict) as error:
        log.error("shipped_generator_refused", path=str(path), error=str(error))
