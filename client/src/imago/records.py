"""What the service knows, as typed records.

Each keeps the JSON object that it was read from in `raw`, so that nothing the server says is lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Raw = Mapping[str, Any]


def when(text: str | None) -> datetime | None:
    """An RFC 3339 time."""
    return datetime.fromisoformat(text) if text else None


@dataclass(frozen=True)
class Network:
    """A network that can be explained.

    state: `pending` until a worker has inspected it, then `ready`, or `failed` with an error.
    awaits_inspection: whether a worker has yet to look at it, for the first time or again after an upgrade.
    classes: how many its output has, None where it has none. input_size: side of its own input in pixels,
    None until it is inspected.
    """

    id: str
    state: str
    architecture: str
    error: str | None
    labels: tuple[str, ...]
    awaits_inspection: bool
    classes: int | None
    input_size: int | None
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def read(cls, raw: Raw) -> "Network":
        """From what the server has answered."""
        return cls(
            id=raw["id"],
            state=raw["state"],
            architecture=raw["architecture"],
            error=raw["error"],
            labels=tuple(raw["labels"]),
            awaits_inspection=raw["state"] == "pending" or raw.get("inspection_due", False),
            classes=raw["classes"],
            input_size=(raw["preprocessing"] or {}).get("size"),
            raw=raw,
        )


@dataclass(frozen=True)
class Layer:
    """A layer of a network, in execution order.

    units: how many neurons or channels. height, width: of its map, None for a vector and
    for tokens. tokens: how many it has, None for a layer without; usual_token: the one that units are read at
    unless a target names another.
    receptive_field, stride: in input pixels, None where they are not defined.
    role: stem, block, head or output, None for other layers. twin_of: the layer whose units these are once
    more.
    """

    name: str
    kind: str
    units: int
    height: int | None
    width: int | None
    receptive_field: int | None
    stride: int | None
    tokens: int | None
    usual_token: int | None
    role: str | None
    twin_of: str | None
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def read(cls, raw: Raw) -> "Layer":
        """From what the server has answered."""
        return cls(
            name=raw["name"],
            kind=raw["kind"],
            units=raw["units"],
            height=raw["height"],
            width=raw["width"],
            receptive_field=raw["receptive_field"],
            stride=raw["stride"],
            tokens=raw.get("tokens"),
            usual_token=raw.get("usual_token"),
            role=raw.get("role"),
            twin_of=raw.get("twin_of"),
            raw=raw,
        )


@dataclass(frozen=True)
class Generator:
    """A network that turns codes into images. image_size: side of its pictures in pixels."""

    id: str
    architecture: str
    image_size: int
    is_default: bool
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def read(cls, raw: Raw) -> "Generator":
        """From what the server has answered."""
        return cls(
            id=raw["id"],
            architecture=raw["architecture"],
            image_size=raw["image_size"],
            is_default=raw["is_default"],
            raw=raw,
        )


@dataclass(frozen=True)
class Technique:
    """A way to make pictures. schema: the JSON Schema of its parameters; values: what each of them is where a
    job does not name it, with the server's default generator."""

    id: str
    schema: Raw
    values: Raw
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def read(cls, raw: Raw) -> "Technique":
        """From what the server has answered."""
        return cls(id=raw["id"], schema=raw["schema"], values=raw["values"], raw=raw)


@dataclass(frozen=True)
class Preset:
    """A way to train generators. schema: the JSON Schema of the options that it alone takes; defaults: what
    the other fields of a training are that are left out."""

    id: str
    description: str
    is_default: bool
    image_sizes: tuple[int, ...]
    defaults: Raw
    schema: Raw
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def read(cls, raw: Raw) -> "Preset":
        """From what the server has answered."""
        return cls(
            id=raw["id"],
            description=raw["description"],
            is_default=raw["is_default"],
            image_sizes=tuple(raw["image_sizes"]),
            defaults=raw["defaults"],
            schema=raw["schema"],
            raw=raw,
        )


@dataclass(frozen=True)
class Prediction:
    """What a network says of a picture: a class, its name if known, and its probability in [0, 1]."""

    index: int
    label: str | None
    probability: float


@dataclass(frozen=True)
class ItemError:
    """Why an item failed. retryable: whether `retry` may help."""

    code: str
    message: str
    retryable: bool

    @classmethod
    def read(cls, raw: Raw | None) -> "ItemError | None":
        """From what the server has answered."""
        if not raw:
            return None
        return cls(raw["code"], raw["message"], raw["retryable"])


@dataclass(frozen=True)
class QueueLane:
    """A lane of the queue: items that wait, and items that are being made."""

    name: str
    queued: int
    leased: int


@dataclass(frozen=True)
class QueueTrainings:
    """Trainings that wait, those that a worker has, and how many workers see pictures to train on."""

    queued: int
    running: int
    workers: int


def bounds(raw: Raw | None) -> tuple[float, float] | None:
    """The least and the most of a range, in the range's unit."""
    return (raw["low"], raw["high"]) if raw else None


@dataclass(frozen=True)
class Queue:
    """What waits on the server, and who works. rate: items a second over the last minute, of all workers.

    eta_seconds: the likeliest time until all of it is done, eta_range its bounds.
    """

    lanes: tuple[QueueLane, ...]
    trainings: QueueTrainings
    workers: int
    rate: float
    eta_seconds: float | None
    eta_range: tuple[float, float] | None
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def read(cls, raw: Raw) -> "Queue":
        """From what the server has answered."""
        return cls(
            lanes=tuple(QueueLane(lane["name"], lane["queued"], lane["leased"]) for lane in raw["lanes"]),
            trainings=QueueTrainings(**raw["trainings"]),
            workers=raw["workers"],
            rate=raw["rate"],
            eta_seconds=raw["eta_seconds"],
            eta_range=bounds(raw.get("eta_range")),
            raw=raw,
        )
