"""Read every picture once: squares of the generator's size on disk, and the encoder's code of each.

A prepared folder holds `images.npy` uint8 [N, S, S, 3] (RGB), `codes.npy` float32 [N, *code_shape],
`index.json` and `pictures_sha256`; where pictures were left out, `left_out.txt` names them. Rows
`0 … train − 1` are trained on, the rest is held out. Training maps both arrays into memory, so data never
starves it.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from imago_engine.training.data.array_file import ArrayFile
from imago_engine.training.data.decoding import UndecodableError, decode, decoded
from imago_engine.training.data.encoder import Encoder
from imago_engine.training.data.left_out import LeftOut
from imago_engine.training.data.read_ahead import ahead, each_ahead
from imago_engine.training.data.sources import RawPicture
from imago_engine.trainings import CORRUPT_SHARE, HELD_OUT, MINIMUM

LEFT_OUT = "left_out.txt"
INDEX, PICTURES = "index.json", "pictures_sha256"
"""The latter is a file of its own: earlier releases take no index that says more than they know."""
_NAMES_ONLY = ("sources", "corrupt")
"""What an index says of pictures that their bytes do not: a link to the same folder has another name."""


__all__ = ["DataError", "DataUnread", "Limits", "Prepared", "PreparedIndex", "centre_square", "decode"]
__all__ += ["encode", "encoded_batches", "forget_prepared", "load_prepared", "prepare"]


class DataError(ValueError):
    """The pictures do not make a training set; the message says how many there were and what is needed."""


class DataUnread(DataError):
    """They would, if all could be read that the operating system cannot read now."""


@dataclass(frozen=True)
class PreparedIndex:
    """What a prepared folder was made from; `train + held_out` rows, `corrupt` pictures were left out."""

    train: int
    held_out: int
    corrupt: int
    image_size: int
    code_shape: tuple[int, ...]
    encoder: str
    encoder_layer: str
    encoder_sha256: str
    encoder_input_size: int
    sources: tuple[str, ...]
    encoder_grid: int | None = None
    """The layer's map was averaged to so many places each way; None: its activations are the code."""
    pictures_sha256: str | None = None
    """Hash of the bytes of the pictures as they lie in their sources, in their order, and of which are held
    out there; None in folders that were prepared before it was noted."""

    def facts(self) -> dict[str, Any]:
        """As they are written: without what is at its default, so that older folders keep their hash."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Prepared:
    """A prepared folder, mapped into memory; its files do not change."""

    index: PreparedIndex
    images: np.ndarray
    codes: np.ndarray

    def rows(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Copies of pictures, uint8 [n, S, S, 3], and codes, float32 [n, *code_shape]."""
        # By torch and not by numpy: it lets other threads run while the disk is read.
        where = torch.from_numpy(rows)
        images, codes = (
            torch.from_numpy(array).index_select(0, where) for array in (self.images, self.codes)
        )
        return images, codes

    @property
    def fingerprint(self) -> str | None:
        """Tells data apart: a hash of which pictures were prepared, and how. It is the same on every machine,
        whereas the last bits of codes are not. None where an earlier release has prepared them.
        """
        if self.index.pictures_sha256 is None:
            return None
        facts = {name: value for name, value in self.index.facts().items() if name not in _NAMES_ONLY}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @cached_property
    def former_fingerprint(self) -> str:
        """What earlier releases tell data apart by: a hash of the index and of the first and the last codes,
        by their bits."""
        facts = {name: value for name, value in self.index.facts().items() if name != "pictures_sha256"}
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for part in (self.codes[:16], self.codes[-16:]):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Limits:
    """`held_out` pictures are kept from training; fewer than `minimum` left, or more than `corrupt_share`
    corrupt, is an error.
    """

    held_out: int = HELD_OUT
    minimum: int = MINIMUM
    corrupt_share: float = CORRUPT_SHARE


def centre_square(image: Image.Image, size: int) -> np.ndarray:
    """The central square of a picture, resampled to uint8 [size, size, 3] RGB."""
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    square = image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + edge, top + edge))
    return np.asarray(square, dtype=np.uint8)


