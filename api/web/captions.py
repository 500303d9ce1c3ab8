"""What units are called where those of several layers, or of more than one network, stand side by side."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from api.web.filters import first_name
from services.catalog.layers import labels_of_layers
from services.search.labels import Said, clear_labels
from services.search.neighbours import Neighbour

Classes = Mapping[tuple[str, str], Sequence[str]]
"""Those that units of layers stand for, by network and layer."""


@dataclass(frozen=True)
class Caption:
    """`title`: of an output's unit its class, of any other its number, with what is clearly seen in the
    picture. `place` is where it is: the layer, for an output with the number, which the title does not say;
    `number` is that alone, None where the title says it. `alt`: all of it, for who does not see the picture.
    """

    title: str
    place: str
    number: str | None
    alt: str


@dataclass(frozen=True)
class Captions:
    """Calls units by name. `seen`: the class that is clearly seen in a picture, by its digest."""

    classes: Classes
    seen: Mapping[str, str]

    def of(self, network: str, layer: str, unit: int, digest: str | None) -> Caption:
        """Of a unit and the picture that is shown of it, None for no picture."""
        alt = f"Unit {unit} of {layer}"
        classes = self.classes.get((network, layer), ())
        if unit < len(classes):
            name = first_name(classes[unit])
            return Caption(name, f"{layer}/{unit}", f"unit {unit}", f"{alt}, {name}")
        if digest is None or digest not in self.seen:
            return Caption(str(unit), layer, None, alt)
        name = first_name(self.seen[digest])
        return Caption(f"{unit} · {name}", layer, None, f"{alt}, seen as {name}")


def classes_of_pictures(session: Session, shown: Collection[tuple[str, str, int, str]]) -> Mapping[str, str]:
    """The classes that units of outputs stand for, by the digests of their pictures. `shown` are the network,
    layer, unit and digest of each picture."""
    classes = labels_of_layers(session, {(network, layer) for network, layer, *_ in shown})
    return {
        digest: classes[network, layer][unit]
        for network, layer, unit, digest in shown
        if unit < len(classes.get((network, layer), ()))
    }


def captions(session: Session, layers: Collection[tuple[str, str]], digests: Sequence[str]) -> Captions:
    """For units of these layers (pairs of a network and a layer) by these pictures."""
    return Captions(labels_of_layers(session, layers), clear_labels(session, digests))


def captions_of(
    session: Session, found: Iterable[Neighbour | Said], classes: Classes | None = None
) -> Captions:
    """For units that a search has found. `classes`: those of all their layers, where they are known."""
    shown = list(found)
    if classes is None:
        classes = labels_of_layers(session, {(each.network, each.layer) for each in shown})
    return Captions(classes, clear_labels(session, [each.digest for each in shown]))
