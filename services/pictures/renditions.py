"""Pictures in other sizes and formats: made once and stored, each as one more artifact of its visualization.

Whoever asks first has it made (`api.http.renditions`); the thumbnail, of which pages show thousands, comes
with the picture. A rendition that the store loses is forgotten, and made again when it is asked for.
"""

import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from PIL import Image
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from imago_engine.artifacts import SMALL_BELOW, ArtifactKind
from services.base.object_keys import rendition_key
from services.base.storage import ObjectStore
from services.pictures.artifacts import StoredArtifact
from services.pictures.tables import ArtifactRow, VisualizationRow
from services.upkeep import collected

Format = Literal["png", "webp", "avif", "jpg"]
Size = Literal[64, 128, 256, 512]


@dataclass(frozen=True)
class _Encoding:
    """`small`: the options of pictures of few pixels, which lose nothing or next to nothing."""

    media_type: str
    name: str
    options: Mapping[str, Any]
    small: Mapping[str, Any]


_PNG = {"compress_level": 6}
ENCODINGS: Mapping[Format, _Encoding] = {
    "png": _Encoding("image/png", "PNG", _PNG, _PNG),
    "webp": _Encoding("image/webp", "WEBP", {"quality": 85, "method": 4}, {"lossless": True, "method": 4}),
    # The default speed takes a second of a core for a picture of 512 px.
    "avif": _Encoding(
        "image/avif",
        "AVIF",
        {"quality": 75, "speed": 8},
        {"quality": 100, "subsampling": "4:4:4", "speed": 8},
    ),
    "jpg": _Encoding(
        "image/jpeg", "JPEG", {"quality": 90, "subsampling": 0}, {"quality": 100, "subsampling": 0}
    ),
}
MEDIA_TYPES = tuple(encoding.media_type for encoding in ENCODINGS.values())
THUMBNAIL: tuple[Size, Format] = (128, "webp")


@dataclass(frozen=True)
class Rendition:
    """A picture of the kind `of` in another size or format. `side` is its longer one in pixels, None for that
    of the picture: nothing is ever enlarged. `small`: of a picture of few pixels."""

    of: str
    side: int | None
    format: Format
    small: bool = False

    @property
    def kind(self) -> str:
        """What its artifact is called. Small ones have names of their own: those that earlier releases stored
        as `full` have blurred colours, and are not shown any more."""
        return f"{self.of}.{'small' if self.small else self.side or 'full'}.{self.format}"


def wanted(picture: StoredArtifact, size: Size | None, format: Format) -> Rendition | None:
    """What shows a stored picture in a size and format; None for the picture itself."""
    whole = max(picture.width or 0, picture.height or 0)
    side = size if size is not None and not 0 < whole <= size else None
    if side is None and format == "png":
        return None
    return Rendition(picture.kind, side, format, small=0 < whole < SMALL_BELOW)


def put(store: ObjectStore, picture: Image.Image, rendition: Rendition) -> StoredArtifact:
    """Make it of the whole picture, and put it. Raises `Unavailable`."""
    made = picture.convert("RGB")
    if rendition.side is not None:
        made.thumbnail((rendition.side, rendition.side), Image.Resampling.LANCZOS, reducing_gap=None)
    encoding, buffer = ENCODINGS[rendition.format], io.BytesIO()
    made.save(buffer, encoding.name, **(encoding.small if rendition.small else encoding.options))
    data = buffer.getvalue()
    key = rendition_key(data, rendition.format)
    store.put_under(key, data, encoding.media_type)
    return StoredArtifact(rendition.kind, key, encoding.media_type, len(data), made.width, made.height)


def add(session: Session, digest: str, picture: StoredArtifact, made: StoredArtifact) -> StoredArtifact:
    """List a rendition that was put a moment ago; returns the one that is listed, which may be another's.

    Nothing is listed where the visualization has another picture by now. Raises `Unavailable` where the
    object may be gone again.
    """
    collected.guard(session, [made.object])
    _hold(session, digest)
    still = _artifacts(digest, [picture.kind]).where(ArtifactRow.object == picture.object)
    if session.scalars(still).first() is None:
        return made
    row = {"digest": digest, **vars(made)}
    session.execute(insert(ArtifactRow).values(row).on_conflict_do_nothing())
    listed = session.scalars(_artifacts(digest, [made.kind])).one()
    return StoredArtifact(
        listed.kind, listed.object, listed.media_type, listed.bytes, listed.width, listed.height
    )


def forget(session: Session, digest: str, objects: Collection[str]) -> Collection[str]:
    """Strike those of a visualization's lost objects that are renditions; returns the others."""
    _hold(session, digest)
    renditions = sa.or_(*(ArtifactRow.kind.startswith(f"{kind}.") for kind in ArtifactKind))
    struck = session.scalars(
        sa.delete(ArtifactRow)
        .where(ArtifactRow.digest == digest, ArtifactRow.object.in_(objects), renditions)
        .returning(ArtifactRow.object)
    )
    return {*objects} - {*struck}


def _hold(session: Session, digest: str) -> None:
    # Rows of artifacts are changed by whoever holds their visualization.
    row = sa.select(VisualizationRow.digest).where(VisualizationRow.digest == digest)
    session.execute(row.with_for_update(key_share=True))


def _artifacts(digest: str, kinds: Collection[str]) -> sa.Select[ArtifactRow]:
    return sa.select(ArtifactRow).where(ArtifactRow.digest == digest, ArtifactRow.kind.in_(kinds))
