"""A few pictures that stand for an atlas or a layer on its card."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from api.auth import reader
from services.atlases import atlases, entries
from services.atlases.entries import AtlasUnit
from services.atlases.progress import AtlasView, Version
from services.base.states import State

_LOOKED_AT = 24
"""Units of a layer that are looked at for pictures: some have none."""


@dataclass(frozen=True)
class Glimpse:
    """A picture of a unit."""

    layer: str
    unit: int
    label: str | None
    digest: str


def of_atlas(session: Session, atlas: AtlasView, version: Version, most: int = 6) -> Sequence[Glimpse]:
    """Pictures of layers spread over the network, the deep ones first: they show things, the first ones
    edges."""
    names = layer_names(session, atlas, version)
    later = names[len(names) // 3 :] or names
    chosen = [later[len(later) * place // most] for place in range(most)] if later else []
    found: list[Glimpse] = []
    for name in dict.fromkeys(reversed(chosen)):
        wanted = chosen.count(name)
        found += of_layer(session, atlas.id, str(version.number), name, wanted)
    return found[:most]


def strip_of(session: Session, atlas: AtlasView, most: int = 6) -> tuple[Glimpse, ...]:
    """Pictures of the newest version of an atlas that was published, else of the open one."""
    version = atlases.version(session, atlas.id, atlases.LATEST, by=reader())
    return tuple(of_atlas(session, atlas, version, most))


def of_layer(session: Session, atlas: str, version: str, layer: str, most: int = 6) -> Sequence[Glimpse]:
    """Pictures of the first units of a layer that have one."""
    units = entries.units_of(session, atlas, version, layer, by=reader())
    shown = [glimpse for unit in units.read(session, -1, _LOOKED_AT) if (glimpse := _of_unit(unit))]
    return shown[:most]


def layer_names(session: Session, atlas: AtlasView, version: Version) -> Sequence[str]:
    """The layers of a version, from picture to logits."""
    if version.layers is not None:
        return [layer["layer"] for layer in sorted(version.layers, key=lambda layer: layer["ordinal"])]
    return [layer.layer for layer in atlases.layers(session, atlas.id, by=reader())]


def _of_unit(unit: AtlasUnit) -> Glimpse | None:
    digest = next((facet.digest for facet in unit.facets if facet.state == State.DONE), None)
    return None if digest is None else Glimpse(unit.layer, unit.unit, unit.label, digest)
