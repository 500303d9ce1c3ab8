"""Where training pictures come from: an image folder, WebDataset tars, or a packed `.npz`; one iterator of
bytes.
"""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})


class SourceError(ValueError):
    """A source of pictures cannot be read; the message says what was found and what would be accepted."""


@dataclass(frozen=True)
class RawPicture:
    """An encoded picture as it lies in its source. `held_out`: the source wants it not trained on."""

    name: str
    content: bytes
    held_out: bool = False


def open_source(path: Path) -> Iterator[RawPicture]:
    """Yield the pictures of `path` in an order that depends only on its content.

    Accepts a folder of images (searched recursively; a top folder named `val`, `valid`, `validation` or
    `test` is held out), a folder of WebDataset tars, one `.tar`, or one packed `.npz` (arrays `blob` uint8,
    `offsets` int64 [N+1], optional `split` [N], 1 = held out).
    """
    if not path.exists():
        raise SourceError(
            f"{path} does not exist; expected an image folder, WebDataset .tar file(s) or a packed .npz"
        )
    if path.is_dir():
        tars = sorted(path.glob("*.tar"))
        return _tars(tars) if tars else _folder(path)
    if path.suffix == ".tar":
        return _tars([path])
    if path.suffix == ".npz":
        return _packed(path)
    raise SourceError(f"{path} is neither a folder nor a .tar nor a .npz file")


def _folder(root: Path) -> Iterator[RawPicture]:
    held_out_names = {"val", "valid", "validation", "test"}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
            relative = path.relative_to(root)
            yield RawPicture(str(relative), path.read_bytes(), relative.parts[0].lower() in held_out_names)


def _tars(paths: list[Path]) -> Iterator[RawPicture]:
    for path in paths:
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    if member.isfile() and Path(member.name).suffix.lower() in IMAGE_SUFFIXES:
                        handle = archive.extractfile(member)
                        if handle is not None:
                            yield RawPicture(f"{path.name}/{member.name}", handle.read())
        except tarfile.TarError as error:
            raise SourceError(f"{path} is not a readable tar archive: {error}") from error


def _packed(path: Path) -> Iterator[RawPicture]:
    try:
        content = path.read_bytes()
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            missing = {"blob", "offsets"} - set(arrays.files)
            if missing:
                raise SourceError(f"{path} lacks the arrays {sorted(missing)}; it has {sorted(arrays.files)}")
            blob, offsets = arrays["blob"], arrays["offsets"]
            count = len(offsets) - 1
            split = arrays["split"] if "split" in arrays.files else np.zeros(count, np.uint8)
    except (OSError, ValueError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{path} is not a readable .npz file: {error}") from error
    for i in range(count):
        yield RawPicture(f"{path.name}#{i}", blob[offsets[i] : offsets[i + 1]].tobytes(), bool(split[i]))
