"""Pictures of another format or size than the server has: for atlases that are to be small."""

import io
from dataclasses import dataclass
from typing import Literal

from imago.errors import InvalidRequest
from imago.files import open_image

Format = Literal["png", "webp"]


@dataclass(frozen=True)
class Picture:
    """A picture as it is written: its bytes and what they are."""

    content: bytes
    media_type: str
    width: int
    height: int


@dataclass(frozen=True)
class Conversion:
    """What becomes of each picture. size: side in pixels that it is reduced to, None for its own."""

    format: Format = "png"
    size: int | None = None

    def __post_init__(self) -> None:
        if self.format not in ("png", "webp"):
            raise InvalidRequest(f"Pictures are exported as png or webp, not as {self.format!r}.")
        if self.size is not None and not 16 <= self.size <= 4096:
            raise InvalidRequest(f"The side of exported pictures is 16 to 4096 pixels, not {self.size}.")

    @property
    def keeps(self) -> bool:
        """Whether pictures stay byte for byte what the server has."""
        return self.format == "png" and self.size is None

    def of(self, png: bytes) -> Picture:
        """The picture of the server's PNG. WebP loses nothing here and takes a third less. Needs Pillow."""
        image = open_image(png)
        if self.size is not None and max(image.size) > self.size:
            image.thumbnail((self.size, self.size))
        file = io.BytesIO()
        if self.format == "webp":
            image.save(file, format="WEBP", lossless=True, quality=100, method=4)
        else:
            image.save(file, format="PNG", optimize=True)
        return Picture(file.getvalue(), f"image/{self.format}", image.width, image.height)
