"""The pages of a static site, rendered."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment

from api.web.filters import figure
from api.web.shown import RailLayer
from api.web.site import DESCRIPTION
from api.web.static_site.addresses import HOME, SEARCH, THUMBNAIL, UNITS_A_PAGE, Places, StaticAddresses
from services.atlases.progress import AtlasView, Version
from services.base.states import State
from services.pictures.visualizations import Visualization
from services.search.neighbours import Neighbour

STATIC = Path(__file__).resolve().parents[1] / "static"
SHIPPED = ("imago.css", "imago.svg", "js/theme.js", "js/page.js", "js/static-search.js")
"""Files of `api/web/static` that the pages load: classic scripts, since modules do not work from files."""
_SMALL, _LABELS_SHOWN, _LABELS_FOUND, _SEEN = 64, 5, 3, 0.01


@dataclass(frozen=True)
class UnitPictures:
    """A unit with its facets in the order of their numbers, at least one."""

    layer: str
    unit: int
    facets: Sequence[Visualization]

    @property
    def label(self) -> str | None:
        """The name of its class."""
        return self.facets[0].label

    @property
    def first(self) -> Visualization:
        """The picture that stands for it: the first one that there is."""
        return next((facet for facet in self.facets if facet.state == State.DONE), self.facets[0])


@dataclass(frozen=True)
class SitePages:
    """Renders the pages of one version of an atlas. `class_labels`: the names that predictions are about."""

    templates: Environment
    atlas: AtlasView
    version: Version
    layers: Sequence[Any]
    class_labels: Sequence[str]
    places: Places = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", Places(layer["layer"] for layer in self.layers))

    def unit(
        self, shown: UnitPictures, before: int | None, after: int | None, neighbours: Sequence[Neighbour]
    ) -> tuple[str, str]:
        """Path and text of a unit's page."""
        path = self.places.unit(shown.layer, shown.unit)
        return path, self._render(
            "static_site/unit.html",
            path,
            current=shown.layer,
            unit=shown,
            small=_is_small(shown.first),
            labels=self.labels_of(shown.first)[:_LABELS_SHOWN],
            before=before,
            after=after,
            neighbours=neighbours,
        )

    def layer(self, layer: str, page: int, units: Sequence[UnitPictures], has_more: bool) -> tuple[str, str]:
        """Path and text of a page of a layer's grid."""
        path = self.places.layer(layer, page)
        address = StaticAddresses(self.places, path)
        here = page * UNITS_A_PAGE

        def of(start: int) -> str:
            return address.layer(self.atlas.network, layer, **{"from": start})

        return path, self._render(
            "static_site/layer.html",
            path,
            current=layer,
            layer=next(found for found in self.layers if found["layer"] == layer),
            start=here,
            cells=[self._cell(address, unit) for unit in units],
            previous=of(here - UNITS_A_PAGE) if page else None,
            next=of(here + UNITS_A_PAGE) if has_more else None,
        )

    def home(self, strips: dict[str, list[UnitPictures]]) -> tuple[str, str]:
        """Path and text of the entrance."""
        address = StaticAddresses(self.places)
        cells = {name: [self._cell(address, unit) for unit in units] for name, units in strips.items()}
        return HOME, self._render("static_site/home.html", HOME, layers=self.layers, strips=cells)

    def search(self, parts: int) -> tuple[str, str]:
        """Path and text of the search, which loads so many parts of the index."""
        return SEARCH, self._render("static_site/search.html", SEARCH, parts=range(parts))

    def index_part(self, number: int, layer: str, units: Sequence[UnitPictures]) -> tuple[str, str]:
        """Path and text of a part of the index: a script, since pages opened from a file may fetch nothing.

        Of each unit its number, name, picture and [class, thousandths] of what its network sees.
        """
        rows = [
            [
                unit.unit,
                unit.label,
                unit.first.digest if unit.first.state == State.DONE else None,
                [
                    [index, round(1000 * share)]
                    for index, share in (unit.first.predictions or ())[:_LABELS_FOUND]
                    if share >= _SEEN
                ],
            ]
            for unit in units
        ]
        told = json.dumps(
            [layer, self.places.folders[layer], rows], ensure_ascii=False, separators=(",", ":")
        )
        return f"index/{number}.js", f"imagoIndex.add({told});\n"

    def classes(self) -> tuple[str, str]:
        """Path and text of the names of the classes that the index is about."""
        return (
            "index/classes.js",
            f"imagoIndex.classes = {json.dumps(self.class_labels, ensure_ascii=False)};\n",
        )

    def labels_of(self, shown: Visualization) -> list[tuple[str, float]]:
        """What the network sees in a picture, the likeliest first."""
        known = len(self.class_labels)
        return [(self.class_labels[index], p) for index, p in shown.predictions or () if index < known]

    def _cell(self, address: StaticAddresses, unit: UnitPictures) -> dict[str, Any]:
        """What the macro `cell` takes."""
        shown = unit.first
        there = shown.state == State.DONE
        seen = unit.label or next((label for label, _ in self.labels_of(shown)), None)
        return {
            "href": address.unit(self.atlas.network, unit.layer, unit.unit),
            "picture": address.picture(shown.digest, THUMBNAIL) if there else None,
            "alt": f"Preferred input of unit {unit.unit}" + (f" ({unit.label})" if unit.label else ""),
            "title": str(unit.unit),
            "figure": figure(shown.activation) if shown.activation is not None else None,
            "quiet": "—" if seen is None else seen.partition(",")[0],
            "why": None if there else str(shown.state),
            "small": _is_small(shown),
        }

    def _render(self, template: str, at: str, current: str | None = None, **shown: Any) -> str:
        address = StaticAddresses(self.places, at)
        network = self.atlas.network
        rail = [
            RailLayer(
                found["layer"],
                address.layer(network, found["layer"]),
                _share(found),
                found["layer"] == current,
            )
            for found in self.layers
        ]
        known = {
            "address": address,
            "is_static": True,
            "navigation": (),
            "footer": (),
            "section": None,
            "default_description": DESCRIPTION,
            "atlas": self.atlas,
            "version": self.version,
            "rail_layers": rail,
        }
        return self.templates.get_template(template).render({**known, **shown})


def shipped(name: str) -> tuple[str, str]:
    """Path and text of a file that the pages load."""
    return f"static/{name}", (STATIC / name).read_text(encoding="utf-8")


def without_failures(facets: Sequence[Visualization]) -> Sequence[Visualization]:
    """Facets without what never came to be where others did."""
    return [facet for facet in facets if facet.state == State.DONE] or facets[:1]


def of_facets(layer: str, unit: int, facets: Sequence[Visualization]) -> UnitPictures:
    """A unit as the site shows it."""
    return UnitPictures(layer, unit, without_failures(facets))


def _is_small(shown: Visualization) -> bool:
    image = shown.artifacts.get("image")
    return image is not None and image.width is not None and image.width < _SMALL


def _share(layer: Any) -> float:
    total = layer["unit_count"] * layer["facets"]
    return min(1.0, (layer["pictures"] + layer["unreachable"]) / total) if total else 1.0
