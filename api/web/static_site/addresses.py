"""Where everything is in a static site, as seen from one of its pages."""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

from api.web.addresses import Parameter, with_query
from api.web.grid_view import CELLS_A_PAGE
from services.grids.orders import By

HOME, SEARCH, MAP = "index.html", "search.html", "map.html"
THUMBNAIL, LARGE = 128, 512
"""Sizes of pictures, at most, in pixels a side."""
_PAGES = {"search": SEARCH, "map": MAP}
_CHOICES = ("order", "state", "label", "density")
_PLAIN = re.compile(r"[^A-Za-z0-9._-]")


class Places:
    """Where the pages of each layer lie. Their folders begin with numbers: so they are in the order of the
    network, and differ also where file systems take large and small letters for the same.
    """

    def __init__(self, layers: Iterable[str]) -> None:
        """layers: their names, from picture to logits."""
        self.folders = {
            name: f"layers/{number:03}-{_PLAIN.sub('_', name)}" for number, name in enumerate(layers, start=1)
        }

    def layer(self, layer: str, page: int = 0) -> str:
        """A page of a layer's grid."""
        return f"{self.folders[layer]}/{f'{page + 1}.html' if page else HOME}"

    def unit(self, layer: str, unit: int) -> str:
        """A unit's page."""
        return f"{self.folders[layer]}/units/{unit}.html"

    def picture(self, digest: str, size: int | None, format: str = "webp") -> str:
        """A picture: in one of the sizes that pages use or, without one, as it was made."""
        if size is None:
            return f"pictures/{digest[:2]}/{digest}.{format}"
        return f"pictures/{digest[:2]}/{digest}-{THUMBNAIL if size <= THUMBNAIL else LARGE}.{format}"

    def crop(self, digest: str) -> str:
        """What the unit sees of a picture."""
        return f"pictures/{digest[:2]}/{digest}-crop.png"

    def exemplar(self, layer: str, unit: int, rank: int, scan: str) -> str:
        """A photograph. The scan is in its name: another one finds others."""
        folder = self.folders[layer].removeprefix("layers/")
        return f"photographs/{_PLAIN.sub('_', scan)}/{folder}/{unit}-{rank}.webp"


@dataclass(frozen=True)
class StaticAddresses:
    """`Addresses` of a page that lies `at` a path of the site. What is not there leads to the entrance."""

    places: Places
    at: str = HOME

    def to(self, path: str) -> str:
        """A file of the site, by its path from the site's root."""
        return posixpath.relpath(path, posixpath.dirname(self.at) or ".")

    def static(self, name: str) -> str:
        """A file of `api/web/static`."""
        return self.to(f"static/{name}")

    def page(self, name: str, **query: Parameter) -> str:
        """The map, or the search for `q`; else the entrance."""
        words = {"q": query.get("q")} if name == "search" else {}
        return with_query(self.to(_PAGES.get(name, HOME)), words)

    def network(self, network: str, **query: Parameter) -> str:
        """The entrance: it shows the network's layers."""
        return self.to(HOME)

    def layer(self, network: str, layer: str, **query: Parameter) -> str:
        """A layer's page. `from`: the place in it of the first unit that is shown. Orders and choices are
        parameters of its first page, which a script reads."""
        start = query.get("from")
        chosen = {name: query.get(name) for name in _CHOICES}
        if chosen["order"] == By.INDEX:
            del chosen["order"]
        if any(chosen.values()):
            return with_query(self.to(self.places.layer(layer)), {**chosen, "from": start})
        return self.to(self.places.layer(layer, start // CELLS_A_PAGE if isinstance(start, int) else 0))

    def unit(self, network: str, layer: str, unit: int, **query: Parameter) -> str:
        """A unit's page, which shows all its facets."""
        return self.to(self.places.unit(layer, unit))

    def atlas(self, atlas: str, **query: Parameter) -> str:
        """The entrance."""
        return self.to(HOME)

    def atlas_map(self, atlas: str, version: int | str, **query: Parameter) -> str:
        """The map."""
        return self.to(MAP)

    def atlas_sheet(self, atlas: str, version: int | str, layer: str | None = None) -> str:
        """The entrance, or the layer's page: there are no sheets."""
        return self.to(HOME if layer is None else self.places.layer(layer))

    def job(self, job: str, **query: Parameter) -> str:
        """The entrance."""
        return self.to(HOME)

    def generator(self, generator: str) -> str:
        """The entrance."""
        return self.to(HOME)

    def training(self, training: str, **query: Parameter) -> str:
        """The entrance."""
        return self.to(HOME)

    def picture(self, digest: str, size: int | None = None, format: str = "webp") -> str:
        """A picture of the atlas: as a thumbnail, as it is shown large or, where it is tiny, as it was
        made."""
        return self.to(self.places.picture(digest, size, format))

    def crop(self, digest: str) -> str:
        """What the unit sees of a picture that is shown large."""
        return self.to(self.places.crop(digest))

    def exemplar(self, network: str, layer: str, unit: int, rank: int, scan: str) -> str:
        """The crop of a photograph that excites a unit."""
        return self.to(self.places.exemplar(layer, unit, rank, scan))

    def api(self, *segments: str | int, **query: Parameter) -> str:
        """The entrance."""
        return self.to(HOME)
