"""Measured arrays that are kept for the next run."""

import os
from pathlib import Path
from typing import Any

import numpy as np


def write_whole(path: Path, **arrays: Any) -> None:
    """Write an .npz: a file of that name is a whole one, whenever the program is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as out:
        np.savez(out, **arrays)
    os.replace(unfinished, path)
