"""Where everything is that a page links to or shows.

Templates ask for addresses here and write none by hand: the same templates make a static site, where each
thing lies somewhere else.
"""

from typing import Protocol
from urllib.parse import quote, urlencode

from api.http import paths

Parameter = str | int | bool | None
"""A query parameter of an address; None and False are left out."""


def local_path(*segments: str | int) -> str:
    """A path whose segments are escaped one by one."""
    return "/" + "/".join(quote(str(segment), safe="") for segment in segments)


def with_query(path: str, query: dict[str, Parameter]) -> str:
    """The path with those parameters that say something."""
    said = {
        name: "true" if value is True else value
        for name, value in query.items()
        if value is not None and value is not False
    }
    return f"{path}?{urlencode(said)}" if said else path


class Addresses(Protocol):
    """What templates may ask for."""

    def static(self, name: str) -> str:
        """A file of `api/web/static`."""

    def page(self, name: str, **query: Parameter) -> str:
        """A page that stands for itself: `networks`, `atlases`, `search`, `compare`, `jobs`, …"""

    def network(self, network: str, **query: Parameter) -> str:
        """A network's page."""

    def layer(self, network: str, layer: str, **query: Parameter) -> str:
        """A layer's page. `atlas`: what is shown of it, `ATLAS@VERSION`."""

    def unit(self, network: str, layer: str, unit: int, **query: Parameter) -> str:
        """A unit's page. `atlas` as for a layer, `facet` the picture that is shown large."""

    def atlas(self, atlas: str, **query: Parameter) -> str:
        """An atlas's page."""

    def atlas_map(self, atlas: str, version: int | str, **query: Parameter) -> str:
        """The page of the map of a version of an atlas."""

    def atlas_sheet(self, atlas: str, version: int | str, layer: str | None = None) -> str:
        """The page of the contact sheet of a layer in a version of an atlas; without one of its poster."""

    def job(self, job: str, **query: Parameter) -> str:
        """A job's page."""

    def generator(self, generator: str) -> str:
        """A generator's page."""

    def training(self, training: str, **query: Parameter) -> str:
        """A training's page."""

    def picture(self, digest: str, size: int | None = None, format: str = "webp") -> str:
        """A visualization's picture: at most `size` pixels a side (64, 128, 256 or 512), as it was made for
        None."""

    def crop(self, digest: str) -> str:
        """The part of a visualization's picture that the unit sees, as it was made."""

    def exemplar(self, network: str, layer: str, unit: int, rank: int, scan: str) -> str:
        """The crop of a real picture that excites a unit, by a scan; 0 is the one that does most."""

    def api(self, *segments: str | int, **query: Parameter) -> str:
        """Something of the JSON API, under /v1."""


class ServerAddresses:
    """Where this server has it."""

    def static(self, name: str) -> str:
        """A file of `api/web/static`."""
        return f"/static/{name}"

    def page(self, name: str, **query: Parameter) -> str:
        """A page that stands for itself."""
        return with_query(local_path(*name.split("/")), query)

    def network(self, network: str, **query: Parameter) -> str:
        """A network's page."""
        return with_query(local_path("networks", network), query)

    def layer(self, network: str, layer: str, **query: Parameter) -> str:
        """A layer's page."""
        return with_query(local_path("networks", network, "layers", layer), query)

    def unit(self, network: str, layer: str, unit: int, **query: Parameter) -> str:
        """A unit's page."""
        return with_query(local_path("networks", network, "layers", layer, "units", unit), query)

    def atlas(self, atlas: str, **query: Parameter) -> str:
        """An atlas's page."""
        return with_query(local_path("atlases", atlas), query)

    def atlas_map(self, atlas: str, version: int | str, **query: Parameter) -> str:
        """The page of the map of a version of an atlas."""
        return with_query(local_path("atlases", atlas, "versions", version, "map"), query)

    def atlas_sheet(self, atlas: str, version: int | str, layer: str | None = None) -> str:
        """The page of the contact sheet of a layer, or of the poster."""
        part = ("poster",) if layer is None else ("layers", layer, "sheet")
        return local_path("atlases", atlas, "versions", version, *part)

    def job(self, job: str, **query: Parameter) -> str:
        """A job's page."""
        return with_query(paths.job_page(job), query)

    def generator(self, generator: str) -> str:
        """A generator's page."""
        return local_path("generators", generator)

    def training(self, training: str, **query: Parameter) -> str:
        """A training's page."""
        return with_query(local_path("trainings", training), query)

    def picture(self, digest: str, size: int | None = None, format: str = "webp") -> str:
        """A visualization's picture."""
        path = f"{paths.visualization_path(digest)}/image.{format}"
        return with_query(path, {"size": size})

    def crop(self, digest: str) -> str:
        """The part of a visualization's picture that the unit sees."""
        return with_query(f"{paths.visualization_path(digest)}/image.png", {"view": "crop"})

    def exemplar(self, network: str, layer: str, unit: int, rank: int, scan: str) -> str:
        """The crop of a real picture that excites a unit."""
        return with_query(f"{paths.unit_path(network, layer, unit)}/exemplars/{rank}/image", {"scan": scan})

    def api(self, *segments: str | int, **query: Parameter) -> str:
        """Something of the JSON API."""
        return with_query(paths.path_to(*segments), query)
