"""Pictures in the size and format that a request asks for, made at the first request and stored.

Making one takes milliseconds of CPU time in the API: sizes and formats are few, nothing is enlarged, and only
some requests do so at the same time.
"""

from PIL import Image

from api.context import context
from api.http.objects import verified
from services.base.errors import Unavailable
from services.pictures import renditions
from services.pictures.artifacts import StoredArtifact
from services.pictures.losses import Subject
from services.pictures.renditions import Rendition

_TURN_SECONDS = 5.0
"""How long a request waits for its turn to make one."""


def make_once(digest: str, picture: StoredArtifact, wanted: Rendition) -> StoredArtifact:
    """A rendition that a visualization does not have yet. Raises the 404 problem where its picture is lost,
    `Unavailable` where too many are being made."""
    at_once = context().renditions
    if not at_once.acquire(timeout=_TURN_SECONDS):
        raise Unavailable("service", advice="Many pictures are being made in other sizes and formats.")
    try:
        with verified(picture.object, Subject("visualization", digest)) as file, Image.open(file) as opened:
            made = renditions.put(context().store, opened, wanted)
    finally:
        at_once.release()
    with context().database.session() as session:
        return renditions.add(session, digest, picture, made)
