"""What judges say of two engines' pictures of the same classes, and how sure the differences are."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.quality.assets import Assets
from benchmarks.quality.lists import OUTPUT
from benchmarks.quality.measuring.judges import Judge, judges
from benchmarks.quality.measuring.real import look
from benchmarks.quality.measuring.statistics import TOPS, Array, Gaussian, agreement, frechet
from imago_engine.synthesis.networks.load import load_network

Row = dict[str, Any]
Chosen = npt.NDArray[np.integer]


class Panel:
    """EfficientNet-lite1, MobileNetV2 and Tiny Darknet, and the photographs that Fréchet distances are to."""

    def __init__(self, assets: Assets, network: str, image_size: int, cache: Path) -> None:
        two = judges(assets)
        self._judges = [*two, Judge(assets.network("tiny_darknet"))]
        real = look(
            assets.photographs(),
            two,
            load_network(network),
            (OUTPUT,),
            input_size=image_size,
            small_size=image_size,
            cache=cache,
        )
        self._reference = Gaussian.fit(real.whole.features[real.reference])

    @property
    def names(self) -> list[str]:
        return [judge.id for judge in self._judges]

    def opinion(self, images: Array, classes: Sequence[int]) -> tuple[Array, Array]:
        """Of pictures uint8 [N, 3, S, S]: the ranks [judges, N] of their own classes, and features [N, F]."""
        own, ranks, features = torch.tensor(classes), [], None
        for judge in self._judges:
            said = judge(torch.from_numpy(images))
            ranks.append(said.ranks_of(own).numpy())
            features = said.features.numpy() if said.features is not None else features
        assert features is not None
        return np.stack(ranks), features

    def distance(self, features: Array) -> float:
        return frechet(Gaussian.fit(features), self._reference)


def interval(
    figure: Callable[[Chosen], float], count: int, resamples: int, seed: int = 0
) -> tuple[float, float]:
    """The 95 % interval of a figure of `count` classes, by drawing classes anew with repetition; the figure
    is told which ones, [count]."""
    draw = np.random.default_rng(seed)
    found = [figure(draw.integers(0, count, count)) for _ in range(resamples)]
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)


def compared(panel: Panel, old: tuple[Array, Array], new: tuple[Array, Array], frechet_resamples: int) -> Row:
    """New minus old, each with its paired interval over classes; both are what `Panel.opinion` gives."""
    (old_ranks, old_features), (new_ranks, new_features) = old, new
    count = old_ranks.shape[1]
    row: Row = {}
    for name, below in TOPS.items():

        def gained(kept: Chosen, below: int = below) -> float:
            return agreement(new_ranks[:, kept], below) - agreement(old_ranks[:, kept], below)

        row[name] = {
            "difference": gained(np.arange(count)),
            "interval": interval(gained, count, resamples=10_000),
        }

    def nearer(kept: Chosen) -> float:
        return panel.distance(new_features[kept]) - panel.distance(old_features[kept])

    row["frechet"] = {
        "difference": nearer(np.arange(count)),
        "interval": interval(nearer, count, frechet_resamples),
    }
    return row
