"""Where training pictures come from: an image folder, WebDataset tars, or a packed `.npz`; one iterator of
bytes.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from imago_engine.training.data.sources.folder import folder_pictures
from imago_engine.training.data.sources.names import IMAGE_SUFFIXES, is_left_over
from imago_engine.training.data.sources.packed import packed_pictures
from imago_engine.training.data.sources.raw_pictures import (
    OnLoss,
    RawPicture,
    SourceError,
    SourceLimits,
    SourceUnread,
    Unread,
    refuse_loss,
    unread,
)
from imago_engine.training.data.sources.tar import TAR_SUFFIXES, tar_pictures

__all__ = ["IMAGE_SUFFIXES", "OnLoss", "RawPicture", "SourceError", "SourceLimits", "SourceUnread", "Unread"]
__all__ += ["open_source"]

_TARS = ", ".join(TAR_SUFFIXES)
_UNREAD_TARS = (".tar.xz", ".txz", ".tar.zst", ".tzst", ".tar.lz4", ".tar.lzma")


def open_source(
    path: Path,
    *,
    root: Path | None = None,
    limits: SourceLimits | None = None,
    on_loss: OnLoss | None = None,
) -> Iterator[RawPicture]:
    """Yield the pictures of `path` in an order that depends only on its content.

    Accepts a folder of images (searched recursively; a top folder named `val`, `valid`, `validation` or
    `test` is held out) or of WebDataset tars or both, one `.tar` (or `.tar.gz`, `.tgz`, `.tar.bz2`), or one
    packed `.npz` (arrays `blob` uint8, `offsets` int64 [N+1], optional `split` [N], 1 = held out). Hidden
    files, what operating systems leave, and masks of a sample (`7.mask.png` beside `7.jpg`) are no pictures.

    Symbolic links are followed to files below `root` alone, by default the source itself. `on_loss` is told
    each picture that is there but cannot be had; without it the first that is damaged raises SourceError, and
    links that lead out are passed over. What is lost and cannot be counted (an archive that is cut off, a
    folder that cannot be listed) always raises SourceError: SourceUnread where it may be there another time.
    """
    try:
        return _open(path, root, limits or SourceLimits(), on_loss)
    except OSError as error:
        raise unread(f"{path} cannot be read: {error.strerror}", error) from error


def _open(
    path: Path, root: Path | None, limits: SourceLimits, on_loss: OnLoss | None
) -> Iterator[RawPicture]:
    if not path.exists():
        raise SourceError(
            f"{path} does not exist; expected an image folder, WebDataset .tar file(s) or a packed .npz"
        )
    if path.is_dir():
        root = root or path
        tars = sorted(tar for tar in path.iterdir() if _is_tar(tar))
        for tar in tars:
            if not tar.resolve().is_relative_to(root.resolve()):
                raise SourceError(f"{tar} is a link that leads out of the data, which is not followed")
        for archive in sorted(path.iterdir()):
            if archive.name.endswith(_UNREAD_TARS) and not is_left_over(archive.name):
                raise SourceError(f"{archive} is of a compression that is not read; expected {_TARS}")
        shards = chain.from_iterable(tar_pictures(tar, limits, on_loss or refuse_loss) for tar in tars)
        return chain(shards, folder_pictures(path, root, limits, on_loss or _pass_over))
    if path.name.endswith(TAR_SUFFIXES):
        return tar_pictures(path, limits, on_loss or refuse_loss)
    if path.suffix == ".npz":
        return packed_pictures(path, limits, on_loss or refuse_loss)
    raise SourceError(f"{path} is neither a folder nor a .tar nor a .npz file")


def _is_tar(path: Path) -> bool:
    return path.name.endswith(TAR_SUFFIXES) and not path.is_dir() and not is_left_over(path.name)


def _pass_over(name: str, reason: str) -> None:
    pass
