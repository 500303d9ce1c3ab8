"""Real photographs: the ceiling of every figure, and what pictures and activations are compared with."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.activations import activations
from benchmarks.quality.arrays import write_whole
from benchmarks.quality.assets import Photographs
from benchmarks.quality.lists import OUTPUT
from benchmarks.quality.measuring.judges import BATCH, Judge, Opinions, resized
from benchmarks.quality.measuring.statistics import Array, percentiles
from imago_engine.synthesis.inspection.layers import find_layer
from imago_engine.synthesis.networks.load import Network


@dataclass(frozen=True)
class Seen:
    """Photographs as judges see them:

    `features` [N, F]; `ranks` [judges, M] of the M photographs with a class.
    """

    features: Array
    ranks: Array


@dataclass(frozen=True)
class Real:
    """`classes` [N] (−1: none).

    `whole` at full size, `small` reduced to `small_size` pixels. `activations` by layer, [N, C].
    """

    classes: Array
    whole: Seen
    small: Seen
    small_size: int
    activations: dict[str, Array]

    @property
    def reference(self) -> slice:
        """Every second photograph: what pictures are compared with.

        The others are held out, to be compared in their place.
        """
        return slice(0, None, 2)

    @property
    def held_out(self) -> slice:
        return slice(1, None, 2)


def look(
    photographs: Photographs,
    judges: Sequence[Judge],
    network: Network,
    layers: Sequence[str],
    *,
    input_size: int,
    small_size: int,
    cache: Path,
) -> Real:
    """Show the photographs to the judges and to the network under study, once; kept in `cache`.

    `input_size` is the size at which the network looks at pictures in the benchmark. Channels are read at
    their centre.
    """
    parts = [
        str(network.weights_sha256),
        *layers,
        str(input_size),
        str(small_size),
        *(judge.id for judge in judges),
    ]
    key = sha256("|".join([*parts, str(photographs.synsets.tolist())]).encode()).hexdigest()[:16]
    path = cache / f"real-{key}.npz"
    classes = photographs.classes.numpy()
    if not path.exists():
        print(f"real: {len(classes)} photographs", file=sys.stderr, flush=True)
        small = (resized(photographs.images, small_size) * 255).round().to(torch.uint8)
        whole, reduced = (
            _seen(photographs.images, photographs.classes, judges),
            _seen(small, photographs.classes, judges),
        )
        at_layers = photograph_activations(photographs, network, layers, input_size, cache)
        arrays: dict[str, Any] = {f"at {layer}": values for layer, values in at_layers.items()}
        arrays |= {"features": whole.features, "ranks": whole.ranks}
        arrays |= {"small_features": reduced.features, "small_ranks": reduced.ranks}
        write_whole(path, **arrays)
    with np.load(path) as kept:
        return Real(
            classes,
            Seen(kept["features"], kept["ranks"]),
            Seen(kept["small_features"], kept["small_ranks"]),
            small_size,
            {layer: kept[f"at {layer}"] for layer in layers},
        )


def photograph_activations(
    photographs: Photographs, network: Network, layers: Sequence[str], input_size: int, cache: Path
) -> dict[str, Array]:
    """What the photographs do to some layers, by their names, [N, C]; kept in `cache`."""
    parts = [str(network.weights_sha256), *layers, str(input_size), str(photographs.synsets.tolist())]
    path = cache / f"activations-{sha256('|'.join(parts).encode()).hexdigest()[:16]}.npz"
    if not path.exists():
        print(f"{network.id}: {len(photographs.images)} photographs", file=sys.stderr, flush=True)
        found = {layer: _activations(network, layer, photographs.images, input_size) for layer in layers}
        write_whole(path, **found)
    with np.load(path) as kept:
        return {layer: kept[layer] for layer in layers}


def _seen(images: Tensor, classes: Tensor, judges: Sequence[Judge]) -> Seen:
    features: Tensor | None = None
    ranks = []
    labelled = classes >= 0
    for judge in judges:
        opinions = judge(images)
        features = opinions.features if opinions.features is not None else features
        own = Opinions(opinions.logits[labelled], None)
        ranks.append(own.ranks_of(classes[labelled]).numpy())
    assert features is not None
    return Seen(features.numpy(), np.stack(ranks))


def _activations(network: Network, layer: str, images: Tensor, input_size: int) -> Array:
    name = find_layer(network, layer, input_size).name
    batches = (resized(part, input_size) for part in torch.split(images, BATCH))
    found: Array = activations(network, name, batches).numpy()
    return found


def own_class_percentiles(real: Real) -> Array:
    """Where each photograph stands among all of them by the logit of its own class."""
    labelled = real.classes >= 0
    own, logits = real.classes[labelled], real.activations[OUTPUT]
    return percentiles(logits[labelled, own], logits[:, own])
