"""Paths of the API's objects. Links are paths without an origin: they hold behind any proxy and under any
name.
"""

from urllib.parse import quote


def path_to(*segments: str | int) -> str:
    """A path under /v1 whose segments are escaped one by one; a slash in a name does not make a new
    segment.
    """
    return "/v1/" + "/".join(quote(str(segment), safe="") for segment in segments)


def job_path(id: str) -> str:
    """The path of a job."""
    return path_to("jobs", id)


def job_page(id: str) -> str:
    """Where a person looks at the job."""
    return f"/jobs/{quote(id, safe='')}"


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
