"""Pack a sample of many pictures, shrunk, into one `.npz` of a given size that trainings read."""

import heapq
import io
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from imago_engine.training.data.decoding import UndecodableError, decoded
from imago_engine.training.data.left_out import LeftOut
from imago_engine.training.data.preparation import DataError, centre_square
from imago_engine.training.data.sources import RawPicture

OVERHEAD, HEADERS = 11, 8192
"""Bytes of a picture beside its own (where it ends, its source, whether it is held out), and of all else."""


@dataclass(frozen=True)
class Packing:
    """How a set is packed. Pictures become squares of at most `size` pixels, JPEGs of `quality`; of those
    that their sources hold out at most `held_out` are kept, enough to measure with.
    """

    largest: int
    """Bytes of the file, at most."""
    size: int
    quality: int
    held_out: int
    seed: int


@dataclass(frozen=True)
class PackedSet:
    """What was packed."""

    pictures: int
    held_out: int
    by_source: dict[str, int]


@dataclass(order=True)
class _Kept:
    key: float
    order: int
    source: int = field(compare=False)
    content: bytes = field(compare=False)

    @property
    def bytes(self) -> int:
        return len(self.content) + OVERHEAD


@dataclass
class _Sample:
    """A random sample without replacement of what streams by (Efraimidis & Spirakis 2006): the pictures of
    the largest keys u^(1/weight), of at most so many bytes and so many pictures.
    """

    largest: int
    most: int
    kept: list[_Kept] = field(default_factory=list)
    bytes: int = 0
    full: bool = False

    def wants(self, key: float) -> bool:
        """Whether a picture of this key would be kept: no need to decode the others."""
        return not self.full or key > self.kept[0].key

    def add(self, picture: _Kept) -> None:
        heapq.heappush(self.kept, picture)
        self.bytes += picture.bytes
        self.shrink(self.largest)

    def shrink(self, largest: int) -> None:
        while self.kept and (self.bytes > largest or len(self.kept) > self.most):
            self.bytes -= heapq.heappop(self.kept).bytes
            self.full = True


def pack(
    out: Path,
    sources: Iterable[tuple[str, float, Iterable[RawPicture]]],
    packing: Packing,
    left_out: LeftOut,
    on_progress: Callable[[int, int], None] = lambda seen, kept: None,
) -> PackedSet:
    """Write `out` from sources (name, weight, pictures): a picture of weight 2 is twice as likely to be in
    the sample as one of weight 1. The same sources give the same set.

    `on_progress` is told how many pictures were seen, and how many of them are kept for now. `out` appears
    once it is whole. Raises DataError where nothing is left to pack.
    """
    random, seen, names = np.random.default_rng(packing.seed), 0, []
    room = packing.largest - HEADERS
    train, held_out = _Sample(room, room), _Sample(room, packing.held_out)
    for number, (name, weight, pictures) in enumerate(sources):
        names.append(name)
        for picture in pictures:
            seen += 1
            sample = held_out if picture.held_out else train
            key = float(random.random() ** (1 / weight))
            if sample.wants(key) and (content := _shrunk(picture, packing, left_out)) is not None:
                sample.add(_Kept(key, seen, number, content))
            on_progress(seen, len(train.kept) + len(held_out.kept))
    has_some = bool(train.kept)
    train.shrink(room - held_out.bytes)
    if has_some and not train.kept:
        raise DataError(
            f"{len(held_out.kept):,} held-out pictures fill the {packing.largest:,} bytes, so that none is "
            "left to train on; lower --held-out or --size, or raise --mib"
        )
    if not train.kept:
        raise DataError(
            f"nothing is left to pack of {seen:,} pictures in {packing.largest:,} bytes; "
            f"{left_out.count:,} could not be had{': ' + left_out.named if left_out.count else ''}"
        )
    # In the order in which they were seen, whatever was drawn.
    kept = sorted(train.kept, key=_place) + sorted(held_out.kept, key=_place)
    _write(out, kept, len(train.kept), names)
    counts = np.bincount([picture.source for picture in kept], minlength=len(names)).tolist()
    return PackedSet(len(kept), len(held_out.kept), dict(zip(names, counts, strict=True)))


def _place(picture: _Kept) -> int:
    return picture.order


def _shrunk(picture: RawPicture, packing: Packing, left_out: LeftOut) -> bytes | None:
    """A JPEG of the central square; a smaller picture is not enlarged, which would cost bytes for nothing."""
    try:
        image = decoded(picture.content)
    except UndecodableError as error:
        left_out.add(picture.name, str(error))
        return None
    square = centre_square(image, min(packing.size, *image.size))
    file = io.BytesIO()
    Image.fromarray(square).save(file, "JPEG", quality=packing.quality, optimize=True)
    return file.getvalue()


def _write(out: Path, kept: list[_Kept], train: int, names: list[str]) -> None:
    """Write the arrays beside `out`, then rename them over it."""
    unfinished = out.with_name(out.name + ".unfinished")
    lengths = [len(picture.content) for picture in kept]
    try:
        with unfinished.open("wb") as handle:
            np.savez(
                handle,
                blob=np.frombuffer(b"".join(picture.content for picture in kept), np.uint8),
                offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
                labels=np.array([picture.source for picture in kept], np.int16),
                classes=np.array(names),
                split=(np.arange(len(kept)) >= train).astype(np.uint8),
            )
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(unfinished, out)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(out)) from error
    finally:
        unfinished.unlink(missing_ok=True)
