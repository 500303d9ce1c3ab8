"""Real pictures that excite a unit most, and how strongly real pictures excite it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imago.files import open_image
from imago.records import Raw
from imago.transport import Transport

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class UnitStatistics:
    """How strongly the pictures of a scan excite a unit.

    non_zero: the share of pictures for which it is not exactly zero anywhere, 0 of a dead unit.
    strongest_place, usual_place: pairs of a share of all pictures and the activation that so many do not
    exceed, at the place of each picture where it is highest, and at the layer's usual place.
    """

    scan: str
    pictures: int
    non_zero: float
    strongest_place: tuple[tuple[float, float], ...]
    usual_place: tuple[tuple[float, float], ...]
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def read(cls, raw: Raw) -> "UnitStatistics":
        """From what the server has answered."""
        strongest, usual = (
            tuple((entry["share"], entry["activation"]) for entry in raw[name])
            for name in ("strongest_place", "usual_place")
        )
        return cls(raw["scan"], raw["pictures"], raw["non_zero"], strongest, usual, raw)


@dataclass(frozen=True)
class Exemplar:
    """A real picture that excites a unit; the strongest has rank 0.

    picture: its name below the workers' data root. box: (left, top, right, bottom) of what the unit sees of
    it, in pixels of the network's input; None for all of it.
    """

    rank: int
    activation: float
    picture: str
    box: tuple[int, int, int, int] | None
    raw: Raw = field(repr=False, compare=False)
    _transport: Transport = field(repr=False, compare=False)

    @classmethod
    def read(cls, raw: Raw, transport: Transport) -> "Exemplar":
        """From what the server has answered."""
        box = raw["box"]
        return cls(
            raw["rank"],
            raw["activation"],
            raw["picture"],
            None if box is None else (box[0], box[1], box[2], box[3]),
            raw,
            transport,
        )

    def image_bytes(self) -> bytes:
        """What the unit sees of it, a WebP."""
        return self._transport.get_bytes(self.raw["links"]["image"])

    def image(self) -> "Image":
        """The same as a PIL image (needs the `pictures` extra)."""
        return open_image(self.image_bytes())
