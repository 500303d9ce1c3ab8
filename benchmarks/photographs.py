"""Real photographs for measurements, from a packed set: `blob` and `offsets` in one .npz."""

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def photographs(packed: Path, size: int) -> Tensor:
    """All pictures of a packed set, centre-cropped to a square and resized: uint8 RGB [N, 3, size, size]."""
    if not packed.is_file():
        raise SystemExit(
            f"{packed}: no such file. Give the folder that holds the packed image sets with --assets."
        )
    archive = np.load(packed)
    blob, ends = archive["blob"], archive["offsets"]
    pictures = (Image.open(io.BytesIO(blob[start:end].tobytes())) for start, end in pairwise(ends))
    pixels = [_square(picture, size) for picture in pictures]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)


def _square(image: Image.Image, size: int) -> np.ndarray:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC, box=box))
