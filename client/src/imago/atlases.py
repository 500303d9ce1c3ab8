"""Atlases: the pictures of many units of a network, built overnight, in versions that never change.

atlas = client.atlases.create("efficientnet_lite0.imagenet", facets=2)
atlas.wait()
for unit in atlas.units("output"):
    unit.save("pictures/")
"""

import html
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from imago.records import Raw, bounds
from imago.transport import Json, Transport, path_to
from imago.visualizations import Visualization
from imago.watched import Watched

OnProgress: TypeAlias = Callable[["Atlas"], object]
_RESTS = frozenset({"complete", "paused", "canceled"})


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

    @classmethod
    def read(cls, raw: Raw) -> "AtlasLayer":
        """From what the server has answered."""
        return cls(
            raw["layer"],
            raw["units"],
            raw["unit_count"],
            raw["facets"],
            raw["technique"],
            AtlasPictures.read(raw["pictures"]),
            raw,
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


class AtlasUnit:
    """A unit that an atlas shows, with its facets."""

    def __init__(self, raw: Json, transport: Transport) -> None:
        self.raw: Raw = raw
        self._transport = transport

    def __repr__(self) -> str:
        return f"<AtlasUnit {self.network}/{self.layer}/{self.unit}: {len(self.facets)} facets>"

    @property
    def network(self) -> str:
        """The network that it is a unit of."""
        return str(self.raw["network"])

    @property
    def layer(self) -> str:
        """Its layer."""
        return str(self.raw["layer"])

    @property
    def unit(self) -> int:
        """Its number."""
        return int(self.raw["unit"])

    @property
    def label(self) -> str | None:
        """The name of its class, for a unit of the output."""
        label: str | None = self.raw["label"]
        return label

    @property
    def facets(self) -> Sequence[Raw]:
        """Its pictures as the server's JSON: facet, digest, state, activation."""
        facets: Sequence[Raw] = self.raw["facets"]
        return facets

    def visualization(self, facet: int = 0) -> Visualization:
        """One of its pictures, with all that is known of it. Raises `KeyError` where the atlas has none."""
        digest = next((each["digest"] for each in self.facets if each["facet"] == facet), None)
        if digest is None:
            raise KeyError(f"{self.layer}/{self.unit} has no facet {facet}")
        return Visualization.read(self._transport.get(path_to("visualizations", digest)), self._transport)

    def save(self, folder: str | Path) -> list[Path]:
        """Write its pictures that are done; returns where they are."""
        return [
            self.visualization(each["facet"]).save(folder) for each in self.facets if each["state"] == "done"
        ]


class Atlas(Watched):
    """An atlas. Its attributes are what the server said last; `refresh` asks again."""

    _collection = "atlases"
    _pauses = (0.5, 5.0)

    def __repr__(self) -> str:
        return f"<Atlas {self.id}: {self.state}, {self.pictures.done} of {self.pictures.total} done>"

    def _repr_html_(self) -> str:
        """A bar of what is done, for notebooks."""
        pictures = self.pictures
        share = 100 * pictures.settled / max(pictures.total, 1)
        return (
            f"<div><b>{html.escape(self.name)}</b> <code>{html.escape(self.id)}</code> "
            f"{html.escape(self.state)}: {pictures.done} of {pictures.total} pictures"
            + (f", {pictures.failed} failed" if pictures.failed else "")
            + '<div style="background:#ddd;height:8px;max-width:40em">'
            f'<div style="background:#3a7;height:8px;width:{share:.1f}%"></div></div></div>'
        )

    @property
    def name(self) -> str:
        """Its name."""
        return str(self._raw["name"])

    @property
    def network(self) -> str:
        """The network that it shows."""
        return str(self._raw["network"])

    @property
    def visibility(self) -> str:
        """`private` or `public`."""
        return str(self._raw["visibility"])

    @property
    def pictures(self) -> AtlasPictures:
        """Its pictures by what became of them."""
        return AtlasPictures.read(self._raw["progress"]["pictures"])

    @property
    def eta_range(self) -> tuple[float, float] | None:
        """Bounds of `eta_seconds`."""
        return bounds(self._raw["progress"]["eta_range"])

    @property
    def finished(self) -> bool:
        """Whether nothing goes on: it is complete, paused or canceled."""
        return self.state in _RESTS

    @property
    def open_version(self) -> int:
        """The number of the version that is being built."""
        return int(self._raw["open_version"])

    @property
    def latest_version(self) -> int | None:
        """The number of the newest version that was published."""
        number: int | None = self._raw["latest_version"]
        return number

    @property
    def errors(self) -> Sequence[Raw]:
        """Why pictures failed: code, count, message; the commonest reason first."""
        errors: Sequence[Raw] = self._raw["errors"]
        return errors

    def layers(self) -> list[AtlasLayer]:
        """Its layers, each with how far it is."""
        return [AtlasLayer.read(raw) for raw in self._transport.entries(f"{self._path}/layers")]

    def units(self, layer: str, version: int | str = "latest") -> Iterator[AtlasUnit]:
        """The units of a layer, in a version, the `open` one, or the newest that was published."""
        path = path_to("atlases", self.id, "versions", str(version), "layers", layer, "units")
        for raw in self._transport.lines(path):
            yield AtlasUnit(raw, self._transport)

    def versions(self) -> list[Raw]:
        """Its versions, the newest first, as the server's JSON."""
        return list(self._transport.entries(f"{self._path}/versions"))

    def pause(self) -> "Atlas":
        """Begin nothing new of it; what is being computed ends."""
        return self._ask("pause")

    def resume(self) -> "Atlas":
        """Go on with it."""
        return self._ask("resume")

    def cancel(self) -> "Atlas":
        """Want no more of it than is done."""
        return self._ask("cancel")

    def retry(self) -> "Atlas":
        """Queue its failed pictures again."""
        return self._ask("retry")

    def extend(
        self,
        *,
        layers: str | Sequence[str] | None = None,
        units: str | Sequence[int] | None = None,
        facets: int | None = None,
    ) -> "Atlas":
        """Add layers, units or facets."""
        asked = {"layers": _listed(layers), "units": _listed(units), "facets": facets}
        return self._send("extend", {name: value for name, value in asked.items() if value is not None})

    def change(self, *, name: str | None = None, visibility: str | None = None) -> "Atlas":
        """Give it another name, or other readers: `private` or `public`."""
        asked = {"name": name, "visibility": visibility}
        return self._send("change", {field: value for field, value in asked.items() if value is not None})

    def publish(self) -> Raw:
        """Freeze what is done as a version that never changes; returns it as the server's JSON."""
        version = self._transport.post(f"{self._path}/publish").body
        self.refresh()
        return version

    def remove(self) -> None:
        """Remove it with all its versions. Its pictures stay."""
        self._transport.delete(self._path)

    def wait(self, on_progress: OnProgress | None = None, *, timeout: float | None = None) -> "Atlas":
        """Block until it is complete, or paused or canceled by someone; calls on_progress(atlas) after every
        look."""
        for atlas in self.polls(timeout):
            if on_progress is not None:
                on_progress(atlas)
        return self

    def _send(self, action: str, body: Json) -> "Atlas":
        self._raw = self._transport.post(f"{self._path}/{action}", body).body
        return self


class Atlases:
    """The atlases of a server."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, network: str, *, idempotency_key: str | None = None, **asked: Any) -> Atlas:
        """Have an atlas built. asked: as `estimate` takes it, and name and visibility.

        idempotency_key: by default a fresh one, so that a POST sent again after a lost answer makes no second
        atlas.
        """
        answer = self._transport.post(
            path_to("atlases"),
            _request(network, **asked),
            idempotency_key=idempotency_key or str(uuid.uuid4()),
        )
        return Atlas(answer.body, self._transport)

    def estimate(self, network: str, **asked: Any) -> AtlasEstimate:
        """What an atlas would take; makes nothing.

        asked: layers (`blocks`, `convolutions`, `all`, names, patterns, or a list), units (of each layer),
        facets (pictures of each unit), technique, parameters and generator.
        """
        answer = self._transport.post(f"{path_to('atlases')}:estimate", _request(network, **asked))
        return AtlasEstimate.read(answer.body)

    def get(self, id: str) -> Atlas:
        """An atlas by its id."""
        return Atlas(self._transport.get(path_to("atlases", id)), self._transport)

    def list(
        self,
        *,
        network: str | None = None,
        owner: str | None = None,
        name: str | None = None,
        limit: int = 50,
    ) -> list[Atlas]:
        """The latest atlases, newest first."""
        filters = {"network": network, "owner": owner, "name": name}
        found = self._transport.entries(path_to("atlases"), filters, limit)
        return [Atlas(raw, self._transport) for raw in found]


def _request(
    network: str,
    *,
    name: str | None = None,
    layers: str | Sequence[str] | None = None,
    units: str | Sequence[int] | None = None,
    facets: int | None = None,
    technique: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    generator: str | None = None,
    visibility: str | None = None,
) -> Json:
    recipe = {"technique": technique, "parameters": dict(parameters) if parameters else None}
    given = {field: value for field, value in recipe.items() if value is not None}
    asked = {
        "network": network,
        "name": name,
        "layers": _listed(layers),
        "units": _listed(units),
        "facets": facets,
        "recipe": given or None,
        "generator": generator,
        "visibility": visibility,
    }
    return {field: value for field, value in asked.items() if value is not None}


def _listed(words: str | Sequence[Any] | None) -> Any:
    return words if words is None or isinstance(words, str) else [*words]
