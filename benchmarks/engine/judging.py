"""What judges say of two engines' pictures of the same classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.quality.assets import Assets
from benchmarks.quality.lists import OUTPUT
from benchmarks.quality.measuring.evaluation import reference
from benchmarks.quality.measuring.judged import Judged
from benchmarks.quality.measuring.judges import panel
from benchmarks.quality.measuring.real import look
from benchmarks.quality.measuring.statistics import Array, Gaussian, frechet
from imago_engine.synthesis.networks.load import load_network

Row = dict[str, Any]


class Panel:
    """EfficientNet-lite1, MobileNetV2 and Tiny Darknet, and the photographs that Fréchet distances are to."""

    def __init__(self, assets: Assets, network: str, image_size: int, cache: Path) -> None:
        self._judges = panel(assets)
        real = look(
            assets.photographs(),
            self._judges,
            load_network(network),
            (OUTPUT,),
            input_size=image_size,
            small_size=image_size,
            cache=cache,
        )
        self.reference = reference(real)

    @property
    def names(self) -> list[str]:
        return [judge.id for judge in self._judges]

    def opinion(self, images: Array, classes: Sequence[int]) -> Judged:
        """Of pictures uint8 [N, 3, S, S], one of each class."""
        own, ranks, features = torch.tensor(classes), [], None
        for judge in self._judges:
            said = judge(torch.from_numpy(images))
            ranks.append(said.ranks_of(own).numpy()[:, None])
            features = said.features.numpy() if said.features is not None else features
        assert features is not None
        return Judged(tuple(self.names), np.stack(ranks), features, np.empty(0))

    def distance(self, features: Array) -> float:
        return frechet(Gaussian.fit(features), self.reference)
