"""Read the pictures that a sheet shows, small where a small one is stored."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor

from PIL import Image
from sqlalchemy import text

from imago_engine.artifacts import ArtifactKind
from services.base.database import Database
from services.base.errors import NotFound
from services.base.storage import Corrupt, ObjectStore
from services.pictures import losses, renditions
from services.pictures.losses import Reason, Subject
from services.pictures.renditions import Rendition
from worker.sheets import drawing

AT_ONCE = 4
"""Objects that are fetched at the same time."""
LACKING_SECONDS = 60.0
"""When to go on with what shows a picture that is lost at present."""
_SMALL = Rendition(ArtifactKind.IMAGE, *renditions.THUMBNAIL).kind
_OBJECTS = text("""
    SELECT digest, kind, object FROM artifacts
    WHERE digest = ANY(CAST(:digests AS text[])) AND kind IN (:small, 'image')
""")


class Lacking(Exception):
    """A picture is lost at present, and is going to be made again."""


class StoredPictures:
    """Reads several pictures at once."""

    def __init__(self, database: Database, store: ObjectStore, readers: Executor) -> None:
        self._database, self._store, self._readers = database, store, readers

    def of(self, digests: Collection[str]) -> dict[str, Image.Image]:
        """By digest, those that there are. Raises `Lacking` or `Unavailable`."""
        objects = self._objects(set(digests))
        read = self._readers.map(lambda digest: self._read(digest, objects[digest]), objects)
        return {digest: picture for digest, picture in zip(objects, read, strict=True) if picture is not None}

    def _objects(self, digests: Collection[str]) -> Mapping[str, Sequence[str]]:
        """Of each picture that there is the objects that show it, the smallest first."""
        found: dict[str, list[str]] = {}
        with self._database.session() as session:
            rows = session.execute(_OBJECTS, {"digests": list(digests), "small": _SMALL}).all()
        for row in sorted(rows, key=lambda row: row.kind != _SMALL):
            found.setdefault(row.digest, []).append(row.object)
        return found

    def _read(self, digest: str, objects: Sequence[str]) -> Image.Image | None:
        """A picture; None for one that cannot be made again. Raises `Lacking`."""
        for key in objects:
            try:
                with self._store.verified(key) as file:
                    return drawing.decoded(file.read())
            except (NotFound, Corrupt) as error:
                reason: Reason = "missing" if isinstance(error, NotFound) else "damaged"
                with self._database.session() as session:
                    loss = losses.note(session, Subject("visualization", digest), key, reason, "worker")
        if loss is not None and loss.given_up:
            return None
        raise Lacking(f"The picture {digest} is lost at present.")
