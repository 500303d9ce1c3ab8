"""What a unit's page shows of a picture: itself, its figures and labels, photographs beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from api.web.addresses import Addresses
from api.web.filters import count, figure, percent
from api.web.pages.units.choosing import Chosen
from api.web.small_pictures import is_small
from imago_engine.artifacts import ArtifactKind
from services.base.errors import NotFound
from services.base.states import State
from services.catalog.layers import Layer, Unit
from services.exemplars import found as exemplars
from services.exemplars import percentiles
from services.exemplars.found import UnitExemplars
from services.pictures.visualizations import Visualization
from services.search import alike

LABELS, EXEMPLARS = 5, 8
SEEN, TOLD = 0.02, 0.005
"""What no class reaches is nothing that the network sees in a picture; classes below the other are not
named beside the likeliest."""


@dataclass(frozen=True)
class Picture:
    """A picture as the page shows it large. `small`: with its pixels to be seen; `box` is the part that the
    unit sees, [left, top, right, bottom] in its pixels, None for all of it."""

    digest: str
    address: str
    width: int
    height: int
    small: bool
    box: tuple[int, ...] | None
    crop: str | None


def is_small_picture(found: Visualization) -> bool:
    """Whether a picture is so small that it is shown as it was made: nothing of its few pixels is to be
    lost."""
    image = found.artifacts.get(ArtifactKind.IMAGE)
    return image is not None and is_small(max(image.width or 1, image.height or 1))


def picture_of(address: Addresses, found: Visualization | None) -> Picture | None:
    """None where there is no picture."""
    stored = None if found is None else found.artifacts.get(ArtifactKind.IMAGE)
    if found is None or found.state != State.DONE or stored is None:
        return None
    width, height = stored.width or 1, stored.height or 1
    small = is_small_picture(found)
    return Picture(
        found.digest,
        # Small ones as they were made: nothing of their few pixels is to be lost.
        address.picture(found.digest, None, "png") if small else address.picture(found.digest, 512),
        width,
        height,
        small,
        found.crop_box,
        address.crop(found.digest) if ArtifactKind.CROP in found.artifacts else None,
    )


def exemplars_of(session: Session, unit: Unit, scan: str | None = None) -> UnitExemplars | None:
    """The photographs that excite a unit most, by the newest scan or the one that is named; None where none
    tells of it."""
    try:
        found = exemplars.of_unit(session, unit.network, unit.layer, unit.unit, scan=scan)
    except NotFound:
        return None
    return replace(found, exemplars=found.exemplars[:EXEMPLARS])


def tiles_of(
    session: Session, chosen: Chosen, layer: Layer, own_size: int | None
) -> Sequence[tuple[str, str]]:
    """The figures that matter, as the template formats them: pairs of a name and what it is; none without a
    picture. `own_size`: side of the network's own input."""
    large = chosen.large
    if large is None or large.activation is None:
        return []
    tiles = [("Activation", figure(large.activation))]
    standing = percentiles.standings(session, [large.digest]).get(large.digest)
    if standing is not None:
        share = "all" if standing.percentile == 100 else f"{percent(standing.percentile / 100)} of"
        tiles.append(("Stronger than", f"{share} {count(standing.pictures)} photos"))
    tiles.append(("Receptive field", _seen(large, layer, own_size)))
    done = [facet.digest for facet in chosen.facets if facet.state == State.DONE]
    if len(done) > 1:
        similar = alike.likeness(session, large.digest, done)
        if similar:
            tiles.append(("Facets alike", f"{sum(similar.values()) / len(similar):.2f}"))
    return tiles


def _seen(large: Visualization, layer: Layer, own_size: int | None) -> str:
    """How much of its picture the unit sees, as the frame in it shows."""
    if large.crop_box is None:
        return "all of it"
    seen = layer.seen_of(large.spec.parameters.get("input_size") or own_size)
    # Such a field is larger than the picture, and its middle so far from the picture's that an edge is left.
    return "nearly all of it" if seen is None else f"{seen} px"


@dataclass(frozen=True)
class SeenClass:
    """A class that the network sees in a picture, with its share of 1. `label` is its number where it has no
    name, by which no unit is found."""

    label: str
    share: float
    has_name: bool


def labels_of(large: Visualization | None, names: Sequence[str]) -> Sequence[SeenClass]:
    """What the network sees in a picture, the likeliest first: what it all but rules out is left out, and
    where every class is as good as any other, all of it. `names` are those of its classes."""
    if large is None or not isinstance(large.predictions, list):
        return []
    if not any(probability >= SEEN for _, probability in large.predictions):
        return []
    return [
        SeenClass(names[index] if index < len(names) else str(index), probability, index < len(names))
        for index, probability in large.predictions[:LABELS]
        if probability >= TOLD
    ]
