"""Generators' files on this machine: fetched from the store once, each checked against its hash."""

from pathlib import Path

from services.base.errors import NotFound
from services.base.settings import Settings
from services.base.storage import Corrupt, ObjectStore, generator_key, sha256_of_file


class GeneratorFileAbsent(Exception):
    """The file is neither here nor, whole, in the store; the message is for people."""


class GeneratorCache:
    """Files named by their hash. Several workers may share the folder; a damaged file is fetched anew."""

    def __init__(self, store: ObjectStore, folder: Path) -> None:
        self._store = store
        self._folder = folder

    def path_of(self, sha256: str) -> Path:
        """Where the file of these weights lies once it is here."""
        return self._folder / f"{sha256}.safetensors"

    def locate(self, sha256: str) -> Path:
        """The file of these weights. Raises `GeneratorFileAbsent`, `Unavailable`, or OSError."""
        path = self.path_of(sha256)
        if path.is_file() and sha256_of_file(path) == sha256:
            return path
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._store.fetch(generator_key(sha256), path)
        except (NotFound, Corrupt) as error:
            raise GeneratorFileAbsent(f"Its file cannot be had from the store. {error}") from error
        return path


def local_file(sha256: str, settings: Settings) -> Path | None:
    """A whole file of these weights on this machine, if there is one: what is shipped, or was fetched."""
    for path in (settings.generator_path, settings.cache_folder / "generators" / f"{sha256}.safetensors"):
        if path.is_file() and sha256_of_file(path) == sha256:
            return path
    return None
