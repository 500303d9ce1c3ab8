"""Pictures in rows, as pages show them: each leads to its unit."""

from collections.abc import Sequence
from dataclasses import dataclass

from api.web.addresses import Addresses
from api.web.small_pictures import is_small
from services.grids.strips import Glimpse


@dataclass(frozen=True)
class ShownGlimpse:
    """A picture and where it leads. `small`: its pixels are shown as squares."""

    href: str
    digest: str
    picture: str
    alt: str
    small: bool


def shown_glimpses(
    address: Addresses, network: str, glimpses: Sequence[Glimpse], atlas: str | None
) -> Sequence[ShownGlimpse]:
    """The pictures of units of a network; `atlas`: the parameter of that name."""
    return [
        ShownGlimpse(
            address.unit(network, glimpse.layer, glimpse.unit, atlas=atlas),
            glimpse.digest,
            address.picture(glimpse.digest, 128),
            f"Preferred input of unit {glimpse.unit} in {glimpse.layer}",
            is_small(glimpse.side),
        )
        for glimpse in glimpses
    ]
