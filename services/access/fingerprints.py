"""Fingerprints of requests: whether what comes under a known idempotency key is the same request again.

A fingerprint is made of the fields that were sent. A field that a later release adds, and a default that it
changes, are no part of it, so that a key goes on meaning the same request across upgrades.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from imago_engine.canonical import sha256_of


def as_sent(request: BaseModel) -> dict[str, Any]:
    """The fields that were sent, as JSON values."""
    return request.model_dump(mode="json", exclude_unset=True)


def fingerprint(sent: Mapping[str, Any]) -> str:
    """Of a request with these fields; what a new row is stored with."""
    return sha256_of(sent)


def former_fingerprint(sent: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """What an earlier release has stored of the same request: it filled in all its `defaults` first. Those of
    a list are its entries'.
    """
    return sha256_of(_completed(sent, defaults))


def _completed(sent: Any, defaults: Any) -> Any:
    if not isinstance(defaults, Mapping):
        return sent
    if isinstance(sent, list):
        return [_completed(entry, defaults) for entry in sent]
    if not isinstance(sent, Mapping):
        return sent
    return {**defaults, **{name: _completed(value, defaults.get(name)) for name, value in sent.items()}}
