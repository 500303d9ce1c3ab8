"""Upload a picture's artifacts and describe them as a `Finished`."""

from collections.abc import Iterable, Mapping

from PIL import Image

from imago_engine.artifacts import Artifact, ArtifactKind
from imago_engine.weights import EYE
from services.base.storage import ObjectStore
from services.pictures import renditions
from services.pictures.artifacts import put
from services.queue.batches import Finished
from worker.batches.computation import Made


def store_picture(
    store: ObjectStore, made: Made, artifacts: Iterable[Artifact], provenance: Mapping[str, object]
) -> Finished:
    """Put all artifacts of a picture, and its thumbnail. Raises `Unavailable`."""
    stored = [put(store, artifact) for artifact in artifacts]
    image = next(artifact for artifact in stored if artifact.kind == ArtifactKind.IMAGE)
    small = renditions.wanted(image, *renditions.THUMBNAIL)
    if small is not None:
        stored.append(renditions.put(store, Image.fromarray(made.picture.image), small))
    return Finished(
        digest=made.work.digest,
        activation=made.picture.activation,
        score=made.picture.score,
        predictions=made.picture.predictions,
        artifacts=stored,
        crop_box=made.picture.crop_box,
        provenance=provenance,
        eye=None if made.embedding is None else EYE,
        embedding=made.embedding,
    )
