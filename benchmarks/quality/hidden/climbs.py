"""Climbs of some hidden units of one layer, made once and kept, so that an interrupted run goes on."""

import json
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.arrays import write_whole
from benchmarks.quality.hidden.outcome import Seen
from imago_engine.synthesis.ascent import Item, synthesize
from imago_engine.synthesis.computing.thread_groups import thread_groups
from imago_engine.synthesis.fitting import Fit
from imago_engine.synthesis.generators.files import file_sha256, load_generator
from imago_engine.synthesis.inspection.layers import find_layer
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.modes import own_modes
from imago_engine.synthesis.networks.truncate import Prefix
from imago_engine.synthesis.starts.ranking import Ranking
from imago_engine.techniques.dgn_am import TECHNIQUE, DgnAm

VERSION = 2
"""Raised when code here changes what is kept."""


@dataclass(frozen=True)
class Chunk:
    """Some units of one layer, made together."""

    network: str
    layer: str
    units: tuple[int, ...]


@dataclass(frozen=True)
class Made:
    """The N pictures of a chunk."""

    units: NDArray[np.int64]
    """[N]."""
    best: NDArray[np.float64]
    """[N]: how much the best prototype excites each unit."""
    activations: NDArray[np.float64]
    """[N], measured on the pictures."""
    statuses: NDArray[np.str_]
    """[N]: `done` or `unreachable`."""
    images: NDArray[np.uint8]
    """[N, S, S, 3] RGB."""
    boxes: NDArray[np.int64]
    """[N, 4]: left, top, right and bottom of the part of the picture that the unit sees."""

    def seen(self) -> list[Seen]:
        """What became of each unit."""
        columns = (self.units, self.best, self.activations, self.statuses)
        return [Seen(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]


class Climbs:
    """Makes chunks with one generator's recommended recipe, or reads them where they were kept."""

    def __init__(
        self, networks: dict[str, Network], generator: Path, steps: int | None, folder: Path
    ) -> None:
        self._networks, self._generator, self._folder = networks, load_generator(generator), folder
        changed = {} if steps is None else {"steps": steps}
        self._recipe = DgnAm(**{**self._generator.info.recommended, **changed})
        self.conditions = {
            "version": VERSION,
            "technique": {"id": TECHNIQUE.id, "version": TECHNIQUE.version},
            "generator": file_sha256(generator),
            "recipe": self._recipe.model_dump(),
        }

    def units(self, network: str, layer: str) -> int:
        """How many a layer has."""
        return find_layer(self._networks[network], _name(layer), self._recipe.input_size).shape[0]

    def made(self, chunk: Chunk) -> Made:
        """The pictures of a chunk."""
        asked = json.dumps([self.conditions, asdict(chunk)], sort_keys=True)
        path = self._folder / f"{chunk.network}-{chunk.layer}-{sha256(asked.encode()).hexdigest()[:12]}.npz"
        if path.exists():
            with np.load(path) as kept:
                return Made(**{field.name: kept[field.name] for field in fields(Made)})
        made = self._made(chunk)
        write_whole(path, **vars(made))
        return made

    def _made(self, chunk: Chunk) -> Made:
        network, recipe = self._networks[chunk.network], self._recipe
        items = [Item(unit, 0) for unit in chunk.units]
        layer = find_layer(network, _name(chunk.layer), recipe.input_size)
        size = recipe.input_size or network.preprocessing.size
        fit = Fit.plan(recipe.fit, self._generator.info.image_size, size)
        prefix = Prefix(network.module, layer.name, layer.layout)
        with own_modes(), thread_groups(network.device) as side_by_side:
            known = Ranking(network, self._generator, layer, prefix, fit).of(items, side_by_side)
        pictures = synthesize(network, self._generator, layer.name, items, recipe)
        side = self._generator.info.image_size
        return Made(
            units=np.array(chunk.units),
            best=np.array([float(each.max()) for each in known]),
            activations=np.array([picture.activation for picture in pictures]),
            statuses=np.array([picture.status for picture in pictures]),
            images=np.stack([picture.image for picture in pictures]),
            boxes=np.array([picture.crop_box or (0, 0, side, side) for picture in pictures]),
        )


def _name(layer: str) -> str:
    return f"logits.{layer}"  # the assets' networks are wrapped