@dataclass(frozen=True)
class _Squares:
    """What is kept of a picture: its squares, uint8 [s, s, 3], of the generator's and the encoder's size."""

    kept: np.ndarray
    encoded: np.ndarray


class _Selection:
    """Chooses the held-out pictures while they stream by: those whose source asks for it or, if none does, a
    random sample.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._random = size, np.random.default_rng(seed)
        self._wished: list[_Squares] = []
        self._others: list[_Squares] = []
        self._seen = {True: 0, False: 0}

    def offer(self, image: _Squares, held_out: bool) -> _Squares | None:
        """Reservoir sampling: returns a picture that is now to be trained on, if any."""
        reservoir = self._wished if held_out else self._others
        self._seen[held_out] += 1
        if len(reservoir) < self._size:
            reservoir.append(image)
            return None
        place = int(self._random.integers(self._seen[held_out]))
        if place < self._size:
            image, reservoir[place] = reservoir[place], image
        return None if held_out else image

    def finish(self) -> tuple[list[_Squares], list[_Squares]]:
        """The remaining pictures to train on, and the held-out ones (at most a tenth of all, where no source
        named any).
        """
        if self._wished:
            return self._others, self._wished
        count = min(self._size, self._seen[False] // 10)
        return self._others[count:], self._others[:count]


def prepare(
    folder: Path,
    pictures: Iterable[RawPicture],
    encoder: Encoder,
    *,
    image_size: int,
    sources: tuple[str, ...],
    limits: Limits | None = None,
    on_progress: Callable[[int], None] | None = None,
    left_out: LeftOut | None = None,
) -> PreparedIndex:
    """Write `folder` from `pictures`; `on_progress` is told the number of rows written so far. `left_out`
    gets what cannot be decoded, and may hold what the sources lost.

    Raises DataError when too few pictures remain to train on or too many are corrupt, and SourceError.
    """
    limits, left_out = limits or Limits(), left_out or LeftOut()
    folder.mkdir(parents=True, exist_ok=True)
    forget_prepared(folder)
    selection = _Selection(limits.held_out, seed=0)
    whole, seen_bytes = 0, hashlib.sha256()

    def check(least: int = 0) -> None:
        seen = whole + left_out.count
        if left_out.count > limits.corrupt_share * max(seen, least):
            left_out.write(folder / LEFT_OUT)
            lost = left_out.count - left_out.unread
            raise (DataError if lost > limits.corrupt_share * max(seen, least) else DataUnread)(
                f"{left_out.count} of {seen} pictures could not be decoded; at most "
                f"{limits.corrupt_share:.0%} may be so: {left_out.named}"
            )

    def training_pictures() -> Iterator[_Squares]:
        nonlocal whole
        # Shrunk on arrival: hundreds of them are held, and decoded they may have any size.
        shrink = partial(_squares, image_size=image_size, encoder_size=encoder.input_size)
        for picture, squares in each_ahead(shrink, pictures, torch.get_num_threads()):
            if isinstance(squares, UndecodableError):
                left_out.add(picture.name, str(squares))
                check(least=1000)  # no need to read the rest
                continue
            whole += 1
            seen_bytes.update(hashlib.sha256(picture.content).digest() + bytes([picture.held_out]))
            if (chosen := selection.offer(squares, picture.held_out)) is not None:
                yield chosen
        yield from selection.finish()[0]

    with (
        ArrayFile(folder / "images.npy", (image_size, image_size, 3), np.uint8) as images,
        ArrayFile(folder / "codes.npy", encoder.code_shape, np.float32) as codes,
    ):

        def write(squares: Iterable[_Squares]) -> None:
            batches = (
                (np.stack([s.kept for s in batch]), np.stack([s.encoded for s in batch]))
                for batch in _batches(squares)
            )
            # The next batch is decoded while this one is encoded.
            for kept, seen_by_encoder in ahead(batches):
                images.append(kept)
                codes.append(encode(seen_by_encoder, encoder))
                if on_progress is not None:
                    on_progress(images.rows)

        write(training_pictures())
        train = images.rows
        check()
        if train < limits.minimum:
            raise (DataError if train + left_out.unread < limits.minimum else DataUnread)(
                f"{train} pictures to train on are too few: at least {limits.minimum} are needed"
                + (f"; {left_out.unread} cannot be read now: {left_out.named}" if left_out.unread else "")
            )
        write(selection.finish()[1])
    left_out.write(folder / LEFT_OUT)
    index = PreparedIndex(
        train=train,
        held_out=images.rows - train,
        corrupt=left_out.count,
        image_size=image_size,
        code_shape=encoder.code_shape,
        encoder=encoder.network_id,
        encoder_layer=encoder.layer,
        encoder_sha256=encoder.weights_sha256,
        encoder_input_size=encoder.input_size,
        sources=sources,
        encoder_grid=encoder.grid,
        pictures_sha256=seen_bytes.hexdigest(),
    )
    facts = index.facts()
    (folder / PICTURES).write_text(facts.pop("pictures_sha256"))
    unfinished = folder / f"{INDEX}.unfinished"
    unfinished.write_text(json.dumps(facts, indent=1))
    os.replace(unfinished, folder / INDEX)  # its presence says that the arrays are whole
    return index


def forget_prepared(folder: Path) -> None:
    """Have it prepared anew."""
    for name in (INDEX, PICTURES):
        (folder / name).unlink(missing_ok=True)


def _squares(picture: RawPicture, image_size: int, encoder_size: int) -> _Squares | UndecodableError:
    try:
        image = decoded(picture.content)
    except UndecodableError as error:
        return error
    kept = centre_square(image, image_size)
    return _Squares(kept, kept if encoder_size == image_size else centre_square(image, encoder_size))


def encode(squares: np.ndarray, encoder: Encoder) -> np.ndarray:
    """Codes float32 [N, *code_shape] of pictures uint8 [N, s, s, 3] of the encoder's size."""
    return encoder(torch.from_numpy(squares).permute(0, 3, 1, 2).float().div_(255)).numpy()


