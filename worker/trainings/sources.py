"""Where the pictures of a training lie on this machine."""

from collections.abc import Sequence
from pathlib import Path


class SourceRefused(ValueError):
    """A source of pictures cannot be opened here; the message is for the person who named it."""


def locate_sources(sources: Sequence[str], root: Path | None) -> list[Path]:
    """Paths of the sources, symbolic links resolved. Raises `SourceRefused` where one of them is not there,
    or cannot be looked at, or is a folder with nothing in it, as where a share is not mounted."""
    if root is None:
        raise SourceRefused("The worker has no data root (IMAGO_DATA_ROOT), so it can read no pictures.")
    try:
        return [_locate(source, root.resolve()) for source in sources]
    except OSError as error:  # of a share whose server is gone
        raise SourceRefused(f"A source cannot be looked for on this worker: {error.strerror}.") from error


def _locate(source: str, root: Path) -> Path:
    path = (root / source).resolve()
    if not path.is_relative_to(root):
        raise SourceRefused(f"{source!r} leads out of the data root (IMAGO_DATA_ROOT).")
    if not path.exists():
        raise SourceRefused(
            f"{source!r} does not exist below the data root of this worker (IMAGO_DATA_ROOT)."
        )
    if path.is_dir() and next(path.iterdir(), None) is None:
        raise SourceRefused(
            f"{source!r} is an empty folder on this worker: a share may not be mounted there."
        )
    return path
