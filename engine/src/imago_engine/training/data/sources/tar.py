"""Pictures of WebDataset tars: of each sample its picture, without masks and other maps."""

import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath

from imago_engine.training.data.sources.names import (
    is_image_name,
    is_unread_name,
    pictures_of_sample,
    sample_of,
    why_unread,
)
from imago_engine.training.data.sources.raw_pictures import (
    OnLoss,
    RawPicture,
    SourceError,
    SourceLimits,
    unread,
)
from imago_engine.training.data.sources.tar_reader import CutOff, Member, NoTar, TarReader, TooMuch

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2")
_SAMPLE = 16
"""Images of one sample that are held in memory, at most; their bytes together are at most those that one
picture may have. A sample with more is taken in parts.
"""


def tar_pictures(path: Path, limits: SourceLimits, on_loss: OnLoss) -> Iterator[RawPicture]:
    """Yield the pictures in the order of the tar. Links in it are passed over.

    Where a header is damaged, reading goes on at the next whole one, and `on_loss` is told. Raises
    SourceError for what is no tar, is cut off, or unpacks to too much.
    """
    last = "its beginning"
    try:
        reader = TarReader(
            path, limits.unpacked, lambda where, what: on_loss(f"{path.name}: {where}", f"damaged: {what}")
        )
        with closing(reader):
            for picture in _of_samples(reader, path.name, limits, on_loss):
                last = picture.name
                yield picture
    except NoTar as error:
        raise SourceError(f"{path} is not a readable tar archive: {error}") from error
    except (CutOff, TooMuch) as error:
        raise SourceError(f"{path} cannot be read to its end: {error}") from error
    except OSError as error:
        raise unread(f"{path} cannot be read to its end: after {last}, {error}", error) from error
    except (EOFError, zlib.error) as error:
        raise SourceError(f"{path} cannot be read to its end: after {last}, {error}") from error


def _of_samples(reader: TarReader, tar: str, limits: SourceLimits, on_loss: OnLoss) -> Iterator[RawPicture]:
    key, sample, held = "", dict[PurePosixPath, bytes | None](), 0
    for member in reader:
        name = PurePosixPath(member.name)
        unread = is_unread_name(name)
        if not unread and not is_image_name(name):
            continue
        own = sample_of(name)[0]
        size = 0 if unread else member.size
        is_full = len(sample) == _SAMPLE or held + size > limits.picture >= size
        if own != key or is_full:
            yield from _chosen(tar, sample, on_loss)
            key, sample, held = own, {}, 0
        if unread:
            sample[name] = None
            continue
        content = _content(member, f"{tar}/{name}", limits, on_loss)
        if content is not None:
            sample[name] = content
            held += len(content)
    yield from _chosen(tar, sample, on_loss)


def _chosen(tar: str, sample: dict[PurePosixPath, bytes | None], on_loss: OnLoss) -> Iterator[RawPicture]:
    """The pictures of a sample. Images that have no content here are in a format that is not read: lost where
    no other stands for them.
    """
    contents = {name: content for name, content in sample.items() if content is not None}
    chosen = pictures_of_sample(list(contents))
    for name in chosen:
        yield RawPicture(f"{tar}/{name}", contents[name])
    if not chosen:
        for name in (name for name in sample if name not in contents):
            on_loss(f"{tar}/{name}", why_unread(name))


def _content(member: Member, name: str, limits: SourceLimits, on_loss: OnLoss) -> bytes | None:
    if member.size <= limits.picture:
        return member.read()
    on_loss(name, f"{member.size:,} bytes are more than a picture may have ({limits.picture:,})")
    return None
