"""Pictures of an import: checked, and as the store has them."""

import hashlib
import io
from dataclasses import dataclass

from PIL import Image

from imago_engine.artifacts import Artifact, ArtifactKind
from services.base.errors import Invalid, pointer
from services.exports.manifest import ExportedEntry

MOST_PIXELS = 4096
_FORMATS = ("PNG", "WEBP")
_TOO_LARGE = f"has more than {MOST_PIXELS} pixels a side"


@dataclass(frozen=True)
class ImportedPicture:
    """`changed`: its bytes are not those that were made first: it was reduced, or lost by its format."""

    artifact: Artifact
    changed: bool


def picture_of(entry: ExportedEntry, number: int) -> ImportedPicture | None:
    """The picture of an entry, None where it is said to have none. What is not a PNG becomes one.

    Raises `Invalid` where its bytes are not those of the hash, or no picture.
    """
    at = ("entries", number, "content")
    if entry.state != "done":
        return None
    if entry.content is None:
        raise Invalid.field(pointer(*at), f"is missing: {entry.layer}/{entry.unit} is done")
    if hashlib.sha256(entry.content).hexdigest() != entry.sha256:
        raise Invalid.field(pointer(*at), "has another sha256 than the entry says")
    try:
        with Image.open(io.BytesIO(entry.content), formats=_FORMATS) as image:
            if max(image.size) > MOST_PIXELS:
                raise Invalid.field(pointer(*at), _TOO_LARGE)
            image.load()
            content = entry.content if image.format == "PNG" else _as_png(image)
            width, height = image.size
    except Invalid:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # before its size can be read
        raise Invalid.field(pointer(*at), _TOO_LARGE) from None
    # Decoders raise whatever their parsing ends in. It is this picture's in any case.
    except Exception as error:
        raise Invalid.field(pointer(*at), f"is no PNG or WebP: {error}") from None
    changed = hashlib.sha256(content).hexdigest() != (entry.source_sha256 or entry.sha256)
    return ImportedPicture(Artifact(ArtifactKind.IMAGE, "image/png", content, width, height), changed)


def _as_png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.convert("RGB").save(file, format="PNG")
    return file.getvalue()
