"""Pictures of a folder, with its subfolders."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from stat import S_ISREG

from imago_engine.training.data.sources.names import (
    HELD_OUT_FOLDERS,
    is_image_name,
    is_left_over,
    is_map,
    is_unread_name,
    sample_of,
    why_unread,
)
from imago_engine.training.data.sources.raw_pictures import (
    OnLoss,
    RawPicture,
    SourceLimits,
    Unread,
    may_pass,
    unread,
)


def folder_pictures(folder: Path, root: Path, limits: SourceLimits, on_loss: OnLoss) -> Iterator[RawPicture]:
    """Yield the pictures below `folder`, by name; links are followed to files below `root` alone. Raises
    SourceError for a folder that cannot be listed: nobody knows how many are lost with it."""
    root = root.resolve()
    for path, relative in _images(folder, PurePosixPath()):
        reason = why_unread(relative) if is_unread_name(relative) else _why_not(path, root, limits)
        if reason is None:
            try:
                content = path.read_bytes()
            except OSError as error:
                reason = _unread(error)
            else:
                yield RawPicture(str(relative), content, relative.parts[0].lower() in HELD_OUT_FOLDERS)
        if reason:
            on_loss(str(relative), reason)


def _images(folder: Path, relative: PurePosixPath) -> Iterator[tuple[Path, PurePosixPath]]:
    """What has a picture's name, depth first, by name. Links to folders are not entered; a map (`7.mask.png`)
    is left out where its picture (`7.jpg`) lies beside it, and so is one that cannot be read (`7.heic`).
    """
    try:
        with os.scandir(folder) as entries:
            listed = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except OSError as error:
        raise unread(f"{folder} cannot be read: {error.strerror}", error) from error
    images = [
        relative / name
        for name, is_folder in listed
        if not is_folder and (is_image_name(PurePosixPath(name)) or is_unread_name(PurePosixPath(name)))
    ]
    samples = {name: sample_of(name) for name in images}
    plain = {key for name, (key, field) in samples.items() if not field and not is_unread_name(name)}
    for name, is_folder in listed:
        if is_folder and not is_left_over(name):
            yield from _images(folder / name, relative / name)
        elif sample := samples.get(relative / name):
            key, field = sample
            if key not in plain or not (is_map(field) or is_unread_name(relative / name)):
                yield folder / name, relative / name


def _why_not(path: Path, root: Path, limits: SourceLimits) -> str | None:
    """Why a file is not read, "" where it is nothing that could be: a pipe, a link to a folder."""
    try:
        target = path.resolve(strict=True) if path.is_symlink() else path
        if target is not path and not target.is_relative_to(root):
            return "a symbolic link that leads out of the data, which is not followed"
        found = target.stat()
    except OSError as error:  # a link to nothing, or what is not there any more
        return _unread(error)
    except RuntimeError as error:  # a circle of links
        return f"cannot be read: {error}"
    if not S_ISREG(found.st_mode):
        return ""
    if found.st_size > limits.picture:
        return f"{found.st_size:,} bytes are more than a picture may have ({limits.picture:,})"
    return None


def _unread(error: OSError) -> str:
    reason = f"cannot be read: {error.strerror or error}"
    return Unread(reason) if may_pass(error) else reason
