"""What real pictures do to the units of a layer: the measure that synthesized ones are held against."""

from collections.abc import Iterable

import torch
from torch import Tensor

from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.truncate import Prefix


@torch.inference_mode()
def activations(network: Network, layer: str, batches: Iterable[Tensor]) -> Tensor:
    """Activations [N, C] of a layer, by its dotted name, over batches of RGB [n, 3, S, S] in [0, 1].

    A channel is read at its centre, as the ascent reads it.
    """
    prefix = Prefix(network.module, layer)
    answers = []
    for images in batches:
        output = prefix(network.preprocessing(images))
        if output.ndim == 4:
            output = output[:, :, output.shape[2] // 2, output.shape[3] // 2]
        answers.append(output.float())
    return torch.cat(answers)
