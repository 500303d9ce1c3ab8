"""What lies in all of a generator's pictures at the same pixels: a lattice of cells, a seam, a grain.

A discriminator that has to overlook where things are hardly sees it in one picture. Over many pictures it is
what their mean has and the mean of photographs has not.
"""

from typing import Any

import torch
from torch import Tensor, nn

from imago_engine.synthesis.generators.compact import blurred
from imago_engine.training.distributed.shared_rows import ALL, SharedRows

DECAY = 0.95
"""Of the means that are remembered, a batch."""

LEAST = 1e-3
"""Of RGB in [−1, 1]: the usual size of details in pictures that have none."""


class SharedPattern(nn.Module):
    """The squared distance between pictures and photographs, [N, 3, S, S] each, of the mean at each pixel of
    three things: details, and the sizes of differences between neighbours below and to the right; relative to
    the usual size of these in photographs.

    One factor of the square is the distance as earlier batches have it. So it has little of the chance of one
    batch, and pictures cannot cancel each other within a batch, which batch norms would let them learn. It
    may be negative where there is no pattern.
    """

    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.surplus: Tensor
        self.register_buffer("surplus", torch.zeros(3, 3, image_size, image_size))

    def forward(self, fake: Tensor, real: Tensor, rows: SharedRows = ALL) -> Tensor:
        """This process's part of the loss; it remembers what the batch has in all `rows`."""
        with torch.no_grad():
            wanted = _looked_at(real)
            usual = rows.mean(wanted.abs().mean((1, 2, 3, 4))).view(3, 1, 1, 1)  # of each of the three
            usual = usual.clamp_min(LEAST)
        surplus = (_looked_at(fake) - wanted).mean(1) / usual  # [3, 3, S, S]
        loss = (self.surplus.clone() * surplus).mean()
        self.surplus.lerp_(rows.mean(surplus.detach()), 1 - DECAY)
        return loss

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """A checkpoint of earlier releases has no such state: it begins anew."""
        state_dict.setdefault(f"{prefix}surplus", torch.zeros_like(self.surplus))
        super()._load_from_state_dict(state_dict, prefix, *others)


def _looked_at(rgb: Tensor) -> Tensor:
    """RGB [N, 3, S, S] → [3, N, 3, S, S]: details, differences down and right; 0 beyond the last ones."""
    down, right = torch.zeros_like(rgb), torch.zeros_like(rgb)
    down[:, :, :-1] = rgb.diff(dim=2).abs()
    right[:, :, :, :-1] = rgb.diff(dim=3).abs()
    return torch.stack([rgb - blurred(rgb), down, right])
