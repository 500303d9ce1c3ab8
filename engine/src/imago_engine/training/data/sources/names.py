"""Which names in a folder or an archive are those of pictures to train on."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

HELD_OUT_FOLDERS = frozenset({"val", "valid", "validation", "test"})

_RANK = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".jp2", ".tif", ".tiff", ".png", ".bmp", ".ppm",
    ".pgm", ".gif",
)  # fmt: skip
"""Of one sample's plain pictures the first is the picture: a PNG beside a photograph is mostly its map."""
IMAGE_SUFFIXES = frozenset(_RANK)
UNREAD_SUFFIXES = frozenset(
    {
        ".heic", ".heif", ".jxl",
        ".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2", ".srw",
    }
)  # fmt: skip
"""Of pictures, raw ones of cameras among them, in formats that are not read."""
_LEFT_BY_SYSTEMS = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN"})
_FIELD = re.compile(r"[A-Za-z][\w-]*")
_MAP = re.compile(
    "(annotation|depth|disparity|gt|instance|label|labelmap|mask|matte|panoptic|seg|segm|segmap|segmentation"
    "|semantic|trimap)s?"
)


def is_image_name(path: PurePosixPath) -> bool:
    """Whether a path (relative to its source) is that of a picture: by its suffix, and neither hidden nor
    something that an operating system left (`._x.jpg`, `__MACOSX/`, `.thumbnails/`).
    """
    return path.suffix.lower() in IMAGE_SUFFIXES and not any(map(is_left_over, path.parts))


def is_unread_name(path: PurePosixPath) -> bool:
    """Whether a path is by its name that of a picture in a format that is not read."""
    return path.suffix.lower() in UNREAD_SUFFIXES and not any(map(is_left_over, path.parts))


def why_unread(path: PurePosixPath) -> str:
    """The reason that is given for such a picture."""
    return f"its format is not read ({path.suffix.lower()})"


def is_left_over(part: str) -> bool:
    """Whether one part of a path is hidden or was left by an operating system."""
    return part in _LEFT_BY_SYSTEMS or (part.startswith(".") and part not in (".", ".."))


def sample_of(path: PurePosixPath) -> tuple[str, str]:
    """Key and field of a picture's name as WebDataset has them: `a/7.mask.png` is the field `mask` of the
    sample `a/7`, `a/7.png` its plain picture (field ""). Parts that begin with a digit belong to the key:
    `v1.2.png` is a plain picture.
    """
    parts = path.stem.split(".")
    first = len(parts)
    while first > 1 and _FIELD.fullmatch(parts[first - 1]):
        first -= 1
    return str(path.with_name(".".join(parts[:first]))), ".".join(parts[first:])


def is_map(field: str) -> bool:
    """Whether a field's name says that it is a map of a picture (mask, depth, labels), and no picture."""
    return any(_MAP.fullmatch(word) for word in re.split(r"[^a-z]+", field.lower()))


def pictures_of_sample(names: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """Which of one WebDataset sample's images are trained on: its plain picture, or else all that are not
    maps by name.
    """
    plain = [name for name in names if not sample_of(name)[1]]
    if plain:
        return [min(plain, key=lambda name: _RANK.index(name.suffix.lower()))]
    return [name for name in names if not is_map(sample_of(name)[1])]
