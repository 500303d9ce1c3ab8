"""Fitting an eye: directions in which features of photographs and of synthesized pictures differ most.

Photographs and synthesized pictures count the same together, however many there are. Each layer's features
are scaled to the same mean deviation; a direction is scaled by its own to the power of `whitening`. The
origin is the mean of the synthesized ones: what all of them have in common tells none apart.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imago_engine.synthesis.eye.features import Features, squares
from imago_engine.synthesis.generators.files import load_generator
from imago_engine.synthesis.stored_pixels import as_images, to_bytes
from imago_engine.training.data.preparation import centre_square, decode
from imago_engine.training.data.sources import open_source
from imago_engine.weights import DIMENSIONS, shipped_generator

PHOTOGRAPHS = {
    "mini_imagenet_60000x84.npz": 800,
    "caltech101_9144x128.npz": 300,
    "sketchy_3011x160.npz": 400,
    "animals_2838x128.npz": 100,
    "things_657x160.npz": 100,
    "nature_1147x160.npz": 100,
    "miniplaces_3500x128.npz": 200,
}
"""Image sets, and how many pictures of each, evenly spread."""
Pixels = NDArray[np.uint8]
_AT_ONCE = 32


@dataclass(frozen=True)
class Fit:
    """`mean` [C] and `axes` [128, C], as an eye's file has them."""

    mean: Tensor
    axes: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Features [N, C] → embeddings [N, 128] of length 1."""
        return torch.nn.functional.normalize((features - self.mean) @ self.axes.T, dim=1)


def photographs(folder: Path, size: int) -> Iterator[Pixels]:
    """Central squares of the photographs that are fitted on, uint8 [size, size, 3]."""
    for name, count in PHOTOGRAPHS.items():
        total = int(name.rpartition("_")[2].partition("x")[0])
        for picture in islice(open_source(folder / "images" / name), 0, None, total // count):
            image = decode(picture)
            if image is not None:
                yield centre_square(image, size)


def prototypes() -> Iterator[Pixels]:
    """What the shipped generator makes of the prototypes of its codes, from which units' pictures begin."""
    generator = load_generator(shipped_generator())
    assert generator.prior is not None
    for points in torch.split(generator.prior.prototypes, _AT_ONCE):
        with torch.inference_mode():
            rgb = generator.rgb(generator(generator.prior.code(points.float())))
        yield from as_images(to_bytes(rgb))


def features_of(features: Features, pictures: Iterable[Pixels]) -> Tensor:
    """What is seen of pictures: [N, C]."""
    found, waiting = [], list[Pixels]()
    for picture in pictures:
        waiting.append(picture)
        if len(waiting) == _AT_ONCE:
            found.append(_seen(features, waiting))
            waiting = []
    return torch.cat([*found, *([_seen(features, waiting)] if waiting else [])])


def _seen(features: Features, pictures: Sequence[Pixels]) -> Tensor:
    tensors = [torch.from_numpy(np.array(picture)) for picture in pictures]
    return features(squares(tensors, features.input_size)).cpu()


def fit(photographed: Tensor, synthesized: Tensor, widths: Sequence[int], whitening: float) -> Fit:
    """An eye of features [N, C] of two kinds of pictures; `widths` are the layers' channels."""
    parts = torch.split(photographed, list(widths), dim=1)
    scale = torch.cat([(1 / part.std(0).mean()).expand(part.shape[1]) for part in parts])
    kinds = [kind * scale for kind in (photographed, synthesized)]
    covariance = sum(((kind - kind.mean(0)).T @ (kind - kind.mean(0)) / len(kind)).double() for kind in kinds)
    variances, vectors = torch.linalg.eigh(covariance)
    variances, vectors = variances.flip(0)[:DIMENSIONS], vectors.flip(1)[:, :DIMENSIONS]
    deviations = variances.clamp_min(float(variances[0]) * 1e-6).sqrt()
    # The sign of a direction is the library's whim: its largest part is made positive.
    largest = vectors.abs().argmax(0)
    vectors = vectors * vectors[largest, torch.arange(vectors.shape[1])].sign()
    axes = (vectors / deviations**whitening).T.float() * scale
    return Fit(synthesized.mean(0), axes / axes.abs().max())
