"""Pages as a visitor asks for them: one after the other over one connection, each time of something else."""

import http.client
import random
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urljoin, urlsplit

from benchmarks.pages import crowd
from benchmarks.pages.scene import LARGE, NETWORK, OUTPUT, Showcase

WARMING = 2
Path = Callable[[random.Random], str]
_LINKED = re.compile(r"""<link[^>]+rel="stylesheet"[^>]+href="([^"]+)"|<script[^>]+src="([^"]+)\"""")
_IMPORTED = re.compile(r"""(?:import|from)\s*["'](\./[^"']+)["']""")


class Visitor:
    """A browser's connection, with the key of somebody who may do everything."""

    def __init__(self, url: str, key: str) -> None:
        self._host, self._port = urlsplit(url).hostname or "", urlsplit(url).port
        self._connection = http.client.HTTPConnection(self._host, self._port, timeout=120)
        self._headers = {"Authorization": f"Bearer {key}", "Accept": "text/html"}
        self._weights: dict[str, int] = {}

    def visited(self, path: Path, count: int) -> Mapping[str, float]:
        """Milliseconds until the whole document is there, and what a page weighs: the document with its
        styles and scripts, in thousands of bytes."""
        draw, taken, heaviest = random.Random(1), [], 0
        for number in range(WARMING + count):
            wanted = path(draw)
            began = time.perf_counter()
            document = self._get(wanted)
            if number >= WARMING:
                taken.append(1000 * (time.perf_counter() - began))
            heaviest = max(heaviest, len(document) + self._beside(wanted, document.decode()))
        return {
            "p50_ms": round(statistics.median(taken), 1),
            "p95_ms": round(sorted(taken)[int(0.95 * len(taken))], 1),
            "weight_kb": round(heaviest / 1000, 1),
        }

    def _get(self, path: str) -> bytes:
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {body[:500]!r}")
        return body

    def _beside(self, path: str, document: str) -> int:
        """Bytes of the styles and scripts of a page, with what the scripts import."""
        linked = {urljoin(path, style or script) for style, script in _LINKED.findall(document)}
        there: set[str] = set()
        while linked:
            at = linked.pop()
            there.add(at)
            if at not in self._weights:
                body = self._get(at)
                self._weights[at] = len(body)
                self._imports = {**getattr(self, "_imports", {}), at: _IMPORTED.findall(body.decode())}
            linked |= {urljoin(at, name) for name in self._imports[at]} - there
        return sum(self._weights[at] for at in there)


