"""Pictures of a packed `.npz`: one array of all bytes and one of where each picture begins."""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from imago_engine.training.data.sources.raw_pictures import (
    OnLoss,
    RawPicture,
    SourceError,
    SourceLimits,
    unread,
)

_ARRAYS = {
    "blob": "uint8, one-dimensional",
    "offsets": "integers, one-dimensional [N+1], rising",
    "split": "numbers, one-dimensional [N], 1 = held out",
}
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""What numpy writes. Others (LZMA) may ask for any amount of memory."""
_PICTURES = 2**26
"""In one packed set, at most: `offsets` and `split` are held in memory, 64-bit numbers of both in 1 GiB."""
_HEADER_BYTES = 10_000
"""Of an array's description, at most, as numpy has it; numpy itself compares only what it has read whole."""
_PART = 2**20


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    dtype: np.dtype


def packed_pictures(path: Path, limits: SourceLimits, on_loss: OnLoss) -> Iterator[RawPicture]:
    """Yield the pictures in their order, reading `blob` once from front to back.

    A picture larger than allowed is left out, and `on_loss` is told. Raises SourceError for what does not
    make a packed set, and at the end where the checksum of `blob` says that some of it is damaged.
    """
    try:
        with path.open("rb") as file:
            file.read(1)  # zipfile takes what cannot be read for what is no archive
        with zipfile.ZipFile(path) as archive:
            yield from _pictures(archive, path, limits, on_loss)
    except (SourceError, MemoryError):
        raise
    # What a damaged archive can make zipfile, zlib, numpy's parser or struct raise has no common ancestor.
    except Exception as error:
        message = f"{path} is not a readable .npz file: {str(error) or type(error).__name__}"
        raise (unread(message, error) if isinstance(error, OSError) else SourceError(message)) from error


def _pictures(
    archive: zipfile.ZipFile, path: Path, limits: SourceLimits, on_loss: OnLoss
) -> Iterator[RawPicture]:
    names = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    missing = {"blob", "offsets"} - names.keys()
    if missing:
        raise SourceError(f"{path} lacks the arrays {sorted(missing)}; it has {sorted(names)}")
    if any(info.compress_type not in _METHODS for info in names.values()):
        raise ValueError("it is compressed by another method than numpy's")
    allowed = max(limits.unpacked, path.stat().st_size)
    if (unpacked := sum(info.file_size for info in names.values())) > allowed:
        raise SourceError(f"{path} unpacks to {unpacked:,} bytes; at most {allowed:,} are allowed")
    offsets = _small(archive, names["offsets"], "offsets")
    count = len(offsets) - 1
    split = _small(archive, names["split"], "split") if "split" in names else np.zeros(count, np.uint8)
    with archive.open(names["blob"]) as blob:
        header = _header(blob, "blob")
        if header.dtype != np.uint8 or len(header.shape) != 1:
            raise SourceError(
                f"{path}: blob is {header.dtype} {list(header.shape)}; expected {_ARRAYS['blob']}"
            )
        _check(path, offsets, split, header.shape[0])
        position = 0
        for i in range(count):
            start, end = int(offsets[i]), int(offsets[i + 1])
            name = f"{path.name}#{i}"
            if end - start > limits.picture:
                on_loss(name, f"{end - start:,} bytes are more than a picture may have ({limits.picture:,})")
                continue
            _skip(blob, start - position)
            content = blob.read(end - start)
            position = end
            if len(content) < end - start:
                raise SourceError(f"{path}: blob is cut off within picture {i}")
            yield RawPicture(name, content, bool(split[i]))
        _skip(blob, header.shape[0] - position + 1)  # to the very end, where its checksum is compared


def _small(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> np.ndarray:
    """One of the arrays that are held in memory: one-dimensional, of integers."""
    with archive.open(info) as handle:
        header = _header(handle, name)
        # Flags may be of any number; a place that is none cannot be told from one that is damaged.
        if len(header.shape) != 1 or header.dtype.kind not in ("iu" if name == "offsets" else "iubf"):
            raise SourceError(
                f"{archive.filename}: {name} is {header.dtype} {list(header.shape)}; expected {_ARRAYS[name]}"
            )
        if header.shape[0] > _PICTURES + 1:
            raise SourceError(
                f"{archive.filename}: {name} has {header.shape[0]:,} entries; a packed set may have "
                f"{_PICTURES:,} pictures"
            )
        array = np.empty(header.shape, header.dtype)
        content, filled = array.view(np.uint8), 0
        while part := handle.read(min(_PART, len(content) - filled)):
            content[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
            filled += len(part)
        handle.read(1)  # at the end its checksum is compared
    if filled < len(content):
        raise SourceError(f"{archive.filename}: {name} is cut off")
    return array


def _header(handle: IO[bytes], name: str) -> _Header:
    """The description before an array's bytes. Raises ValueError where numpy's own readers would take a
    length or a size that no array has.
    """
    version = np.lib.format.read_magic(handle)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"{name} is of version {version} of numpy's format; expected 1.0 or 2.0")
    length = handle.read(2 if version == (1, 0) else 4)
    if (size := int.from_bytes(length, "little")) > _HEADER_BYTES:
        raise ValueError(f"{name} has a header of {size:,} bytes; at most {_HEADER_BYTES:,}")
    shape, _, dtype = readers[version](io.BytesIO(length + handle.read(size)))
    if any(size < 0 for size in shape):
        raise ValueError(f"{name} has the shape {list(shape)}; expected sizes of at least 0")
    return _Header(shape, dtype)


def _check(path: Path, offsets: np.ndarray, split: np.ndarray, size: int) -> None:
    if len(offsets) == 0 or offsets[0] < 0 or offsets[-1] > size or (offsets[1:] < offsets[:-1]).any():
        raise SourceError(
            f"{path}: offsets do not mark pictures in blob; expected rising integers [N+1] in 0 … {size}"
        )
    if len(split) != len(offsets) - 1:
        raise SourceError(
            f"{path}: split has {len(split)} entries for {len(offsets) - 1} pictures; expected one each"
        )


def _skip(handle: IO[bytes], count: int) -> None:
    while count > 0 and (part := handle.read(min(count, _PART))):
        count -= len(part)
