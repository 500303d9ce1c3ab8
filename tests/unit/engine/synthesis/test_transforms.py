"""What the network sees of a picture at one step."""

import torch

from imago_engine.synthesis.fitting import shifted
from imago_engine.synthesis.transforms import magnified


def test_a_part_is_magnified_and_then_moved_in_one_pass() -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(4, 3, 17, 17, generator=draw)
    zooms = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, -0.5], [0.7, -0.1, 0.2], [0.9, 0.1, 0.0]])
    shifts = torch.tensor([[0, 0], [3, -2], [-4, 1], [2, 4]])
    torch.testing.assert_close(magnified(x, zooms, shifts), shifted(magnified(x, zooms), shifts))
