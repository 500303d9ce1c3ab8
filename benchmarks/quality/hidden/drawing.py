"""Drawing the pictures of hidden units: a row a layer."""

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

from benchmarks.quality.hidden.climbs import Made
from benchmarks.quality.layers.sheets import enlarged

TILE, LABEL, GAP, MARGIN = 128, 16, 4, 120


def drawn(found: Mapping[tuple[str, str], Sequence[Made]], columns: int) -> Image.Image:
    """The first units of each layer, each picture over its unit's number; what the unit sees is framed where
    it is not all of the picture.
    """
    width, height = TILE + GAP, TILE + LABEL + GAP
    sheet = Image.new("RGB", (MARGIN + columns * width, len(found) * height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for row, ((network, layer), chunks) in enumerate(found.items()):
        top = row * height
        pen.text((4, top + TILE / 2), f"{network}\n{layer}", fill="black", font=font, anchor="lm")
        numbered = [(made, n) for made in chunks for n in range(len(made.units))]
        for column, (made, n) in enumerate(numbered[:columns]):
            left = MARGIN + column * width
            sheet.paste(enlarged(made.images[n], TILE), (left, top))
            side = made.images.shape[1]
            if made.boxes[n].tolist() != [0, 0, side, side]:
                box = (made.boxes[n] * TILE / side).tolist()
                edges = (left + box[0], top + box[1], left + box[2] - 1, top + box[3] - 1)
                pen.rectangle(edges, outline="white")
            one = made.seen()[n]
            said = str(one.unit) if one.reached or not one.excited else f"{one.unit} not reached"
            pen.text((left + TILE / 2, top + TILE + LABEL / 2), said, fill="black", font=font, anchor="mm")
    return sheet
