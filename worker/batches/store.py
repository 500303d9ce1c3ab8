"""From an encoded picture to what the database is told of it: its objects are put on the way."""

from collections.abc import Mapping

from services.base.storage import ObjectStore
from services.queue.batches import Finished
from worker.batches.computation import Made
from worker.batches.encode import EncodedPicture


def store_picture(
    store: ObjectStore, made: Made, encoded: EncodedPicture, provenance: Mapping[str, object]
) -> Finished:
    """Put all objects of a picture. Always, also where they seem to be there: what is put is young, and what
    is young is not collected. Raises `Unavailable`."""
    picture = made.picture
    height, width = picture.image.shape[:2]
    return Finished(
        digest=made.work.digest,
        activation=picture.activation,
        predictions=picture.predictions,
        image_object=store.put("image", encoded.image, "image/png"),
        crop_object=store.put("crop", encoded.crop, "image/png") if encoded.crop else None,
        code_object=None
        if encoded.code is None
        else store.put("code", encoded.code, "application/octet-stream"),
        trace_object=store.put("trace", encoded.trace, "application/octet-stream"),
        image_bytes=len(encoded.image),
        width=width,
        height=height,
        crop_box=picture.crop_box,
        provenance=provenance,
    )
