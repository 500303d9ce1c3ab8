"""Hashes of files."""

import hashlib
from pathlib import Path


def sha256_of(path: Path) -> str | None:
    """64 hex digits, None where there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
