"""What a text in the search box names: a unit, a layer or a network. What names none of them is a label."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from services.base.errors import NotFound
from services.catalog import layers, networks

_LONGEST_NUMBER = 9


@dataclass(frozen=True)
class Place:
    """A network, a layer of it, or a unit of that."""

    network: str
    layer: str | None = None
    unit: int | None = None

    @property
    def name(self) -> str:
        """As people write it: `network/layer/unit`."""
        return "/".join(str(part) for part in (self.network, self.layer, self.unit) if part is not None)


@dataclass(frozen=True)
class Named:
    """The places that a text names, none where it is no name; `problem` says what is wrong with one that
    looks like a unit's and is not."""

    places: Sequence[Place] = ()
    problem: str | None = None


def named(session: Session, text: str, network: str | None = None, *, or_former: bool = False) -> Named:
    """What is meant by `NETWORK/LAYER/UNIT`, `LAYER/UNIT` (in one network or in several), the name of a layer
    or of a network. `or_former`: a unit may be of a layer that the network has no more, or that no inspection
    has found here yet."""
    before, slash, last = text.strip().rpartition("/")
    if slash and last.isascii() and last.isdecimal() and len(last) <= _LONGEST_NUMBER:
        return _units(session, before, int(last), network, or_former)
    if not text.strip():
        return Named()
    if text in networks.ready_ids(session, of=text):
        return Named([Place(text)])
    found, slash, layer = text.partition("/")
    if (
        slash
        and networks.ready_ids(session, of=found)
        and found in layers.networks_with(session, layer, found)
    ):
        return Named([Place(found, layer)])
    return Named([Place(of, text) for of in layers.networks_with(session, text, network)])


def _units(session: Session, layer: str, unit: int, network: str | None, or_former: bool) -> Named:
    owner, slash, rest = layer.partition("/")
    if slash and (or_former or networks.ready_ids(session, of=owner)):
        places = [Place(owner, rest, unit)]
    else:
        places = [Place(of, layer, unit) for of in layers.networks_with(session, layer, network)]
    there, problem = [], f"No network has a layer {layer!r}."
    for place in places:
        try:
            layers.get_unit(session, place.network, place.layer or "", unit, or_former=or_former)
            there.append(place)
        except NotFound as error:
            problem = str(error)
    return Named(there, None if there else problem)
