"""Where everything is in a static site, as seen from one of its pages."""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

from api.web.addresses import Parameter

UNITS_A_PAGE = 240
"""Of a layer's grid."""
HOME, SEARCH = "index.html", "search.html"
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

    def picture(self, digest: str, size: int) -> str:
        """A picture in one of the sizes that pages use."""
        return f"pictures/{digest[:2]}/{digest}-{size}.webp"


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
        """The search, else the entrance."""
        return self.to(SEARCH if name == "search" else HOME)

    def network(self, network: str, **query: Parameter) -> str:
        """The entrance: it shows the network's layers."""
        return self.to(HOME)

    def layer(self, network: str, layer: str, **query: Parameter) -> str:
        """A layer's page. `from`: the place in it of the first unit that is shown."""
        start = query.get("from")
        return self.to(self.places.layer(layer, start // UNITS_A_PAGE if isinstance(start, int) else 0))

    def unit(self, network: str, layer: str, unit: int, **query: Parameter) -> str:
        """A unit's page, which shows all its facets."""
        return self.to(self.places.unit(layer, unit))

    def atlas(self, atlas: str, **query: Parameter) -> str:
        """The entrance."""
        return self.to(HOME)

    def atlas_map(self, atlas: str, version: int | str, **query: Parameter) -> str:
        """The entrance."""
        return self.to(HOME)

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
        """A picture of the atlas, in the size of a thumbnail or in the one that is shown large."""
        return self.to(
            self.places.picture(digest, THUMBNAIL if size is not None and size <= THUMBNAIL else LARGE)
        )

    def exemplar(self, network: str, layer: str, unit: int, rank: int) -> str:
        """The entrance: real pictures are not ours to hand on."""
        return self.to(HOME)

    def api(self, *segments: str | int, **query: Parameter) -> str:
        """The entrance."""
        return self.to(HOME)


THUMBNAIL, LARGE = 128, 512
"""Sizes of pictures, at most, in pixels a side."""
