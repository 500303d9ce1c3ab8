"""Pictures of units that an eye is fitted on and judged by: made once, part by part, and kept."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.arrays import write_whole
from benchmarks.quality.assets import named_network
from imago_engine.notebook.functions import synthesize
from imago_engine.synthesis.networks.load import Network

AT_ONCE = 16
Pixels = NDArray[np.uint8]
LITE, MOBILE = "efficientnet_lite0.imagenet", "mobilenet_v2"
JUDGED = (LITE, MOBILE)
"""Networks of the same classes, trained by different people."""


@dataclass(frozen=True)
class Part:
    """Units of one layer of a network whose pictures are made together."""

    network: str
    layer: str
    units: tuple[int, ...]

    @property
    def file(self) -> str:
        """Named by what it holds."""
        return f"{sha256(json.dumps([self.network, self.layer, self.units]).encode()).hexdigest()[:16]}.npz"


def judged(network: str, count: int = 100) -> list[Part]:
    """The first so many of every tenth class, by which eyes are compared. None is fitted on."""
    return _parts(network, "output", range(0, 1000, 10))[: -(-count // AT_ONCE)]


def fitted(network: str) -> list[Part]:
    """16 other classes of a network."""
    return _parts(network, "output", range(5, 1000, 65))


def _parts(network: str, layer: str, units: Sequence[int]) -> list[Part]:
    return [Part(network, layer, tuple(units[at : at + AT_ONCE])) for at in range(0, len(units), AT_ONCE)]


def made(parts: Sequence[Part], network: Network, folder: Path) -> Iterator[Pixels]:
    """What the units of the parts see of their pictures, uint8 [H, W, 3] each, unreachable ones left out.

    What `folder` lacks is made, by the technique that suits the layer.
    """
    for part in parts:
        path = folder / part.file
        if not path.is_file():
            print(f"{part.network}/{part.layer}: {len(part.units)} pictures", file=sys.stderr, flush=True)
            found = synthesize(network, part.layer, part.units, technique="auto", progress=False)
            whole = [(0, 0, picture.image.shape[1], picture.image.shape[0]) for picture in found]
            write_whole(
                path,
                images=np.stack([picture.image for picture in found]),
                boxes=np.array([picture.crop_box or box for picture, box in zip(found, whole, strict=True)]),
                done=np.array([picture.status == "done" for picture in found]),
            )
        with np.load(path) as kept:
            for image, box, done in zip(kept["images"], kept["boxes"], kept["done"], strict=True):
                if done:
                    left, top, right, bottom = box
                    yield image[top:bottom, left:right]


def make_all(folder: Path, assets: Path | None, classes: int = 100) -> None:
    """Make whatever `folder` lacks, of both networks by turns, so that each has as many at any time."""
    networks = {name: named_network(name, assets) for name in JUDGED}
    turns = zip(*(judged(name, classes) + fitted(name) for name in JUDGED), strict=True)
    for part in chain.from_iterable(turns):
        for _ in made([part], networks[part.network], folder):
            pass
