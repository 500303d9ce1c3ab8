"""Exported atlases in one file: an uncompressed tar, whose members are read where they lie."""

import os
import shutil
import tarfile
from pathlib import Path

from imago.exports.layout import MANIFEST


def is_tar(path: Path) -> bool:
    """Whether a path is meant as one file."""
    return path.suffix.lower() == ".tar"


def pack(folder: Path, to: Path) -> None:
    """Make a tar of a whole export, then remove the folder. The manifest comes first, the pictures in order;
    owners and times are left out. Raises OSError.
    """
    draft = to.with_name(f".{to.name}.part")
    try:
        with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as tar:
            tar.add(folder / MANIFEST, MANIFEST, filter=_plain)
            for place, folders, files in os.walk(folder):
                folders.sort()
                for file in (Path(place, name) for name in sorted(files)):
                    if (name := file.relative_to(folder).as_posix()) != MANIFEST:
                        tar.add(file, name, filter=_plain)
        os.replace(draft, to)
    finally:
        draft.unlink(missing_ok=True)
    shutil.rmtree(folder)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member
