"""The names of objects: each ends in the SHA-256 of the object's bytes."""

import hashlib
import re
from pathlib import Path
from typing import Literal

from imago_engine.artifacts import ArtifactKind

_KEY = re.compile(r"(?:objects/[0-9a-f]{2}|generators|(?:scans|trainings)/\w+/\d+)/([0-9a-f]{64})\.[a-z]+")


def key_of(kind: ArtifactKind, data: bytes) -> str:
    """The key that these bytes have."""
    return _named_by(data, kind.suffix)


def look_key(data: bytes) -> str:
    """The key of what was measured of a network, safetensors."""
    return _named_by(data, "safetensors")


def rendition_key(data: bytes, suffix: str) -> str:
    """The key of a picture in another size or format; `suffix` names the format."""
    return _named_by(data, suffix)


def sheet_key(data: bytes, suffix: Literal["jpg", "digests"]) -> str:
    """The key of a part of a contact sheet."""
    return _named_by(data, suffix)


def map_key(data: bytes) -> str:
    """The key of the points of a map."""
    return _named_by(data, "points")


def export_key(data: bytes, suffix: Literal["json", "jsonl", "sums"]) -> str:
    """The key of a part of an export: of its manifest, its lines, its hashes."""
    return _named_by(data, suffix)


def key_of_sha256(kind: ArtifactKind, sha256: str) -> str:
    """The key that bytes of this hash have."""
    return _named(sha256, kind.suffix)


def _named_by(data: bytes, suffix: str) -> str:
    return _named(hashlib.sha256(data).hexdigest(), suffix)


def _named(sha256: str, suffix: str) -> str:
    return f"objects/{sha256[:2]}/{sha256}.{suffix}"


def generator_key(sha256: str) -> str:
    """Where the file of a generator lies, by the SHA-256 of its bytes."""
    return f"generators/{sha256}.safetensors"


def training_key(id: str, lease_id: int, sha256: str, suffix: str) -> str:
    """Where a file of a training lies. No two leases share a key, so a late worker can spoil nothing."""
    return f"trainings/{id}/{lease_id}/{sha256}.{suffix}"


def scan_key(id: str, lease_id: int, data: bytes) -> str:
    """Where a state of a scan lies, safetensors; no two leases share a key."""
    return f"scans/{id}/{lease_id}/{hashlib.sha256(data).hexdigest()}.safetensors"


def crops_key(data: bytes) -> str:
    """The key of a pack of crops: pictures in WebP, one behind the other."""
    return _named_by(data, "crops")


def sha256_of_file(path: Path) -> str:
    """64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_key(key: str) -> str:
    """The SHA-256 that the object's bytes must have. Raises `ValueError` for what is no key."""
    match = _KEY.fullmatch(key)
    if match is None:
        raise ValueError(f"{key!r} is not the key of an object")
    return match[1]


def is_key(key: str) -> bool:
    """Whether an object of ours may have this name."""
    return _KEY.fullmatch(key) is not None
