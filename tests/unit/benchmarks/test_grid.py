import numpy as np

from benchmarks.quality.grid import GAP, LABEL, TILE, sheet
from benchmarks.quality.lists import famous
from imago_engine.synthesis.ascent import Picture


def picture(value: int) -> Picture:
    image = np.full((16, 16, 3), value, np.uint8)
    return Picture(image, np.zeros(1, np.float32), 0.0, np.zeros(1, np.float32), "done", None, None, 0)


def test_forty_pictures_stand_in_five_rows_of_eight_over_their_names() -> None:
    things = famous()
    drawn = sheet([picture(10 + i) for i in range(40)], things)
    assert drawn.size == (8 * (TILE + GAP) + GAP, 5 * (TILE + LABEL + GAP) + GAP)
    pixels = np.asarray(drawn)
    for i in (0, 7, 8, 39):
        left, top = GAP + i % 8 * (TILE + GAP), GAP + i // 8 * (TILE + LABEL + GAP)
        assert (pixels[top : top + TILE, left : left + TILE] == 10 + i).all()
        assert pixels[top + TILE : top + TILE + LABEL, left : left + TILE].min() < 100
