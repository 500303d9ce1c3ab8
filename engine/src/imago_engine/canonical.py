"""Canonical JSON: one text for each value, so that equal values have equal hashes."""

import hashlib
import json


def canonical_json(value: object) -> str:
    """ASCII JSON with sorted keys and no spaces; floats as the shortest text that reads back the same.

    Raises `ValueError` for NaN and infinities.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_of(value: object) -> str:
    """SHA-256 of the canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
