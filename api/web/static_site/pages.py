"""The pages of a static site, rendered from the templates of the server's pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment
from sqlalchemy.orm import Session

from api.schemas.images.maps import AtlasMap
from api.web import grid_view
from api.web import shown as shown_of
from api.web.captions import Classes, captions_of
from api.web.grid_view import CELLS_A_PAGE, GridView, Looks
from api.web.pages.maps import UNIT_STANDS_IN
from api.web.pages.networks.layer import EAGER
from api.web.pages.networks.network import runs_of, stack_of
from api.web.pages.units import figures, told
from api.web.shown import Shown
from api.web.site import DESCRIPTION, Entry
from api.web.small_pictures import is_small, small_among
from api.web.static_site.addresses import HOME, MAP, SEARCH, Places, StaticAddresses
from api.web.static_site.units import UnitPictures
from imago_engine.artifacts import SMALL_BELOW
from imago_engine.weights import EYE
from services.exemplars.found import UnitExemplars
from services.grids import orders
from services.grids.cells import cells
from services.grids.orders import By, Kind, Wanted
from services.grids.subjects import Subject
from services.grids.tallies import tally
from services.maps.maps import ShownMap
from services.search.labels import CLEAR
from services.search.neighbours import Neighbour, Neighbours, Within

STATIC = Path(__file__).resolve().parents[1] / "static"
SHIPPED = (
    "imago.css",
    "imago.svg",
    "js/theme.js",
    "js/page.js",
    "js/static-index.js",
    "js/static-search.js",
    "js/static-layer.js",
    "js/static-map.js",
    "js/moving.js",
    "js/map-units.js",
    "js/map.js",
)
"""Files of `api/web/static` that the pages load: classic scripts, since modules do not work from files."""
MOST_ORDERED = 20_000
"""Units of a layer that a page orders and chooses from, which it needs all parts of the index of for."""
_KINDS = (Kind.DONE, Kind.UNREACHABLE)
"""What became of the units that a published version shows."""


@dataclass(frozen=True)
class UnitFound:
    """What is known of a unit beside its pictures. `neighbours` as the page has them."""

    before: int | None
    after: int | None
    exemplars: UnitExemplars | None
    neighbours: Neighbours | str | None
    trace: Sequence[float]


@dataclass(frozen=True)
class SitePages:
    """Renders the pages of one version of an atlas. `subjects`: its layers, from picture to logits."""

    templates: Environment
    what: Shown
    subjects: Mapping[str, Subject]
    has_map: bool
    places: Places = field(init=False)
    _classes: Classes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", Places(self.subjects))
        # A page of a unit names units of these layers alone: none asks for what they are called.
        classes = {
            (subject.network.id, layer): subject.unit_names for layer, subject in self.subjects.items()
        }
        object.__setattr__(self, "_classes", classes)

    def unit(self, session: Session, shown: UnitPictures, found: UnitFound) -> tuple[str, str]:
        """Path and text of a unit's page."""
        path = self.places.unit(shown.layer, shown.unit)
        address, subject = StaticAddresses(self.places, path), self.subjects[shown.layer]
        chosen = shown.chosen(found.before, found.after)
        return path, self._render(
            session,
            "units/unit.html",
            address,
            shown.layer,
            unit=shown.described,
            layer=subject.layer,
            chosen=chosen,
            picture=figures.picture_of(address, shown.large),
            tiles=figures.tiles_of(session, chosen, subject.layer, subject.network.own_size),
            own_size=subject.network.own_size,
            crops_are_small=is_small(subject.layer.receptive_field),
            labels=figures.labels_of(shown.large, subject.classes),
            exemplars=found.exemplars,
            neighbours=found.neighbours,
            captions=captions_of(session, _units(found.neighbours), self._classes),
            small=small_among(session, [each.digest for each in _units(found.neighbours)]),
            within=Within.NETWORK,
            trace=found.trace,
            told=told,
            kept={},
        )

    def layer(self, session: Session, layer: str, page: int, units: Sequence[int]) -> tuple[str, str]:
        """Path and text of a page of a layer's grid; `units` are all that there are of it."""
        path, subject = self.places.layer(layer, page), self.subjects[layer]
        address, start = StaticAddresses(self.places, path), page * CELLS_A_PAGE
        some = cells(session, subject, units[start : start + CELLS_A_PAGE])
        wanted, looks = Wanted(By.INDEX), Looks.USUAL
        possible = orders.possible(subject) if len(units) <= MOST_ORDERED else ()
        view = GridView(
            address, subject.network, subject.layer, self.what, wanted, looks, len(units), start, possible
        )
        return path, self._render(
            session,
            "networks/layer.html",
            address,
            layer,
            network=subject.network,
            layer=subject.layer,
            facts=grid_view.facts(subject.network, subject.layer),
            counted=tally(session, subject),
            grid=view,
            cells=[view.cell(cell, eager=at < EAGER) for at, cell in enumerate(some)],
            facets=subject.facets,
            chosen=len(subject.units),
            can_order=bool(possible),
            kinds=_KINDS if subject.watched is None else (*_KINDS, Kind.DEAD),
            data={
                "layer": list(self.subjects).index(layer),
                "words": view.words,
                "legends": grid_view.legends(subject.layer),
            },
        )

    def map(self, session: Session, found: ShownMap) -> tuple[str, str]:
        """Path and text of the map."""
        return MAP, self._render(
            session,
            "atlases/map.html",
            StaticAddresses(self.places, MAP),
            section="map",
            map=AtlasMap.of(found, EYE),
            classes=next(iter(self.subjects.values())).classes,
            stands_in=UNIT_STANDS_IN,
        )

    def search(self, session: Session) -> tuple[str, str]:
        """Path and text of the search, which loads of the index what somebody types."""
        return SEARCH, self._render(session, "static_site/search.html", StaticAddresses(self.places, SEARCH))

    def home(self, session: Session) -> tuple[str, str]:
        """Path and text of the entrance."""
        address = StaticAddresses(self.places)
        network = next(iter(self.subjects.values())).network
        layers = [subject.layer for subject in self.subjects.values()]
        stack = stack_of(session, address, network, self.what, layers)
        return HOME, self._render(
            session,
            "static_site/home.html",
            address,
            section="",
            network=network,
            stack=stack,
            runs=runs_of(stack),
        )

    def _render(
        self,
        session: Session,
        template: str,
        address: StaticAddresses,
        current: str | None = None,
        section: str | None = None,
        **more: Any,
    ) -> str:
        """`current`: the layer that the page is about; `section`: the entry of the navigation."""
        atlas, version = self.what.atlas, self.what.version
        assert atlas is not None
        assert version is not None
        rail = shown_of.rail(session, address, atlas.network, self.what, current)
        known = {
            "address": address,
            "is_static": True,
            "navigation": (Entry("", "Layers"), Entry("map", "Map")) if self.has_map else (),
            "footer": (),
            "section": section,
            "default_description": DESCRIPTION,
            "small_below": SMALL_BELOW,
            "clear_from": CLEAR,
            "what": self.what,
            "atlas": atlas,
            "version": version,
            "shown": self.what.named,
            "rail": rail,
            "rail_layers": rail,
        }
        return self.templates.get_template(template).render({**known, **more})


def _units(found: Neighbours | str | None) -> Sequence[Neighbour]:
    return found.data if isinstance(found, Neighbours) else ()


def shipped(name: str) -> tuple[str, str]:
    """Path and text of a file that the pages load."""
    return f"static/{name}", (STATIC / name).read_text(encoding="utf-8")
