"""The contact sheet of a layer of an atlas, or the poster of all layers, which workers of the server make."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from imago.errors import ImagoError, WaitTimeout
from imago.files import open_image, write_whole
from imago.records import Raw
from imago.transport import Json, Transport

if TYPE_CHECKING:
    from PIL.Image import Image

_PAUSE, _LONGEST_PAUSE = 0.5, 5.0


class AtlasSheet:
    """A sheet. Its attributes are what the server said last: `refresh` asks again, `wait` till it is made."""

    def __init__(self, raw: Json, transport: Transport) -> None:
        self.raw: Raw = raw
        self._transport = transport

    @classmethod
    def get(cls, path: str, transport: Transport) -> "AtlasSheet":
        """Ask the server, which has it made if there is none."""
        return cls(transport.get(path), transport)

    def __repr__(self) -> str:
        state = "made" if self.made else "being made"
        return f"<AtlasSheet {self.raw['atlas']}/{self.layer or 'poster'}: {state}>"

    @property
    def layer(self) -> str | None:
        """The layer that it shows, None for the poster."""
        layer: str | None = self.raw["layer"]
        return layer

    @property
    def made(self) -> bool:
        """Whether there is one."""
        return self.raw["sheet"] is not None

    @property
    def current(self) -> bool:
        """Whether it shows all that there is."""
        return bool(self.raw["current"])

    @property
    def links(self) -> Raw:
        """Paths of its picture, of its Deep Zoom and IIIF descriptions, and of its IIIF manifest."""
        links: Raw = self.raw["links"]
        return links

    def refresh(self) -> "AtlasSheet":
        """Ask the server again."""
        self.raw = self._transport.get(self.links["self"])
        return self

    def wait(self, timeout: float | None = None) -> "AtlasSheet":
        """Block until there is one. Raises WaitTimeout after so many seconds."""
        until, pause = None if timeout is None else time.monotonic() + timeout, _PAUSE
        while not self.made:
            if until is not None and time.monotonic() >= until:
                raise WaitTimeout(f"{self!r} after {timeout:g} seconds.")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            self.refresh()
        return self

    def image_bytes(self) -> bytes:
        """All of it as one JPEG, reduced to 4,096 pixels where it is larger."""
        if not self.made:
            raise ImagoError(f"{self!r}: wait() for it.")
        return self._transport.get_bytes(self.links["picture"])

    def image(self) -> "Image":
        """All of it as a PIL image (needs the `pictures` extra)."""
        return open_image(self.image_bytes())

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the JPEG to a file; returns the path."""
        return write_whole(Path(path), self.image_bytes())

    def _repr_jpeg_(self) -> bytes | None:
        return self.image_bytes() if self.made else None
