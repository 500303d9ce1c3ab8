"""What the service says of atlases, as typed records."""

import html
from contextlib import suppress
from dataclasses import dataclass, field

from imago.atlases.atlas_sheet import AtlasSheet
from imago.atlases.unit import AtlasUnit
from imago.errors import NotFound
from imago.records import Raw, bounds
from imago.transport import Transport, path_to

_SHOWN, _THUMBNAIL = 12, 96
"""Units that a notebook shows of a layer, each a request, and how many pixels wide."""


@dataclass(frozen=True)
class AtlasPictures:
    """How many pictures of an atlas, or of one of its layers, are in each state. total: asked for, of which
    `expanded` wait already or are further on."""

    total: int
    expanded: int
    done: int
    failed: int
    unreachable: int
    canceled: int
    queued: int
    leased: int

    @classmethod
    def read(cls, raw: Raw) -> "AtlasPictures":
        """From what the server has answered."""
        return cls(**{name: raw[name] for name in cls.__dataclass_fields__})

    @property
    def settled(self) -> int:
        """Pictures that have come to an end, with or without success."""
        return self.done + self.failed + self.unreachable


@dataclass(frozen=True)
class AtlasLayer:
    """A layer of an atlas as it is being built; units: in words, unit_count: how many."""

    name: str
    units: str
    unit_count: int
    facets: int
    technique: str
    pictures: AtlasPictures
    raw: Raw = field(repr=False, compare=False)
    _atlas: str = field(repr=False, compare=False)
    _transport: Transport = field(repr=False, compare=False)

    def _repr_html_(self) -> str:
        """How far it is, and its first units, for notebooks."""
        done = f"{self.pictures.done} of {self.pictures.total} pictures"
        told = html.escape(f"{self.unit_count} units ({self.units}), {done}, {self.technique}")
        shown = "".join(unit.thumbnail(_THUMBNAIL) for unit in self._first_units())
        return f"<div><b>{html.escape(self.name)}</b> {told}<div>{shown}</div></div>"

    def _first_units(self) -> list[AtlasUnit]:
        """Of the newest version that shows the layer."""
        for version in ("latest", "open"):
            path = path_to("atlases", self._atlas, "versions", version, "layers", self.name, "units")
            with suppress(NotFound):
                found = self._transport.entries(path, limit=_SHOWN)
                return [AtlasUnit(raw, self._transport) for raw in found]
        return []

    def sheet(self, version: int | str = "latest") -> AtlasSheet:
        """Its contact sheet, in a version, the `open` one, or the newest that was published."""
        path = path_to("atlases", self._atlas, "versions", str(version), "layers", self.name, "sheet")
        return AtlasSheet.get(path, self._transport)

    @classmethod
    def read(cls, raw: Raw, atlas: str, transport: Transport) -> "AtlasLayer":
        """From what the server has answered of an atlas with this id."""
        return cls(
            raw["layer"],
            raw["units"],
            raw["unit_count"],
            raw["facets"],
            raw["technique"],
            AtlasPictures.read(raw["pictures"]),
            raw,
            atlas,
            transport,
        )


@dataclass(frozen=True)
class AtlasEstimate:
    """What an atlas would take. cached: pictures that are known already, sampled where not cached_is_exact.
    seconds: of the workers for it alone; eta_seconds: until it is done. bytes: that it adds to the store,
    room: what the store has left. None is what the server does not know."""

    pictures: int
    cached: int
    cached_is_exact: bool
    seconds: float | None
    eta_seconds: float | None
    eta_range: tuple[float, float] | None
    bytes: int | None
    room: int | None
    fits: bool
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def read(cls, raw: Raw) -> "AtlasEstimate":
        """From what the server has answered."""
        return cls(
            raw["pictures"],
            raw["cached"],
            raw["cached_is"] == "exact",
            raw["seconds"],
            raw["eta_seconds"],
            bounds(raw["eta_range"]),
            raw["bytes"],
            raw["room"],
            raw["fits"],
            raw,
        )
