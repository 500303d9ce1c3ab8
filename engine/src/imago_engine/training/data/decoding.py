"""Bytes of a picture to its RGB pixels as a person would see them in a viewer."""

import io
from math import sqrt

from PIL import Image, UnidentifiedImageError

from imago_engine.training.data.grey_levels import DEEP_GREYS, eight_bits
from imago_engine.training.data.jpeg_scans import SCAN, scans_of
from imago_engine.training.data.sources import RawPicture

Image.init()
FORMATS = sorted(
    {"AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"} & Image.OPEN.keys()
)
"""Formats by content, whatever the name's suffix says. Others that Pillow knows start programs (EPS) or are
for documents.
"""
LARGEST = 89_478_485
"""Pixels of a picture that are decoded, at most: where Pillow begins to warn of decompression bombs."""
_SHRUNK = 24_000_000
"""A JPEG of more pixels is decoded at a half, a quarter or an eighth of its edges, which takes as much less
memory. Pictures of ordinary cameras are below, and keep every bit of what they were."""
_SCANNED, _FEWEST = 48 * LARGEST, 2**20
"""Pixels that the scans of a JPEG may have in all, and those that each counts for at least. Encoders write
some ten scans; a few hundred kB hold thousands, of pictures of any size.
"""
_WHITE = (255, 255, 255)
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UndecodableError(ValueError):
    """The bytes are no whole picture; the message says why, without the picture's name."""


def decode(picture: RawPicture) -> Image.Image | None:
    """The decoded RGB picture, or None where its bytes are not a whole image."""
    try:
        return decoded(picture.content)
    except UndecodableError:
        return None


def decoded(content: bytes) -> Image.Image:
    """The RGB picture that a viewer shows: turned as its camera says, what is transparent over white, deep
    greys scaled to 8 bits, of an animation the first frame. Raises UndecodableError.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _check_scans(image, content)
            return _turned(image, _as_seen(_loaded(image)))
    except UndecodableError:
        raise
    except Image.DecompressionBombError as error:  # Pillow looks at the size before anybody else can
        raise UndecodableError(f"it has more than {LARGEST:,} pixels") from error
    except UnidentifiedImageError as error:
        raise UndecodableError(f"it is none of {', '.join(FORMATS)}") from error
    # Decoders raise whatever their parsing ends in: struct.error, zlib.error, KeyError, RecursionError,
    # MemoryError for a size that is a lie, warnings that are errors. It is this picture's in any case.
    except Exception as error:
        raise UndecodableError(str(error) or type(error).__name__) from error


def _check_scans(image: Image.Image, content: bytes) -> None:
    width, height = image.size
    # In metadata these bytes may be something else: where there are many, it is looked at exactly.
    most = _SCANNED // max(width * height, _FEWEST)
    if content.count(SCAN) > most and (scans := scans_of(content)) > most:
        raise UndecodableError(f"{scans:,} scans of {width} × {height} pixels are more than {most:,}")


def _loaded(image: Image.Image) -> Image.Image:
    width, height = image.size
    if width * height > _SHRUNK:
        share = sqrt(_SHRUNK / 4 / (width * height))  # of a half each way there is more than that left
        image.draft(None, (int(width * share), int(height * share)))
    if image.width * image.height > LARGEST:
        raise UndecodableError(f"{width} × {height} pixels are more than {LARGEST:,}")
    _scale_clear_colour(image)
    image.load()
    return image


def _scale_clear_colour(image: Image.Image) -> None:
    """The transparent colour of a PNG that is not loaded yet, to the 8 bits that its pixels will have.

    Pillow keeps it in samples of the file's depth. Of colours of 16 bits only the high byte is left.
    """
    clear, tiles = image.info.get("transparency"), getattr(image, "tile", None)
    if image.format != "PNG" or clear is None or not tiles:
        return
    layout = tiles[0].args
    if layout in ("L", "L;2", "L;4"):
        white = 2 ** int(layout[2:] or 8) - 1
        image.info["transparency"] = (clear & white) * 255 // white
    elif layout == "RGB":
        image.info["transparency"] = tuple(sample & 255 for sample in clear)
    elif layout == "RGB;16B":
        image.info["transparency"] = tuple(sample >> 8 for sample in clear)


def _as_seen(image: Image.Image) -> Image.Image:
    """RGB of any mode that Pillow has."""
    if image.mode in DEEP_GREYS:
        grey, opacity = eight_bits(image)
        rgb = grey.convert("RGB")
        return rgb if opacity is None else _over_white(rgb, opacity)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        opacity = rgba.getchannel("A")
        if opacity.getextrema() != (255, 255):
            return _over_white(rgba, opacity)
    return image.convert("RGB")


def _over_white(image: Image.Image, opacity: Image.Image) -> Image.Image:
    page = Image.new("RGB", image.size, _WHITE)
    page.paste(image, mask=opacity)
    return page


def _turned(source: Image.Image, image: Image.Image) -> Image.Image:
    """`image` as the metadata of `source`, which is loaded, say that it was held."""
    try:
        turn = _TURNS.get(source.getexif().get(_ORIENTATION, 1))
    except Exception:  # unreadable metadata: viewers show such a picture as it lies
        return image
    return image if turn is None else image.transpose(turn)
