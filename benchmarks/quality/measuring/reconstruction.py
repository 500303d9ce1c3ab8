"""How well a generator inverts its encoder, on photographs that it never saw: x against G(E(x)).

It takes one pass forward, where an ascent is chaotic: the figures tell generators apart that one climb a
class cannot.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.quality.assets import Photographs
from benchmarks.quality.measuring.judges import BATCH, Judge, Opinions, resized
from benchmarks.quality.measuring.statistics import TOPS, Gaussian, agreement, cosine_distances, frechet
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.networks.load import UnknownNetwork, load_network
from imago_engine.synthesis.stored_pixels import to_bytes
from imago_engine.training.data.encoder import Encoder


@dataclass(frozen=True)
class Reconstruction:
    """Means over photographs. `pixels`: root mean square error of RGB in [0, 1] at the generator's size.
    `features`: cosine distance of MobileNetV2's. `features_of_others`: the same from the photographs to
    reconstructions of other ones, which a generator that ignored its code would reach. `agreement_top1`,
    `agreement_top5`: share of the copies of photographs with a class that a judge puts first, or among its
    first five, in that class; mean of the judges. `frechet`: of MobileNetV2's features, copies against
    their photographs; it compares at equal numbers only."""

    pixels: float
    features: float
    features_of_others: float
    agreement_top1: float
    agreement_top5: float
    frechet: float


def reconstruction(
    generator: Generator, photographs: Photographs, judges: Sequence[Judge], projected: bool = False
) -> Reconstruction | None:
    """None where the catalog does not have the generator's encoder. With `projected` codes are first brought
    into the directions that the generator's prior knows, which is all that an ascent can reach.
    """
    copies = _copies(generator, photographs.images, projected)
    if copies is None:
        return None
    images = photographs.images
    originals = to_bytes(resized(images, generator.info.image_size))
    errors = ((copies.float() - originals.float()) / 255).square().flatten(1).mean(1).sqrt()
    classed = photographs.classes >= 0
    ranks = []
    whole = copied = None
    for judge in judges:
        seen, opinions = judge(images), judge(copies)
        own = Opinions(opinions.logits[classed], None)
        ranks.append(own.ranks_of(photographs.classes[classed]).numpy())
        if opinions.features is not None and seen.features is not None:
            whole, copied = seen.features.numpy(), opinions.features.numpy()
    assert whole is not None
    assert copied is not None
    every_rank = np.stack(ranks)  # [judges, n]
    return Reconstruction(
        pixels=float(errors.mean()),
        features=float(cosine_distances(whole, copied).mean()),
        features_of_others=float(cosine_distances(whole, np.roll(copied, 1, 0)).mean()),
        **{name: agreement(every_rank, below) for name, below in TOPS.items()},
        frechet=frechet(Gaussian.fit(copied), Gaussian.fit(whole)),
    )


@torch.inference_mode()
def _copies(generator: Generator, photographs: Tensor, projected: bool) -> Tensor | None:
    """G(E(x)) of photographs uint8 [N, 3, s, s], uint8 [N, 3, S, S]."""
    info, prior = generator.info, generator.prior
    try:
        encoder_network = load_network(info.encoder)
    except UnknownNetwork:
        return None
    size = int(info.training.get("encoder_input_size", encoder_network.preprocessing.size))
    encoder = Encoder(encoder_network, info.encoder_layer, size, info.training.get("encoder_grid"))
    made = []
    for part in torch.split(photographs, BATCH):
        codes = encoder(resized(part, size)).view(-1, *info.code_shape)
        if projected and prior is not None:
            codes = prior.code(prior.point(codes))
        made.append(to_bytes(generator(codes)))
    return torch.cat(made)
