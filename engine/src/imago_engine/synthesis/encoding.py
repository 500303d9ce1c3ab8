"""From a picture in memory to its artifacts: lossless, self-describing, readable without torch."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save as save_safetensors

from imago_engine.artifacts import Artifact, ArtifactKind
from imago_engine.synthesis.pictures import Picture

PNG, BINARY = "image/png", "application/octet-stream"


def encode(picture: Picture) -> tuple[Artifact, ...]:
    """All artifacts of a finished picture. The same picture gives the same bytes.

    The crop, what the unit can see of the image, is left out for units that see all, the code where no
    generator took part.
    """
    found = [_png(ArtifactKind.IMAGE, picture.image)]
    if picture.crop_box is not None:
        left, top, right, bottom = picture.crop_box
        found.append(_png(ArtifactKind.CROP, picture.image[top:bottom, left:right]))
    if picture.code is not None:
        code = save_safetensors({"code": np.ascontiguousarray(picture.code)})
        found.append(Artifact(ArtifactKind.CODE, BINARY, code))
    trace = io.BytesIO()
    np.save(trace, picture.trace, allow_pickle=False)
    found.append(Artifact(ArtifactKind.TRACE, BINARY, trace.getvalue()))
    return tuple(found)


def _png(kind: ArtifactKind, rgb: NDArray[np.uint8]) -> Artifact:
    """PNG of uint8 [H, W, 3]. Level 6: level 9 takes three times as long for 1 % fewer bytes."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(buffer, format="PNG", compress_level=6)
    height, width = rgb.shape[:2]
    return Artifact(kind, PNG, buffer.getvalue(), width, height)
