"""Exported atlases in one file: an uncompressed tar, whose members are read where they lie."""

import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

from imago.exports.layout import IMAGES, MANIFEST
from imago.files import flush


def is_tar(path: Path) -> bool:
    """Whether a path is meant as one file."""
    return path.suffix.lower() == ".tar"


def pack(folder: Path, to: Path, names: Iterable[str]) -> None:
    """Make a tar of a whole export. The manifest comes first, then the files that it
    names, then the pictures in order; owners and times are left out. Raises OSError.
    """
    draft = to.with_name(f".{to.name}.part")
    try:
        with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as tar:
            for name in (MANIFEST, *sorted(names)):
                _add(tar, folder / name, name)
            for place, folders, files in os.walk(folder / IMAGES):
                folders.sort()
                for file in (Path(place, name) for name in sorted(files)):
                    _add(tar, file, file.relative_to(folder).as_posix())
        flush(draft)
        os.replace(draft, to)
        flush(to.parent)
    finally:
        draft.unlink(missing_ok=True)


def _add(tar: tarfile.TarFile, file: Path, name: str) -> None:
    member = tarfile.TarInfo(name)
    with file.open("rb") as content:
        member.size = os.fstat(content.fileno()).st_size
        tar.addfile(member, content)
    tar.members = []  # type: ignore[attr-defined]  # it would grow with the atlas
