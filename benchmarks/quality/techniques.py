"""Ways to make a picture, behind one interface: what the table compares."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from imago_engine.synthesis.ascent import Item, synthesize
from imago_engine.synthesis.generators.files import file_sha256, load_generator
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.pictures import Picture
from imago_engine.techniques import all_techniques, technique_named
from imago_engine.techniques.dgn_am import TECHNIQUE, DgnAm

PICTURES_VERSION = 5
"""Raised when code here changes what pictures look like: stored ones are then made anew."""
OnStep = Callable[[int], None]
UNTRAINED = tuple(id for id, technique in all_techniques().items() if not technique.needs)
"""Techniques that need no generator: the baselines."""


@dataclass(frozen=True)
class Made:
    """Pictures uint8 [N, 3, S, S], their activations [N] after 8 bits, and the seconds that they took
    together.
    """

    images: Tensor
    activations: Tensor
    seconds: float


class Technique(Protocol):
    name: str
    steps: int
    input_size: int

    @property
    def conditions(self) -> dict[str, Any]:
        """All that determines the pictures, apart from unit and seed."""

    def make(self, layer: str, items: Sequence[Item], on_step: OnStep) -> Made:
        """The pictures of some units of one layer."""


def digest(technique: Technique) -> str:
    """Names the pictures of a technique under its conditions."""
    canonical = json.dumps({"version": PICTURES_VERSION, **technique.conditions}, sort_keys=True)
    return sha256(canonical.encode()).hexdigest()[:16]


class Generated:
    """DGN-AM with a generator file, by the recipe that the file recommends; `changes` override parts of "
    "it."""

    def __init__(self, name: str, network: Network, path: Path, **changes: Any) -> None:
        self.name, self.path, self._network = name, path, network
        self.generator, self._sha256 = load_generator(path), file_sha256(path)
        self.recipe = DgnAm(**{**self.generator.info.recommended, **changes})
        self.steps = self.recipe.steps
        self.input_size = self.recipe.input_size or network.preprocessing.size

    @property
    def conditions(self) -> dict[str, Any]:
        return {
            "technique": "dgn-am",
            "version": TECHNIQUE.version,
            "network": self._network.weights_sha256,
            "generator": self._sha256,
            "recipe": self.recipe.model_dump(),
        }

    @property
    def trained_on(self) -> tuple[str, ...]:
        """The image sets that the file names."""
        return tuple(str(source) for source in self.generator.info.training.get("sources", ()))

    @property
    def description(self) -> dict[str, Any]:
        """Which generator, and what it says of itself."""
        info = self.generator.info
        return {
            "file": self.path.name,
            "sha256": self._sha256,
            "architecture": info.architecture,
            "pictures_seen": info.training.get("pictures_seen"),
            "recipe": self.recipe.model_dump(),
        }

    def make(self, layer: str, items: Sequence[Item], on_step: OnStep) -> Made:
        start = time.perf_counter()
        pictures = synthesize(self._network, self.generator, layer, items, self.recipe, on_step=on_step)
        return _made(pictures, time.perf_counter() - start)


class Untrained:
    """A baseline with as many looks of the network a picture, at the same input size, as the technique it is
    held against.
    """

    def __init__(self, technique: str, network: Network, equal_to: Technique) -> None:
        self.name, self._network = technique, network
        self.steps, self.input_size = equal_to.steps, equal_to.input_size
        values = {"steps": self.steps, "input_size": self.input_size}
        self._parameters = technique_named(technique).parameters(values)

    @property
    def conditions(self) -> dict[str, Any]:
        return {
            "technique": self.name,
            "version": technique_named(self.name).version,
            "network": self._network.weights_sha256,
            "recipe": self._parameters.model_dump(),
        }

    def make(self, layer: str, items: Sequence[Item], on_step: OnStep) -> Made:
        start = time.perf_counter()
        pictures = synthesize(self._network, None, layer, items, self._parameters, on_step=on_step)
        return _made(pictures, time.perf_counter() - start)


def _made(pictures: Sequence[Picture], seconds: float) -> Made:
    images = torch.from_numpy(np.stack([picture.image for picture in pictures])).permute(0, 3, 1, 2)
    return Made(images, torch.tensor([picture.activation for picture in pictures]), seconds)
