"""How long reads of the API take, one after the other over one connection, each of something else."""

import http.client
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from benchmarks.atlas.planning import CLASSES, NETWORK, OTHER, layer_name

WARMING = 5
Path = Callable[[random.Random], str]


class Reader:
    """One connection that stays open."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)

    def get(self, path: str) -> bytes:
        """The body. Raises `SystemExit` for what is no answer."""
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {body[:500]!r}")
        return body

    def json(self, path: str) -> Any:
        """The same, decoded."""
        return json.loads(self.get(path))


def p95_ms(reader: Reader, path: Path, count: int) -> float:
    """Milliseconds within which 95 % of so many reads were answered."""
    draw = random.Random(1)
    taken = []
    for number in range(WARMING + count):
        wanted = path(draw)
        began = time.perf_counter()
        reader.get(wanted)
        if number >= WARMING:
            taken.append(1000 * (time.perf_counter() - began))
    return sorted(taken)[int(0.95 * len(taken))]


def always(path: str) -> Path:
    """The same one each time."""
    return lambda draw: path


def endpoints(reader: Reader, atlas: str, other: str, layers: int, units: int) -> Mapping[str, Path]:
    """What is read, by what people call it, of an atlas of so many layers with so many units each, which was
    compared with another one."""
    version = f"/v1/atlases/{atlas}/versions/latest"

    def layer(draw: random.Random) -> str:
        return layer_name(draw.randrange(layers))

    def unit(draw: random.Random) -> str:
        return f"/v1/networks/{NETWORK}/layers/{layer(draw)}/units/{draw.randrange(units)}"

    def cursors(path: str, pages: int = 20) -> Sequence[str]:
        """The addresses of some pages that follow each other."""
        found = [path]
        joined = "&" if "?" in path else "?"
        while len(found) < pages and (cursor := reader.json(found[-1])["next_cursor"]):
            found.append(f"{path}{joined}cursor={quote(cursor)}")
        return found

    def one_of(paths: Sequence[str]) -> Path:
        return lambda draw: draw.choice(paths)

    def labelled(draw: random.Random) -> str:
        # Classes that are seen often, and seldom.
        return urlencode({"label": CLASSES[int(draw.paretovariate(0.5)) % len(CLASSES)]})

    digests = [
        facet["digest"]
        for name in range(0, layers, max(layers // 10, 1))
        for found in reader.json(f"{version}/layers/{layer_name(name)}/units")["data"]
        for facet in found["facets"]
    ]
    both = f"a={atlas}@1&b={other}@1"
    changed = f"/v1/search/changes?network={NETWORK}&layer={layer_name(0)}&other={OTHER}"
    return {
        "atlases": always("/v1/atlases"),
        "atlas": always(f"/v1/atlases/{atlas}"),
        "layers of an atlas": always(f"/v1/atlases/{atlas}/layers"),
        "versions": always(f"/v1/atlases/{atlas}/versions"),
        "version": always(version),
        "units of a layer": lambda draw: f"{version}/layers/{layer(draw)}/units",
        "units of a layer, some pages on": one_of(
            cursors(f"{version}/layers/{layer_name(1 % layers)}/units")
        ),
        "units of the open version": lambda draw: (
            f"/v1/atlases/{atlas}/versions/open/layers/{layer(draw)}/units"
        ),
        "entries": one_of(cursors(f"{version}/entries")),
        "image in an atlas": lambda draw: f"{unit(draw)}/image.webp?atlas={atlas}&size=64",
        "layers of a network": always(f"/v1/networks/{NETWORK}/layers"),
        "units of a network's layer": lambda draw: f"/v1/networks/{NETWORK}/layers/{layer(draw)}/units",
        "unit": unit,
        "image of a unit": lambda draw: f"{unit(draw)}/image",
        "visualization": lambda draw: f"/v1/visualizations/{draw.choice(digests)}",
        "image": lambda draw: f"/v1/visualizations/{draw.choice(digests)}/image",
        "visualizations": one_of(cursors("/v1/visualizations")),
        "jobs of an atlas": one_of(cursors(f"/v1/jobs?atlas={atlas}")),
        "jobs": always("/v1/jobs"),
        "queue": always("/v1/queue"),
        "search by label": lambda draw: f"/v1/search/units?{labelled(draw)}",
        "search by label, some pages on": one_of(cursors("/v1/search/units?label=class%20000")),
        "search by label in a network": lambda draw: f"/v1/search/units?{labelled(draw)}&network={NETWORK}",
        "search by label in a layer": lambda draw: (
            f"/v1/search/units?{labelled(draw)}&network={NETWORK}&layer={layer(draw)}"
        ),
        "labels that begin so": lambda draw: f"/v1/search/labels?prefix=class+{draw.randrange(10)}",
        "unreachable units": always("/v1/search/units?state=unreachable"),
        "changes": one_of(cursors(changed, 5)),
        "comparison": always(f"/v1/compare?{both}"),
        "units of a comparison": one_of(cursors(f"/v1/compare/units?{both}&layer={layer_name(0)}", 5)),
        "neighbours within a layer": lambda draw: f"{unit(draw)}/neighbours?within=layer",
        "neighbours within a network": lambda draw: f"{unit(draw)}/neighbours?within=network",
        "neighbours within everything": lambda draw: f"{unit(draw)}/neighbours?within=all",
    }
