"""The generator that a training starts from."""

from pathlib import Path

from services.base.database import Database
from services.base.errors import NotFound
from services.base.storage import ObjectStore
from services.catalog import catalog
from worker.loading.generator_cache import GeneratorCache, GeneratorFileAbsent


class StartRefused(ValueError):
    """A training cannot start from the generator that was asked for; the message is for people."""


class TrainingStart:
    """Its weights are known from the catalog; its file is brought to this machine when it is asked for."""

    def __init__(self, generator: str, database: Database, store: ObjectStore, cache: Path) -> None:
        """Raises `StartRefused`, or `Unavailable`."""
        self.generator = generator
        self._files = GeneratorCache(store, cache / "generators")
        try:
            with database.session() as session:
                self.sha256 = catalog.get_generator(session, generator).weights_sha256
        except NotFound as error:
            raise StartRefused(str(error)) from error

    @property
    def path(self) -> Path:
        """Where the file lies once it is fetched."""
        return self._files.path_of(self.sha256)

    def fetch(self) -> Path:
        """The file, checked against its hash. Raises `StartRefused`, `Unavailable`, or OSError."""
        try:
            return self._files.locate(self.sha256)
        except GeneratorFileAbsent as error:
            raise StartRefused(f"It cannot start from the generator {self.generator!r}: {error}") from error
