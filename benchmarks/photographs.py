"""Real photographs for measurements, from a packed set: `blob` and `offsets` in one .npz."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from imago_engine.training.data.preparation import centre_square, decode
from imago_engine.training.data.sources import open_source


def photographs(packed: Path, size: int) -> Tensor:
    """All pictures of a packed set, centre-cropped to a square and resized: uint8 RGB [N, 3, size, size].

    Ends the program with what to do when the set is not there or holds what is no picture.
    """
    if not packed.is_file():
        raise SystemExit(
            f"{packed}: no such file. Give the folder that holds the packed image sets with --assets."
        )
    pixels = []
    for picture in open_source(packed):
        image = decode(picture)
        if image is None:
            raise SystemExit(f"{picture.name} is not a whole picture; the set's figures would be wrong.")
        pixels.append(centre_square(image, size))
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
