"""How well a generator inverts its encoder, on photographs that it never saw: x against G(E(x))."""

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.quality.measuring.judges import BATCH, Judge, resized
from benchmarks.quality.measuring.statistics import cosine_distances
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.networks.load import UnknownNetwork, load_network
from imago_engine.synthesis.stored_pixels import to_bytes
from imago_engine.training.data.encoder import Encoder


@dataclass(frozen=True)
class Reconstruction:
    """Means over photographs. `pixels`: root mean square error of RGB in [0, 1] at the generator's size.
    `features`: cosine distance of MobileNetV2's. `features_of_others`: the same from the photographs to
    reconstructions of other ones, which a generator that ignored its code would reach."""

    pixels: float
    features: float
    features_of_others: float


def reconstruction(generator: Generator, photographs: Tensor, judge: Judge) -> Reconstruction | None:
    """Of photographs uint8 [N, 3, S, S]; None where the catalog does not have the generator's encoder."""
    info = generator.info
    try:
        encoder_network = load_network(info.encoder)
    except UnknownNetwork:
        return None
    size = int(info.training.get("encoder_input_size", encoder_network.preprocessing.size))
    encoder = Encoder(encoder_network, info.encoder_layer, size, info.training.get("encoder_grid"))
    made = []
    with torch.inference_mode():
        for part in torch.split(photographs, BATCH):
            codes = encoder(resized(part, size)).view(-1, *info.code_shape)
            made.append(to_bytes(generator(codes)))
    copies, originals = torch.cat(made), to_bytes(resized(photographs, info.image_size))
    errors = ((copies.float() - originals.float()) / 255).square().flatten(1).mean(1).sqrt()
    whole, copied = judge(photographs).features, judge(copies).features
    assert whole is not None
    assert copied is not None
    return Reconstruction(
        pixels=float(errors.mean()),
        features=float(cosine_distances(whole.numpy(), copied.numpy()).mean()),
        features_of_others=float(cosine_distances(whole.numpy(), copied.roll(1, 0).numpy()).mean()),
    )
