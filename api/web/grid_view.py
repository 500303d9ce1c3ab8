"""How a grid of units is shown: its cells, the choices beside it, and what is said of its layer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from api.web.addresses import Addresses, Parameter
from api.web.filters import count, figure, first_name, percent
from api.web.shown import ANY, Shown, reference
from api.web.small_pictures import is_small
from services.atlases.progress import Version
from services.base.states import State
from services.catalog.layers import Layer
from services.catalog.networks import Network
from services.grids.cells import Cell
from services.grids.orders import By, Wanted
from services.grids.versions import AtlasVersion
from services.search.labels import CLEAR

CELLS_A_PAGE = 120
SIDE = 128
"""Of a thumbnail, in pixels."""
_LONGEST_REASON = 80
CELL_WORDS = {
    State.QUEUED: "waiting",
    State.LEASED: "being computed",
    State.FAILED: "failed",
    State.UNREACHABLE: "unreachable: no gradient",
    State.CANCELED: "canceled",
}

ORDER_TITLES = {
    By.ACTIVATION: "strongest first",
    By.PERCENTILE: "by percentile",
    By.LABEL: "by label",
    By.INDEX: "by index",
}

_FIGURES = {By.ACTIVATION: "activation", By.PERCENTILE: "share of photographs that excite it less"}


class Looks(StrEnum):
    """How large the pictures are."""

    DENSE = "dense"
    USUAL = "usual"
    LARGE = "large"


SIZES = {Looks.DENSE: "small", Looks.USUAL: "medium", Looks.LARGE: "large"}


@dataclass(frozen=True)
class GridView:
    """A grid as its page shows it. `total` units in all, from the place `start` on."""

    address: Addresses
    network: Network
    layer: Layer
    what: Shown
    wanted: Wanted
    looks: Looks
    total: int
    start: int
    possible: Collection[By]

    @property
    def words(self) -> Mapping[str, str]:
        """Why a cell has no picture, by its state; by `none` where nobody has asked for one."""
        if self.what.version is None:
            missing = "not asked for yet"
        elif self.what.version.published_at is None:
            missing = "to be computed"
        else:
            missing = f"not in version {self.what.version.number}"
        return {**{str(state): said for state, said in CELL_WORDS.items()}, "none": missing}

    def href(self, **changed: Parameter) -> str:
        """This page with something changed: its first cells, and all else as it is."""
        wanted = self.wanted
        query: dict[str, Parameter] = {
            "atlas": self.what.named,
            "order": wanted.by,
            "like": wanted.like,
            "facet": wanted.facet or None,
            "state": wanted.kind,
            "label": wanted.label,
            "density": None if self.looks == Looks.USUAL else self.looks,
        }
        return self.address.layer(self.network.id, self.layer.name, **(query | changed))

    @property
    def kept(self) -> Mapping[str, str]:
        """What the form that chooses among the units sends on beside its own fields."""
        looks = {} if self.looks == Looks.USUAL else {"density": str(self.looks)}
        return {"order": str(self.wanted.by), **looks}

    @property
    def asked(self) -> Mapping[str, str]:
        """What the choice of another version sends on: all that is asked for but the version."""
        wanted = self.wanted
        chosen = {
            "state": wanted.kind,
            "label": wanted.label,
            "like": wanted.like,
            "facet": wanted.facet or None,
        }
        return {**self.kept, **{name: str(value) for name, value in chosen.items() if value is not None}}

    def unit(self, unit: int) -> str:
        """The address of a unit's page."""
        facet = self.wanted.facet or None
        return self.address.unit(self.network.id, self.layer.name, unit, atlas=self.what.named, facet=facet)

    @property
    def orders(self) -> Sequence[tuple[str, str, bool]]:
        """The chips of orders."""
        wanted = self.wanted
        possible = [by for by in ORDER_TITLES if by in self.possible]
        found = [
            (ORDER_TITLES[by], self.href(order=by, like=None), wanted.like is None and wanted.by == by)
            for by in possible
        ]
        if wanted.like is not None:
            found.append((f"like unit {wanted.like}", self.href(), True))
        return found

    @property
    def legend(self) -> str:
        """What stands below the pictures."""
        said = legends(self.layer)
        return said.get(self.wanted.by, said[By.ACTIVATION])

    @property
    def densities(self) -> Sequence[tuple[str, str, bool]]:
        """The chips of sizes."""
        return [
            (SIZES[looks], self.href(density=None if looks == Looks.USUAL else looks), looks == self.looks)
            for looks in Looks
        ]

    @property
    def is_filtered(self) -> bool:
        """Whether not every unit is shown."""
        return self.wanted.kind is not None or self.wanted.label is not None

    def is_bare(self, first: Sequence[Cell]) -> bool:
        """Whether nobody has asked for a picture of the layer yet; `first` are the cells of this page."""
        if self.what.version is not None or self.is_filtered or self.wanted.like is not None or self.start:
            return False
        # By number those without a picture may come first, in any other order they come last.
        is_told = self.wanted.by != By.INDEX or len(first) == self.total
        return is_told and not any(cell.state for cell in first)

    @property
    def previous(self) -> str | None:
        """The cells before these."""
        return self.href(**{"from": max(0, self.start - CELLS_A_PAGE) or None}) if self.start else None

    def next(self, shown: int) -> str | None:
        """The cells after the `shown` ones."""
        end = self.start + shown
        return self.href(**{"from": end}) if end < self.total else None

    def cell(self, cell: Cell, *, eager: bool) -> Mapping[str, Any]:
        """What the macro `cell` takes."""
        has_picture = cell.state == State.DONE and cell.digest is not None
        named = f" ({cell.name})" if cell.name else ""
        return {
            "href": self.unit(cell.unit),
            "picture": self.address.picture(cell.digest, SIDE) if has_picture and cell.digest else None,
            "alt": f"Picture of unit {cell.unit}{named}",
            "title": first_name(cell.name) if cell.name else str(cell.unit),
            "figure": said_of(cell, self.wanted.by),
            "quiet": f"unit {cell.unit}" if cell.name else seen_in(cell),
            "why": None if has_picture else self._why(cell),
            "side": SIDE,
            "eager": eager,
            "small": is_small(cell.side),
        }

    def _why(self, cell: Cell) -> str:
        said = self.words["none" if cell.state is None else str(cell.state)]
        message = (cell.error or {}).get("message")
        return f"{said}: {message[:_LONGEST_REASON]}" if cell.state == State.FAILED and message else said


