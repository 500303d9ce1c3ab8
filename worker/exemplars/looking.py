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
    passed: str | None = None
    """Fingerprint of the `read` pictures that have been passed; None where it is not known: states of earlier
    releases do not tell."""

    def leave_out(self, lines: list[str]) -> None:
        """Count pictures that cannot be seen, each with its reason."""
        self.left_out += len(lines)
        room = NAMED - len(self.left_out_first)
        self.left_out_first += [" ".join(line.split())[:300] for line in lines[: max(0, room)]]

    def as_json(self) -> dict[str, Any]:
        """As it is kept in a row: without `passed`, which workers of earlier releases would not take."""
        return {name: value for name, value in vars(self).items() if name != "passed"}

    @property
    def passed_as_json(self) -> dict[str, Any]:
        """What is kept beside it: the fingerprint, and of how many pictures."""
        return {"read": self.read, "fingerprint": self.passed}

    @classmethod
    def of(cls, saved: Mapping[str, Any], passed: Mapping[str, Any] | None) -> "LookedAt":
        """From what `as_json` and `passed_as_json` have given. An earlier release goes on without the latter:
        then it is of fewer pictures, and tells nothing."""
        looked_at = cls(**saved)
        if passed is not None and passed["read"] == looked_at.read:
            looked_at.passed = passed["fingerprint"]
        return looked_at


class Looking:
    """Goes through the pictures in batches that are the same however often it was interrupted. `looked_at` is
    as far as whole batches are: what it tells goes with the state of the scan."""

    def __init__(self, scan: Scan, reading: Reading, settings: Settings, looked_at: LookedAt) -> None:
        self.scan, self.looked_at = scan, looked_at
        self._reading = reading
        threads = min(_DECODERS, settings.threads or os.cpu_count() or 1)
        pictures = reading.pictures(after=looked_at.read, fingerprint=looked_at.passed)
        self._squares = each_ahead(self._square, pictures, threads)
        self._batch: list[tuple[int, np.ndarray]] = []
        self._passed: NumberedPicture | None = None  # the last one of which is not told yet
        self._left_out: list[str] = []  # of which is not told yet
        self.ended_batch = False
        """Whether the last step has looked at a batch."""

    def step(self) -> bool:
        """Take the next picture, and look at the batch that it fills; False if there was none. Raises
        `SourceError`, `SourceRefused` and `SourcesChanged`."""
        self.ended_batch = False
        picture, square = next(self._squares, (None, ""))
        if picture is None:
            self._tell()
            self.looked_at.fingerprint = self._reading.fingerprint
            return False
        if picture.is_passed_over:
            return True
        self._left_out += picture.lost
        if picture.content is None:  # told at the end: whoever goes on meets them again
            return True
        self._passed = picture
        if isinstance(square, str):
            self._left_out.append(f"{picture.name} ({square})")
        else:
            self._batch.append((picture.number, square))
        if len(self._batch) in (0, BATCH):
            self._tell()
        return True

    def _tell(self) -> None:
        """Look at the batch, and tell of it and of all that was left out up to here."""
        if self._batch:
            numbers, squares = zip(*self._batch, strict=True)
            self.scan.look(torch.from_numpy(np.stack(squares)), numbers)
            self.looked_at.pictures += len(squares)
            self.ended_batch = True
        self.looked_at.leave_out(self._left_out)
        if self._passed is not None:
            self.looked_at.read, self.looked_at.passed = self._passed.number + 1, self._passed.fingerprint
        self._batch, self._left_out, self._passed = [], [], None

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
