"""The description in a generator's file, read without torch: whoever registers a file need not load it."""

import json
from pathlib import Path
from typing import Any

KEY, VERSION = "imago-generator", 1
"""As `worker.synthesis.generator_file` writes it."""
_LONGEST_HEADER = 16 << 20


class GeneratorHeaderError(ValueError):
    """A file is not a generator of ours; the message says what was expected and what was found."""


def read_description(path: Path) -> dict[str, Any]:
    """The `info` of a generator file, as JSON. Raises `GeneratorHeaderError`, or OSError.

    A safetensors file begins with the length of its header, 8 bytes little-endian, and the header, JSON.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        # Compared before it is allocated: any file can begin with any number.
        if not 0 < length <= min(_LONGEST_HEADER, path.stat().st_size - 8):
            raise GeneratorHeaderError(f"{path} is not a safetensors file")
        raw = file.read(length)
    try:
        metadata = json.loads(raw).get("__metadata__", {})
        described = json.loads(metadata[KEY])
        version, info = described["version"], described["info"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GeneratorHeaderError(f"{path} has no description of a generator: {error!r}") from error
    if version != VERSION or not isinstance(info, dict):
        raise GeneratorHeaderError(f"{path}: expected a generator file of version {VERSION}, got {version!r}")
    return info
