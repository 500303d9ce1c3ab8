import numpy as np
import torch

from benchmarks.quality.grid import GAP, LABEL, TILE, sheet
from benchmarks.quality.lists import famous


def test_forty_pictures_stand_in_five_rows_of_eight_over_their_names() -> None:
    things = famous()
    drawn = sheet(torch.arange(10, 50, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 16, 16), things)
    assert drawn.size == (8 * (TILE + GAP) + GAP, 5 * (TILE + LABEL + GAP) + GAP)
    pixels = np.asarray(drawn)
    for i in (0, 7, 8, 39):
        left, top = GAP + i % 8 * (TILE + GAP), GAP + i // 8 * (TILE + LABEL + GAP)
        assert (pixels[top : top + TILE, left : left + TILE] == 10 + i).all()
        assert pixels[top + TILE : top + TILE + LABEL, left : left + TILE].min() < 100