def pages(large: Showcase, small: Sequence[Showcase]) -> Mapping[str, Path]:
    """Every page with what it shows, by what people call it."""
    names = [each.name for each in large.layers if each.name not in (LARGE, OUTPUT)]
    of_large = f"/networks/{NETWORK}/layers/{LARGE}"
    most = next(each.units for each in large.layers if each.name == LARGE)
    atlas, waiting = f"atlas={large.atlas}", f"/atlases/{crowd.waiting_atlas()}"

    def layer(draw: random.Random) -> str:
        return f"/networks/{NETWORK}/layers/{draw.choice(names)}"

    def unit(draw: random.Random, query: str = "") -> str:
        return f"{layer(draw)}/units/{draw.randrange(100)}{query}"

    def word(draw: random.Random) -> str:
        return f"class+number+{draw.randrange(1000)}"

    def network(draw: random.Random) -> str:
        return f"/networks/{draw.choice(small).network}"

    return {
        "start": always("/"),
        "networks": always("/networks"),
        "network of most units": always(f"/networks/{NETWORK}"),
        "network, all layers": always(f"/networks/{NETWORK}?layers=all"),
        "network, best pictures": always(f"/networks/{NETWORK}?atlas=any"),
        "network of fewer units": network,
        "network that is built": always(f"/networks/{crowd.WAITING}"),
        "layer": layer,
        "layer, by label": lambda draw: f"{layer(draw)}?order=label",
        "layer, by percentile": lambda draw: (
            f"/networks/{NETWORK}/layers/{draw.choice(names[:5])}?order=percentile"
        ),
        "layer, seen as": lambda draw: f"{layer(draw)}?label={word(draw)}",
        "layer, unreachable": lambda draw: f"{layer(draw)}?state=unreachable",
        "layer, like a unit": lambda draw: f"{layer(draw)}?like={draw.randrange(12)}",
        "layer, best pictures": lambda draw: f"{layer(draw)}?atlas=any",
        "output": always(f"/networks/{NETWORK}/layers/{OUTPUT}"),
        "large layer": always(of_large),
        "large layer, strongest first": always(f"{of_large}?order=activation"),
        "large layer, by label": always(f"{of_large}?order=label"),
        "large layer, by percentile": always(f"{of_large}?order=percentile"),
        "large layer, far below": lambda draw: f"{of_large}?order=activation&from={draw.randrange(most)}",
        "large layer, seen as": lambda draw: f"{of_large}?order=activation&label={word(draw)}",
        "large layer, unreachable": always(f"{of_large}?state=unreachable"),
        "large layer, dead": always(f"{of_large}?state=dead"),
        "large layer, like a unit": lambda draw: f"{of_large}?like={draw.randrange(12)}",
        "large layer, best pictures": always(f"{of_large}?atlas=any"),
        "layer that is built": lambda draw: (
            f"/networks/{crowd.WAITING}/layers/layer.{draw.randrange(crowd.LAYERS_WAITING):04}"
        ),
        "unit": unit,
        "unit, like it in its layer": lambda draw: unit(draw, "?within=layer"),
        "unit, like it anywhere": lambda draw: unit(draw, "?within=all"),
        "unit, best picture": lambda draw: unit(draw, "?atlas=any"),
        "unit of the large layer": lambda draw: f"{of_large}/units/{draw.randrange(most)}?within=layer",
        "search": always("/search"),
        "search by label": lambda draw: f"/search?q={word(draw)}",
        "search by label in a network": lambda draw: f"/search?q={word(draw)}&network={NETWORK}",
        "search by likeness": lambda draw: (
            f"/search?like={NETWORK}/{draw.choice(names)}/{draw.randrange(12)}"
        ),
        "map": always(f"/atlases/{large.atlas}/versions/1/map"),
        "compare": always("/compare"),
        "compare two": always(f"/compare?a={large.atlas}&b={crowd.compared_with()}"),
        "compare two, the large layer": always(
            f"/compare?a={large.atlas}&b={crowd.compared_with()}&layer={LARGE}"
        ),
        "atlases": always("/atlases"),
        "atlases of a network": lambda draw: f"/atlases?network={draw.choice(small).network}",
        "atlas of most units": always(f"/atlases/{large.atlas}"),
        "atlas that is built": always(waiting),
        "new atlas": always("/atlases/new"),
        "jobs": always("/jobs"),
        "jobs that failed": always("/jobs?state=failed"),
        "jobs that have succeeded": always("/jobs?state=succeeded"),
        "jobs of an atlas": always(f"/jobs?{atlas}"),
        "job of many pictures": always(f"/jobs/{crowd.JOB_OF_MANY}"),
        "job of many pictures, unreachable": always(f"/jobs/{crowd.JOB_OF_MANY}?show=unreachable"),
        "job that waits": always(f"/jobs/{crowd.waiting_job()}"),
        "generators": always("/generators"),
        "generator": always("/generators/bench"),
        "trainings": always("/trainings"),
        "training": always(f"/trainings/{crowd.TRAINING}"),
        "queue": always("/queue"),
        "account": always("/account"),
        "sign in": always("/signin"),
        "reference": always("/docs"),
        "design": always("/design"),
    }


def always(path: str) -> Path:
    """The same one each time."""
    return lambda draw: path
