import io

import numpy as np
import pytest
from PIL import Image

from imago.sheet import contact_sheet

SIDE = 96
INK = 128
"""Darker than this is ink: captions are nearly black, pictures and paper are light."""


def _picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (200, 220, 240)).save(file, "PNG")
    return file.getvalue()


def _rows_of_ink(caption: str) -> list[int]:
    """Rows of a sheet of one picture on which something is written."""
    sheet = Image.open(io.BytesIO(contact_sheet([(caption, _picture())])))
    ink = np.asarray(sheet.convert("L")) < INK
    assert not ink[:, -4:].any(), "written beyond the tile"
    rows: list[int] = np.unique(np.argwhere(ink)[:, 0]).tolist()
    return rows


@pytest.mark.parametrize(
    "caption", ["German short-haired pointer", "great white shark, white shark", "x" * 300, "two " * 90]
)
def test_a_long_caption_is_written_on_two_lines_within_its_tile(caption: str) -> None:
    short, long = _rows_of_ink("agama"), _rows_of_ink(caption)
    assert max(short) < SIDE + 20
    lines = 1 if " " not in caption else 2
    assert max(long) - min(long) > 8 * (lines - 1)
    assert max(long) < SIDE + 35


def test_captions_of_one_line_take_the_room_of_one() -> None:
    one = Image.open(io.BytesIO(contact_sheet([("agama", _picture())])))
    two = Image.open(io.BytesIO(contact_sheet([("agama", _picture()), ("sea snake " * 9, _picture())])))
    assert one.height < two.height
