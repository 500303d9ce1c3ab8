"""Where files of weights may lie. A name from a row must not lead anywhere else."""

from pathlib import Path


class WeightFileError(ValueError):
    """A file of weights cannot be used; the message says where it was looked for."""


class WeightFileAbsent(WeightFileError):
    """It is not on this machine."""


def locate(name: str, folder: Path | None) -> Path:
    """The file `name` inside `folder`, symbolic links resolved. Raises `WeightFileError`."""
    if folder is None:
        raise WeightFileAbsent(
            f"{name!r} is a file, but this worker has no weights folder: IMAGO_WEIGHTS_FOLDER names it "
            "(`make up` makes .imago/weights)."
        )
    root = folder.resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise WeightFileError(f"{name!r} lies outside the weights folder.")
    if path.suffix != ".safetensors":
        raise WeightFileError(f"{name!r} must be a .safetensors file.")
    if not path.is_file():
        raise WeightFileAbsent(
            f"There is no file {name!r} in the weights folder of this worker, {folder} "
            "(IMAGO_WEIGHTS_FOLDER). Put it there and register the network again."
        )
    return path
