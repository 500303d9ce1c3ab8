"""The first part of a scan: every picture goes once through the network, some at a time."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from imago_engine.synthesis.exemplars.scan import BATCH, Scan, StateError
from imago_engine.training.data.decoding import UndecodableError, decoded
from imago_engine.training.data.preparation import centre_square
from imago_engine.training.data.read_ahead import each_ahead
from services.base.settings import Settings
from worker.exemplars.reading import NumberedPicture, Reading

NAMED = 5
"""Pictures that are left out are named up to this number; all are counted."""
_DECODERS = 4


@dataclass
class LookedAt:
    """How far the look is: `read` pictures have been passed, `pictures` of them were seen."""

    read: int = 0
    pictures: int = 0
    left_out: int = 0
    left_out_first: list[str] = field(default_factory=list)
    fingerprint: str | None = None
    """Of all pictures, once they have been seen."""

    def leave_out(self, lines: list[str]) -> None:
        """Count pictures that cannot be seen, each with its reason."""
        self.left_out += len(lines)
        room = NAMED - len(self.left_out_first)
        self.left_out_first += [" ".join(line.split())[:300] for line in lines[: max(0, room)]]

    def as_json(self) -> dict[str, Any]:
        """As it is kept in a row."""
        return vars(self)

    @classmethod
    def of(cls, saved: Mapping[str, Any]) -> "LookedAt":
        """From what `as_json` has given."""
        return cls(**saved)


class Looking:
    """Goes through the pictures in batches that are the same however often it was interrupted."""

    def __init__(self, scan: Scan, reading: Reading, settings: Settings, looked_at: LookedAt) -> None:
        self.scan, self.looked_at = scan, looked_at
        self._reading = reading
        threads = min(_DECODERS, settings.threads or os.cpu_count() or 1)
        pictures = reading.pictures(after=looked_at.read)
        self._squares = each_ahead(self._square, pictures, threads)

    def step(self) -> bool:
        """Look at the next batch; False if there was none. Raises `SourceError`."""
        squares, numbers = list[np.ndarray](), list[int]()
        for picture, square in self._squares:
            self.looked_at.leave_out(list(picture.lost))
            if picture.content is None:
                continue
            self.looked_at.read = picture.number + 1
            if isinstance(square, str):
                self.looked_at.leave_out([f"{picture.name} ({square})"])
                continue
            squares.append(square)
            numbers.append(picture.number)
            if len(squares) == BATCH:
                break
        if not squares:
            self.looked_at.fingerprint = self._reading.fingerprint
            return False
        self.scan.look(torch.from_numpy(np.stack(squares)), numbers)
        self.looked_at.pictures += len(squares)
        return True

    def close(self) -> None:
        """Let go of the sources and of the threads that decode."""
        self._squares.close()

    def _square(self, picture: NumberedPicture) -> np.ndarray | str:
        """What the network sees of a picture, uint8 [S, S, 3], or why there is nothing to see."""
        if picture.content is None:
            return ""
        try:
            return centre_square(decoded(picture.content), self.scan.size)
        except UndecodableError as error:
            return str(error)


def state_bytes(scan: Scan) -> bytes:
    """A scan's state as a file: safetensors."""
    return save({name: tensor.contiguous() for name, tensor in scan.state().items()})


def restore(scan: Scan, data: bytes) -> bool:
    """Let a scan go on from such a file; False for what is none of such a scan: it begins anew."""
    try:
        scan.restore(load(data))
    except (SafetensorError, StateError, KeyError):
        return False
    return True