def encoded_batches(
    pictures: Iterable[RawPicture], encoder: Encoder, left_out: LeftOut | None = None
) -> Iterator[np.ndarray]:
    """The codes of all pictures that can be decoded, batch by batch; `left_out` gets the others."""
    size, left_out = encoder.input_size, left_out or LeftOut()

    def squares() -> Iterator[_Squares]:
        for picture in pictures:
            square = _squares(picture, size, size)
            if isinstance(square, UndecodableError):
                left_out.add(picture.name, str(square))
            else:
                yield square

    batches = _batches(squares())
    stacked = (np.stack([square.encoded for square in batch]) for batch in batches)
    return (encode(batch, encoder) for batch in ahead(stacked))


def _batches(squares: Iterable[_Squares], size: int = 64) -> Iterator[list[_Squares]]:
    batch: list[_Squares] = []
    for square in squares:
        batch.append(square)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def load_prepared(folder: Path) -> Prepared:
    """Open a prepared folder. Raises DataError if it is unfinished or its arrays do not fit its index, and
    DataUnread if the operating system cannot read it now."""
    if not (folder / INDEX).exists():
        raise DataError(f"{folder} holds no finished preparation (no index.json)")
    try:
        fields = json.loads((folder / INDEX).read_text())
        fields["code_shape"], fields["sources"] = tuple(fields["code_shape"]), tuple(fields["sources"])
        if (folder / PICTURES).exists():
            fields["pictures_sha256"] = (folder / PICTURES).read_text()
        index = PreparedIndex(**fields)
    except OSError as error:
        raise DataUnread(f"{folder} cannot be read: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder}: index.json does not describe prepared pictures: {error!r}") from error
    try:  # copy on write: torch wants memory that could be written to, the files must stay as they are
        images, codes = (np.load(folder / name, mmap_mode="c") for name in ("images.npy", "codes.npy"))
    except OSError as error:
        raise DataUnread(f"{folder} cannot be read: {error.strerror}") from error
    except (EOFError, ValueError) as error:
        raise DataError(f"{folder}: its arrays cannot be read: {error}") from error
    rows = index.train + index.held_out
    expected = ((rows, index.image_size, index.image_size, 3), (rows, *index.code_shape))
    if (images.shape, codes.shape) != expected:
        raise DataError(f"{folder}: expected arrays of shape {expected}, got {(images.shape, codes.shape)}")
    return Prepared(index, images, codes)
