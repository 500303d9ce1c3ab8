"""The generator that a training starts from."""

from pathlib import Path

from services.base.database import Database
from services.base.errors import NotFound
from services.base.storage import ObjectStore
from services.catalog.generators import get_generator
from worker.loading.generator_cache import GeneratorCache, GeneratorFileAbsent


class StartRefused(ValueError):
    """A training cannot start from the generator that was asked for; the message is for people."""


def fetch_start(generator: str, database: Database, store: ObjectStore, cache: Path) -> Path:
    """Its file, checked against its hash. Raises `StartRefused`, `Unavailable` or OSError."""
    try:
        with database.session() as session:
            sha256 = get_generator(session, generator).weights_sha256
        return GeneratorCache(store, cache / "generators").locate(sha256)
    except NotFound as error:
        raise StartRefused(str(error)) from error
    except GeneratorFileAbsent as error:
        raise StartRefused(f"It cannot start from the generator {generator!r}: {error}") from error
