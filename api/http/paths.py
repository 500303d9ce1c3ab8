"""Paths of the API's objects. Links are paths without an origin: they hold behind any proxy and under any
name.
"""

from functools import lru_cache
from urllib.parse import quote


@lru_cache(maxsize=4096)
def _escaped(text: str) -> str:
    """Remembered: of all links of a long list, most have the same names in them."""
    return quote(text, safe="")


def path_to(*segments: str | int) -> str:
    """A path under /v1 whose segments are escaped one by one; a slash in a name does not make a new
    segment.
    """
    escaped = (_escaped(each) if isinstance(each, str) else str(each) for each in segments)
    return "/v1/" + "/".join(escaped)


def job_path(id: str) -> str:
    """The path of a job."""
    return path_to("jobs", id)


def job_page(id: str) -> str:
    """Where a person looks at the job."""
    return f"/jobs/{_escaped(id)}"


def atlas_path(id: str) -> str:
    """The path of an atlas."""
    return path_to("atlases", id)


def atlas_version_path(id: str, number: int) -> str:
    """The path of a version of an atlas."""
    return path_to("atlases", id, "versions", number)


def atlas_units_path(id: str, version: str | int, layer: str) -> str:
    """The path of the units that a version of an atlas shows of a layer."""
    return path_to("atlases", id, "versions", version, "layers", layer, "units")


def sheet_path(id: str, number: int, layer: str | None) -> str:
    """The path of the sheet of a layer in a version of an atlas, of the poster where that is None."""
    if layer is None:
        return path_to("atlases", id, "versions", number, "poster")
    return path_to("atlases", id, "versions", number, "layers", layer, "sheet")


def map_path(id: str, number: int) -> str:
    """The path of the map of a version of an atlas."""
    return path_to("atlases", id, "versions", number, "map")


def export_path(id: str, number: int) -> str:
    """The path of the export of a version of an atlas, as one file."""
    return path_to("atlases", id, "versions", number, "export.tar")


def network_path(id: str) -> str:
    """The path of a network."""
    return path_to("networks", id)


def layer_path(network: str, layer: str) -> str:
    """The path of a layer."""
    return path_to("networks", network, "layers", layer)


def unit_path(network: str, layer: str, unit: int) -> str:
    """The path of a unit."""
    return path_to("networks", network, "layers", layer, "units", unit)


def visualization_path(digest: str) -> str:
    """The path of a visualization."""
    return path_to("visualizations", digest)


def comparison_path(a: str, b: str, part: str = "", **query: str) -> str:
    """The path of a comparison of two versions of atlases, each as `ATLAS@VERSION`, or of a part of it."""
    asked = "&".join(f"{name}={_escaped(value)}" for name, value in {"a": a, "b": b, **query}.items())
    return f"{path_to('compare', *filter(None, [part]))}?{asked}"
