"""What pages of a network show of it: a version of one of its atlases, or the best picture of each unit."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import request
from sqlalchemy.orm import Session

from api.auth import reader
from api.web.addresses import Addresses
from services.atlases import atlases
from services.atlases.atlases import LATEST, OPEN
from services.atlases.progress import AtlasView, Version
from services.base.errors import Invalid
from services.catalog.layer_selection import list_layers

ANY = "any"
"""The parameter `atlas` of someone who wants the best picture of each unit, whatever atlas it is in."""
_BLOCKS, _MOST_LAYERS = "blocks", 200
_BESIDE = 30
"""Layers before and after the current one in the list beside a page."""


def reference(atlas: str, number: int, is_published: object) -> str:
    """A version of an atlas as the parameter `atlas` names it: `ATLAS@VERSION`, where the version that is
    being built is `open`."""
    return f"{atlas}@{number if is_published else OPEN}"


@dataclass(frozen=True)
class Shown:
    """A version of an atlas of the network; None for both where the best picture of each unit is shown."""

    atlas: AtlasView | None = None
    version: Version | None = None

    @property
    def named(self) -> str:
        """The parameter `atlas` of an address that shows the same: a `reference`, `any` without an atlas."""
        if self.atlas is None or self.version is None:
            return ANY
        return reference(self.atlas.id, self.version.number, self.version.published_at)


@dataclass(frozen=True)
class RailLayer:
    """A layer in the list beside a page. `share`: how much of it is there, 0 to 1; None where nothing is
    counted."""

    name: str
    href: str
    share: float | None
    is_current: bool


def shown(session: Session, network: str) -> Shown:
    """What the request wants to see of the network: the parameter `atlas`, else its newest atlas that was
    published, in its newest version. Raises `NotFound` for an atlas that is not there or not theirs,
    `Invalid` for one of another network.
    """
    wanted = request.args.get("atlas") or None
    if wanted == ANY:
        return Shown()
    if wanted is None:
        first = atlases.to_show_first(session, network, by=reader())
        if first is None:
            return Shown()
        return Shown(first, atlases.version(session, first.id, LATEST, by=reader()))
    id, _, number = wanted.partition("@")
    atlas = atlases.get(session, id, by=reader())
    if atlas.network != network:
        raise Invalid.field("/atlas", f"{id} shows {atlas.network}, not {network}")
    return Shown(atlas, atlases.version(session, id, number or LATEST, by=reader()))


def rail(
    session: Session, address: Addresses, network: str, what: Shown, current: str | None = None
) -> Sequence[RailLayer]:
    """The layers of the atlas, else those that `blocks` means, from picture to logits; of very many those
    around the current one."""
    found = [
        RailLayer(name, address.layer(network, name, atlas=what.named), share, name == current)
        for name, share in shares(session, network, what)
    ]
    place = next((at for at, layer in enumerate(found) if layer.is_current), None)
    return found if place is None else found[max(0, place - _BESIDE) : place + _BESIDE + 1]


def shares(session: Session, network: str, what: Shown) -> Sequence[tuple[str, float | None]]:
    """The layers of the atlas in their order, each with how much of it is there; without an atlas those that
    `blocks` means, of which nothing is counted."""
    if what.atlas is None or what.version is None:
        layers = list_layers(session, network, _BLOCKS, limit=_MOST_LAYERS).data
        return [(layer.name, None) for layer in layers]
    if what.version.layers is not None:
        return [
            (
                layer["layer"],
                _share(layer["pictures"] + layer["unreachable"], layer["unit_count"] * layer["facets"]),
            )
            for layer in sorted(what.version.layers, key=lambda layer: layer["ordinal"])
        ]
    return [
        (layer.layer, _share(layer.pictures.done + layer.pictures.unreachable, layer.pictures.total))
        for layer in atlases.layers(session, what.atlas.id, by=reader())
    ]


def _share(there: int, total: int) -> float:
    return min(1.0, there / total) if total else 1.0