def seen_in(cell: Cell) -> str:
    """The class that its network clearly sees in the picture, by the first of its names."""
    is_clear = cell.probability is not None and cell.probability >= CLEAR
    return first_name(cell.seen) if cell.seen and is_clear else "—"


def legends(layer: Layer) -> Mapping[By, str]:
    """What stands below the pictures of a layer, by the order that they are in."""
    seen = f"what the network sees, from {percent(CLEAR)} on"
    rest = "below each picture" if layer.kind == "output" else f"and {seen}"
    return {by: f"{said} {rest}" for by, said in _FIGURES.items()}


def said_of(cell: Cell, by: By) -> str | None:
    """The figure beside a unit's number: that by which units are in order, else the activation."""
    if by == By.PERCENTILE:
        return None if cell.percentile is None else percent(cell.percentile / 100)
    return None if cell.activation is None else figure(cell.activation)


def card(address: Addresses, cells: Sequence[Cell]) -> str | None:
    """The picture that stands for the page elsewhere."""
    for cell in cells:
        if cell.state == State.DONE and cell.digest is not None:
            return address.picture(cell.digest, 512, "png")
    return None


def facts(network: Network, layer: Layer, *, brief: bool = False) -> Sequence[str]:
    """What a layer is, in few words each; `brief`: in fewer."""
    said = [f"{count(layer.units)} {'channels' if layer.spatial else 'units'}"]
    if layer.spatial is not None:
        said.append("{} × {} map".format(*layer.spatial))
    if layer.tokens is not None:
        said.append(f"{count(layer.tokens)} tokens")
    own = network.own_size
    seen = layer.seen_of(own)
    sees = "sees" if brief else "each sees"
    if seen is None:
        said.append(f"{sees} {'all of it' if brief else 'the whole picture'}")
    else:
        said.append(f"{sees} {seen}\u00a0px" + (f" of {own}" if own and not brief else ""))
    return said


@dataclass(frozen=True)
class VersionChoice:
    """An entry of the list of versions: the parameter `atlas`, what it is called."""

    value: str
    title: str
    is_current: bool


def choices_of(versions: Sequence[AtlasVersion], what: Shown) -> Sequence[VersionChoice]:
    """The versions that can be shown, and last the best picture of each unit; before them what is shown where
    it is none of them, which are the newest."""
    newest = {version.atlas: version.number for version in reversed(versions) if version.published_at}
    found = [
        (
            reference(version.atlas, version.number, version.published_at),
            _title(version.name, version, is_newest=newest.get(version.atlas) == version.number),
        )
        for version in versions
    ]
    if what.atlas is not None and what.version is not None and what.named not in dict(found):
        found.insert(0, (what.named, _title(what.atlas.name, what.version)))
    found.append((ANY, "best picture of each unit"))
    return [VersionChoice(value, title, value == what.named) for value, title in found]


def _title(name: str, version: AtlasVersion | Version, *, is_newest: bool = False) -> str:
    """What a version is called; the date tells older ones apart, and is left out of the newest."""
    if version.published_at is None:
        return f"{name} · unpublished"
    title = f"{name} · version {version.number}"
    return title if is_newest else f"{title}, {version.published_at:%Y-%m-%d}"
