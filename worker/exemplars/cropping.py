"""The second part of a scan: pictures that are exemplars are read once more, and crops cut out."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from imago_engine.synthesis.exemplars.chosen import Choice, Chosen
from imago_engine.synthesis.exemplars.crops import crop, encoded
from imago_engine.synthesis.receptive_fields.receptive_field import Box
from imago_engine.training.data.decoding import UndecodableError, decoded
from imago_engine.training.data.read_ahead import each_ahead
from services.base.settings import Settings
from worker.exemplars.reading import NumberedPicture, Reading, SourcesChanged

PACK_BYTES = 256 * 1024
"""About how large a pack of crops is, at most: some hundred of them."""
PACK_EXEMPLARS = 1000
"""Exemplars of a pack, at most."""
Exemplar = tuple[dict[str, Any], bytes]
"""Columns of `exemplars`, without those that say where its crop is, and that crop."""
_DECODERS = 4


@dataclass(frozen=True)
class Place:
    """How far the cropping is: pictures that were passed, and of the next one the exemplars that were.
    `fingerprint` is that of the former, None where it is not known."""

    read: int = 0
    within: int = 0
    fingerprint: str | None = None


@dataclass(frozen=True)
class _Cut:
    """What is cut out of one picture: each part once, however many units see it."""

    choices: tuple[Choice, ...]
    crops: dict[Box | None, bytes]


class Cropping:
    """Goes through the pictures again, from a place on."""

    def __init__(
        self, chosen: Chosen, input_size: int, reading: Reading, settings: Settings, begin: Place
    ) -> None:
        self._chosen, self._size, self._reading = chosen, input_size, reading
        threads = min(_DECODERS, settings.threads or os.cpu_count() or 1)
        pictures = reading.pictures(after=begin.read, fingerprint=begin.fingerprint)
        self._cuts = each_ahead(self._cut, pictures, threads)
        self._exemplars = self._all(begin)
        self.place = begin
        self.ended = False

    @property
    def fingerprint(self) -> str:
        """Of all pictures, once it has ended."""
        return self._reading.fingerprint

    def step(self) -> Exemplar | None:
        """The next exemplar, if the next picture is one; `ended` says that there was no picture. Raises
        `SourceError` and `SourcesChanged`."""
        following = next(self._exemplars, None)
        if following is None:
            self.ended = True
            return None
        exemplar, self.place = following
        return exemplar

    def _all(self, begin: Place) -> Iterator[tuple[Exemplar | None, Place]]:
        """Every exemplar, and the place behind it."""
        before = begin.fingerprint
        for picture, cut in self._cuts:
            if picture.is_passed_over:
                yield None, begin
            if picture.content is None:
                continue
            passed = begin.within if picture.number == begin.read else 0
            for within, choice in enumerate(cut.choices if cut else (), start=1):
                assert cut is not None
                if within > passed:
                    yield (
                        (_columns(choice, picture.name), cut.crops[choice.box]),
                        Place(picture.number, within, before),
                    )
            before = picture.fingerprint
            yield None, Place(picture.number + 1, 0, before)

    def close(self) -> None:
        """Let go of the sources and of the threads that decode."""
        self._cuts.close()

    def _cut(self, picture: NumberedPicture) -> _Cut | None:
        if picture.content is None or picture.number not in self._chosen:
            return None
        try:
            image = decoded(picture.content)
        except UndecodableError as error:
            raise SourcesChanged(f"{picture.name} cannot be decoded any more: {error}") from error
        choices = tuple(self._chosen.of(picture.number))
        boxes = dict.fromkeys(choice.box for choice in choices)
        return _Cut(choices, {box: encoded(crop(image, box, self._size)) for box in boxes})


class PackInMaking:
    """Collects crops until they are worth an object."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.exemplars: list[dict[str, Any]] = []
        """As columns of `exemplars`."""
        self._data = bytearray()
        self._starts: dict[bytes, int] = {}

    @property
    def data(self) -> bytes:
        """The crops one behind the other."""
        return bytes(self._data)

    @property
    def is_full(self) -> bool:
        """Also of exemplars: what writes them down must not take long."""
        return len(self._data) >= PACK_BYTES or len(self.exemplars) >= PACK_EXEMPLARS

    def add(self, exemplar: Exemplar) -> None:
        """Add an exemplar with its crop, which is there once however many show it."""
        columns, data = exemplar
        start = self._starts.get(data)
        if start is None:
            start = self._starts[data] = len(self._data)
            self._data += data
        self.exemplars.append({**columns, "pack": self.number, "start": start, "length": len(data)})


def _columns(choice: Choice, picture: str) -> dict[str, Any]:
    y, x = choice.place or (None, None)
    return {
        "layer": choice.layer,
        "unit": choice.unit,
        "rank": choice.rank,
        "activation": choice.activation,
        "picture": picture.encode(errors="backslashreplace").decode(),
        "place_y": y,
        "place_x": x,
        "box": None if choice.box is None else list(choice.box),
    }
