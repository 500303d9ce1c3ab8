"""What a search finds, as typed records. Each keeps the server's answer in `raw`.

`client.visualization(found.digest)` is the picture of what was found.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from imago.records import ItemError, Raw


@dataclass(frozen=True)
class Found:
    """A unit, and the picture by which it was found.

    state: `done`, `unreachable` for a unit without a picture, or `dead` for one that no scanned picture
    excites, whose digest is None where it has no picture. label: the class that the network sees in the
    picture, with its probability and rank (1 where none is more probable); None where that was not asked.
    percentile: of 100 scanned pictures so many excite the unit less, None where that is not known.
    """

    network: str
    layer: str
    unit: int
    state: str
    digest: str | None
    label: str | None
    rank: int | None
    probability: float | None
    activation: float | None
    percentile: float | None
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def read(cls, raw: Raw) -> "Found":
        """From what the server has answered."""
        names = ("network", "layer", "unit", "state", "digest", "label", "rank", "probability", "activation")
        return cls(**{name: raw[name] for name in names}, percentile=raw.get("percentile"), raw=raw)


@dataclass(frozen=True)
class Neighbour:
    """A unit with a picture like another's. similarity: of what the server's eye makes of both, at most 1.
    percentile: as of `Found`.

    current: whether the picture is of the network as it is now.
    """

    network: str
    layer: str
    unit: int
    digest: str
    similarity: float
    activation: float
    percentile: float | None
    current: bool
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def read(cls, raw: Raw) -> "Neighbour":
        """From what the server has answered."""
        names = ("network", "layer", "unit", "digest", "similarity", "activation", "current")
        return cls(**{name: raw[name] for name in names}, percentile=raw.get("percentile"), raw=raw)


@dataclass(frozen=True)
class Neighbours:
    """Units with like pictures, the likest first.

    digest: the picture that they were compared with. complete: False while pictures that might count are not
    indexed yet.
    """

    digest: str
    complete: bool
    found: tuple[Neighbour, ...]
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def read(cls, raw: Raw) -> "Neighbours":
        """From what the server has answered."""
        found = tuple(Neighbour.read(entry) for entry in raw["data"])
        return cls(raw["digest"], raw["complete"], found, raw)

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[Neighbour]:
        return iter(self.found)

    def __getitem__(self, index: int) -> Neighbour:
        return self.found[index]


@dataclass(frozen=True)
class Change:
    """A unit of two networks. distance: how unlike its best pictures are, 0 for equal ones."""

    unit: int
    distance: float
    digest: str
    other_digest: str
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def read(cls, raw: Raw) -> "Change":
        """From what the server has answered."""
        return cls(raw["unit"], raw["distance"], raw["digest"], raw["other_digest"], raw)


@dataclass(frozen=True)
class Excited:
    """A unit and its greatest response anywhere in a photograph. percentile: of 100 scanned pictures so many
    excite it less. similarity: how like the photograph the unit's picture is, where it was found by that."""

    unit: int
    activation: float
    percentile: float | None = None
    similarity: float | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Excitation:
    """What a photograph excites. excited: units by their response; alike: units whose pictures look like it.

    state: `queued` until a worker has looked, then `done`, or `failed` with an error.
    """

    id: str
    state: str
    excited: tuple[Excited, ...]
    alike: tuple[Excited, ...]
    error: ItemError | None
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def read(cls, raw: Raw) -> "Excitation":
        """From what the server has answered."""
        known = Excited.__dataclass_fields__
        excited, alike = (
            tuple(Excited(**{name: entry[name] for name in entry if name in known}) for entry in raw[kind])
            for kind in ("excited", "alike")
        )
        error = raw["error"] and ItemError(raw["error"]["code"], raw["error"]["message"], False)
        return cls(raw["id"], raw["state"], excited, alike, error, raw)
