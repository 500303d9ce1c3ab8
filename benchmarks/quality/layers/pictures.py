"""The pictures of some units of one layer, made once and kept, so that an interrupted run goes on."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.arrays import write_whole
from imago_engine.networks import LayerInfo
from imago_engine.notebook.functions import synthesize
from imago_engine.notebook.progress import Progress
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.networks.load import Network
from imago_engine.techniques import technique_named
from imago_engine.techniques.automatic import AUTO, chosen

VERSION = 2
"""Raised when code here changes what is kept."""
PLAIN = 20.0
"""Grey levels: pixels that deviate by less from their mean colour look plain."""


@dataclass(frozen=True)
class LayerPictures:
    """N pictures of one layer, all of S × S pixels."""

    units: NDArray[np.int64]
    """[N]."""
    images: NDArray[np.uint8]
    """[N, S, S, 3] RGB."""
    boxes: NDArray[np.int64]
    """[N, 4]: left, top, right and bottom of the part of the picture that the unit sees."""
    activations: NDArray[np.float64]
    """[N], measured on the pictures."""
    unreachable: NDArray[np.bool_]
    """[N]: whether the engine says that nothing moves the unit."""
    technique: NDArray[np.str_]
    """[]: its id, `auto` resolved."""
    seconds: NDArray[np.float64]
    """[]: what they took together."""

    def seen(self, n: int) -> NDArray[np.uint8]:
        """The part of picture n that its unit sees."""
        left, top, right, bottom = self.boxes[n]
        return self.images[n, top:bottom, left:right]

    @property
    def all_is_seen(self) -> bool:
        side = self.images.shape[1]
        return bool((self.boxes == [0, 0, side, side]).all())

    def deviation(self, n: int) -> float:
        """Grey levels by which the pixels that the unit sees of picture n deviate from their mean colour."""
        return float(self.seen(n).std(axis=(0, 1)).mean())

    def is_plain(self, n: int) -> bool:
        return self.deviation(n) < PLAIN


@dataclass(frozen=True)
class Wish:
    """What is to be made of each layer."""

    network: Network
    generator: Generator
    generator_sha256: str
    technique: str
    units: int
    seed: int

    def pictures(self, layer: LayerInfo, cache: Path, progress: Progress) -> LayerPictures:
        """Those of a layer, of evenly spread units; read from `cache` where they were made before."""
        units = evenly_spread(layer.units, self.units)
        path = cache / f"{layer.name}-{self._digest(layer, units)}.npz"
        if path.exists():
            with np.load(path) as kept:
                return LayerPictures(**{field.name: kept[field.name] for field in fields(LayerPictures)})
        made = self._made(layer, units, progress)
        write_whole(path, **vars(made))
        return made

    def _made(self, layer: LayerInfo, units: list[int], progress: Progress) -> LayerPictures:
        start = time.perf_counter()
        pictures = synthesize(
            self.network,
            layer.name,
            units,
            seeds=self.seed,
            technique=self.technique,
            generator=self.generator,
            progress=progress,
        )
        side = pictures[0].image.shape[0]
        return LayerPictures(
            units=np.array(units),
            images=np.stack([picture.image for picture in pictures]),
            boxes=np.array([picture.crop_box or (0, 0, side, side) for picture in pictures]),
            activations=np.array([picture.activation for picture in pictures]),
            unreachable=np.array([picture.status == "unreachable" for picture in pictures]),
            technique=np.array(pictures[0].technique),
            seconds=np.array(time.perf_counter() - start),
        )

    def _digest(self, layer: LayerInfo, units: list[int]) -> str:
        """Names all that determines the pictures of a layer."""
        rule = chosen(layer.receptive_field, layer.stride) if self.technique == AUTO else None
        technique = self.technique if rule is None else rule.technique
        conditions: Mapping[str, Any] = {
            "version": VERSION,
            # Of the one that is used: pictures of the others are not made again when it changes.
            "technique_version": technique_named(technique).version,
            "network": self.network.weights_sha256,
            "generator": self.generator_sha256,
            "technique": self.technique,
            "seed": self.seed,
            "units": units,
            "rule": None if rule is None else asdict(rule),
        }
        return sha256(json.dumps(conditions, sort_keys=True).encode()).hexdigest()[:16]


def evenly_spread(count: int, wanted: int) -> list[int]:
    """So many of `count` units, from the first to the last; all where there are no more."""
    if wanted >= count:
        return list(range(count))
    return [int(unit) for unit in np.linspace(0, count - 1, wanted).round()]
