"""From the artifacts of a picture to what the database is told of it: they are put on the way."""

from collections.abc import Iterable, Mapping

from imago_engine.artifacts import Artifact
from services.base.storage import ObjectStore
from services.pictures.artifacts import put
from services.queue.batches import Finished
from worker.batches.computation import Made


def store_picture(
    store: ObjectStore, made: Made, artifacts: Iterable[Artifact], provenance: Mapping[str, object]
) -> Finished:
    """Put all artifacts of a picture. Raises `Unavailable`."""
    return Finished(
        digest=made.work.digest,
        activation=made.picture.activation,
        score=made.picture.score,
        predictions=made.picture.predictions,
        artifacts=[put(store, artifact) for artifact in artifacts],
        crop_box=made.picture.crop_box,
        provenance=provenance,
    )
