"""The folder that workers offer pictures in, and the names of sources below it."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

LONGEST_NAME = 255
"""Bytes of the name of a file or folder: what file systems take."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\\]")


def _below_the_root(source: str) -> str:
    """No path from a user leads out of the folder that the workers offer."""
    path = PurePosixPath(source)
    if path.is_absolute() or ".." in path.parts or not path.parts or _UNPRINTABLE.search(source):
        raise ValueError(
            "must be a name below the data root of the workers, such as birds or sets/birds.tar: "
            f"neither absolute nor with '..'; got {source!r:.80}"
        )
    longest = max(len(part.encode(errors="replace")) for part in path.parts)
    if longest > LONGEST_NAME:
        raise ValueError(f"must have names of at most {LONGEST_NAME} bytes each, got one of {longest}")
    return str(path)


SourceNames = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_below_the_root)]],
    Field(
        min_length=1,
        max_length=64,
        description="Image folders, WebDataset tars (or folders of them) or packed .npz files, by their "
        "names below the data root of the workers",
    ),
]


def has_data_root(root: Path | None) -> bool:
    """Whether pictures can be seen here at all. The folder may be mounted later than the worker starts, and
    one whose server is gone is not there."""
    try:
        return root is not None and root.is_dir()
    except OSError:
        return False


def missing_sources(sources: Sequence[str], root: Path | None) -> dict[int, str]:
    """What is wrong with sources that are not there, by their places. A process that does not see the folder
    leaves it to the worker."""
    if root is None or not has_data_root(root):
        return {}
    return {
        index: f"{source!r} does not exist below the data root (IMAGO_DATA_ROOT)"
        for index, source in enumerate(sources)
        if not _exists(root / source)
    }


def _exists(path: Path) -> bool:
    """Whether the operating system finds it; a name that it cannot even look for is not there."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
