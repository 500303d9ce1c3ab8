"""The eye of a worker: loaded when the first picture is looked at, and never a reason to lose one."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import structlog
import torch
from numpy.typing import NDArray

from imago_engine.synthesis.eye.eye import Eye, load_eye
from imago_engine.synthesis.pictures import Picture
from worker.batches.computation import Made
from worker.process.devices import Device

AGAIN_SECONDS = 600.0
"""How long after a failure the eye is not tried."""
Pixels = NDArray[np.uint8]
log = structlog.get_logger()


class Sight:
    """Embeds pictures on the worker's device. Owned by the computing thread."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._eye: Eye | None = None
        self._blind_until = 0.0

    def embeddings(self, pictures: Sequence[Pixels]) -> list[tuple[float, ...]] | None:
        """Those of pictures, uint8 RGB [H, W, 3] of any sizes; None where this worker cannot look now."""
        if time.monotonic() < self._blind_until:
            return None
        try:
            if self._eye is None:
                self._eye = load_eye(device=self._device.name)
            # Of this thread alone: numbers next to zero, which a picture's features abound in, cost most.
            torch.set_flush_denormal(True)
            # More digits than the 16 bits of a stored number hold say nothing.
            return [tuple(round(float(x), 5) for x in row) for row in self._eye(pictures)]
        except Exception as error:
            # Of third-party code, or of the device's memory; what is not embedded now is embedded later.
            log.warning("not_embedded", pictures=len(pictures), error=f"{type(error).__name__}: {error}")
            self._eye, self._blind_until = None, time.monotonic() + AGAIN_SECONDS
            return None

    def seen(self, made: Sequence[Made]) -> list[Made]:
        """The same pictures with their embeddings, unreachable ones without."""
        shown = [one for one in made if one.picture.status == "done"]
        found = self.embeddings([what_the_unit_sees(one.picture) for one in shown])
        if found is None:
            return list(made)
        by_digest = dict(zip((one.work.digest for one in shown), found, strict=True))
        return [replace(one, embedding=by_digest.get(one.work.digest)) for one in made]


def what_the_unit_sees(picture: Picture) -> Pixels:
    """The part of a picture that its unit's receptive field covers: the rest is nobody's preference."""
    if picture.crop_box is None:
        return picture.image
    left, top, right, bottom = picture.crop_box
    return picture.image[top:bottom, left:right]
