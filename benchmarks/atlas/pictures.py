"""What the synthetic rows of `benchmarks.atlas` share: small images in the store, and embeddings that are
spread as those of real pictures are. Both come from the atlas that lies in docs/small-atlas.
"""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imago_engine.artifacts import Artifact, ArtifactKind
from imago_engine.synthesis.eye.eye import load_eye
from services.base.storage import ObjectStore
from services.pictures import renditions
from services.pictures.artifacts import StoredArtifact, put
from services.pictures.renditions import Rendition

SMALL_ATLAS = Path(__file__).resolve().parents[2] / "docs" / "small-atlas" / "images"
SIDE = 64
"""Pixels of an image."""
_NOISE = 0.6
"""Of an embedding that is drawn, as a share of how far the real ones are spread along each axis."""
_AT_ONCE = 32
Vectors = NDArray[np.float32]


def real_pictures() -> list[NDArray[np.uint8]]:
    """The pictures of the small atlas."""
    return [np.asarray(Image.open(path).convert("RGB")) for path in sorted(SMALL_ATLAS.rglob("*.webp"))]


def seen(pictures: Sequence[NDArray[np.uint8]]) -> Vectors:
    """What the eye makes of them."""
    eye = load_eye()
    parts = [eye(pictures[at : at + _AT_ONCE]) for at in range(0, len(pictures), _AT_ONCE)]
    return np.concatenate(parts).astype(np.float32, copy=False)


def drawn(real: Vectors, count: int, seed: int) -> Vectors:
    """So many embeddings: between two real ones each, with noise."""
    draw = np.random.default_rng(seed)
    one, other = (real[draw.integers(len(real), size=count)] for _ in range(2))
    share = draw.beta(0.5, 0.5, size=(count, 1))
    noise = draw.standard_normal((count, real.shape[1])) * real.std(axis=0) * _NOISE
    vectors = share * one + (1 - share) * other + noise
    found: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return found


def put_images(
    store: ObjectStore, pictures: Sequence[NDArray[np.uint8]], count: int
) -> list[dict[str, object]]:
    """Put so many different small images; returns what a picture with each of them consists of, as rows of
    artifacts with the number of the image."""
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda number: _stored(store, _image(pictures, number)), range(count))
        return [{**asdict(each), "image": number} for number, parts in enumerate(found) for each in parts]


def _stored(store: ObjectStore, picture: Image.Image) -> list[StoredArtifact]:
    """The picture and its small copy; its code and its trace are rows without an object, which nobody
    reads."""
    encoded = io.BytesIO()
    picture.save(encoded, "PNG", compress_level=1)
    image = put(store, Artifact(ArtifactKind.IMAGE, "image/png", encoded.getvalue(), *picture.size))
    copy = renditions.put(store, picture, Rendition(ArtifactKind.IMAGE, None, "webp"))
    kinds = (ArtifactKind.CODE, ArtifactKind.TRACE)
    others = [StoredArtifact(kind, image.object, "application/octet-stream", 1_234) for kind in kinds]
    return [image, copy, *others]


def _image(pictures: Sequence[NDArray[np.uint8]], number: int) -> Image.Image:
    """A part of a picture, with a little noise, so that no two are alike."""
    draw = np.random.default_rng(number)
    whole = pictures[number % len(pictures)]
    top, left = (int(draw.integers(max(size - SIDE, 0) + 1)) for size in whole.shape[:2])
    part = whole[top : top + SIDE, left : left + SIDE].astype(np.int16)
    noisy = np.clip(part + draw.integers(-4, 5, size=part.shape), 0, 255).astype(np.uint8)
    return Image.fromarray(noisy)
