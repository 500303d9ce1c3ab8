"""The contact sheet of a layer of an atlas, or the poster of all layers, which workers of the server make."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from imago.atlases.awaited import Awaited
from imago.files import open_image, write_whole
from imago.records import Raw
from imago.transport import Transport

if TYPE_CHECKING:
    from PIL.Image import Image


class AtlasSheet(Awaited):
    """A sheet. Its attributes are what the server said last: `refresh` asks again, `wait` till it is made."""

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
    def links(self) -> Raw:
        """Paths of its picture, of its Deep Zoom and IIIF descriptions, and of its IIIF manifest."""
        links: Raw = self.raw["links"]
        return links

    def image_bytes(self) -> bytes:
        """All of it as one JPEG, reduced to 4,096 pixels where it is larger."""
        self._check_made()
        return self._transport.get_bytes(self.links["picture"])

    def image(self) -> "Image":
        """All of it as a PIL image (needs the `pictures` extra)."""
        return open_image(self.image_bytes())

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the JPEG to a file; returns the path."""
        return write_whole(Path(path), self.image_bytes())

    def _repr_jpeg_(self) -> bytes | None:
        return self.image_bytes() if self.made else None
