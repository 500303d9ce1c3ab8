"""Whether what an export says has the members that are read of it: hashes do not tell, for who changes a file
can change its hash.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from imago.exports.layout import FACTS, UNITS

Kinds: TypeAlias = Mapping[str, type | tuple[type, ...]]
_NOTHING = type(None)
_TEXT_OR_NOTHING = (str, _NOTHING)
_HASH = re.compile("[0-9a-f]{64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""What a terminal obeys, and halves of characters, which cannot be written."""
_FREE = ("label",)
"""Texts that networks bring along: whatever shows one puts it on one line."""
_SHOWN = 200
"""Letters of a text in a message, at most."""
_MOST = 2**63
"""No whole number that is read counts so much, and none is negative."""
_MANIFEST: Kinds = {
    **dict.fromkeys(("atlas", "name", "network", "network_sha256", "published_at"), str),
    **dict.fromkeys(("version", "entries", "pictures"), int),
    **dict.fromkeys(("request", "recipes", "files"), dict),
    "layers": list,
}
_LAYER: Kinds = {
    **dict.fromkeys(("layer", "units"), str),
    **dict.fromkeys(("unit_count", "facets", "pictures", "unreachable", "offset", "lines"), int),
}
_FILE: Kinds = {"sha256": str, "bytes": int}
_LINE: Kinds = {
    **dict.fromkeys(FACTS, object),
    **dict.fromkeys(("layer", "digest", "state", "recipe"), str),
    **dict.fromkeys(("unit", "facet"), int),
    **dict.fromkeys(("file_name", "label"), _TEXT_OR_NOTHING),
    **dict.fromkeys(("predictions", "crop_box"), (list, _NOTHING)),
}
_PICTURE: Kinds = {**_FILE, **dict.fromkeys(("width", "height"), int), "media_type": str}
_PREDICTION: Kinds = {"label": _TEXT_OR_NOTHING, "probability": (int, float)}


def flaw_of_manifest(found: Any) -> str | None:
    """What is wrong with a manifest, in words that end a sentence; None where nothing is."""
    if (flaw := _flaw(found, _MANIFEST, "it")) is not None:
        return flaw
    if UNITS not in found["files"]:
        return f"it does not tell the hash of {UNITS}"
    for name, stated in found["files"].items():
        if _CONTROL.search(name):
            return f"the name of a file has a character that no name has: {name!r}"
        if (flaw := _flaw(stated, _FILE, f"what it says of {name}")) is not None:
            return flaw
    for layer in found["layers"]:
        if (flaw := _flaw(layer, _LAYER, "what it says of a layer")) is not None:
            return flaw
    return None


def flaw_of_line(found: Any) -> str | None:
    """The same of a line of units.jsonl."""
    if (flaw := _flaw(found, _LINE, "the line")) is not None:
        return flaw
    if not _HASH.fullmatch(found["digest"]):
        return "digest of the line is not that of a picture"
    if found["file_name"] is not None and (flaw := _flaw(found, _PICTURE, "the line")) is not None:
        return flaw
    if found["crop_box"] is not None and not _is_box(found["crop_box"]):
        return "crop_box of the line is not left, top, right, bottom"
    for said in found["predictions"] or ():
        if (flaw := _flaw(said, _PREDICTION, "a prediction of the line")) is not None:
            return flaw
    return None


def _is_box(edges: list[Any]) -> bool:
    if len(edges) != 4 or not all(isinstance(edge, int) and 0 <= edge < _MOST for edge in edges):
        return False
    left, top, right, bottom = edges
    return bool(left <= right and top <= bottom)


def _flaw(found: Any, kinds: Kinds, what: str) -> str | None:
    if not isinstance(found, dict):
        return f"{what} is no JSON object"
    for name, kind in kinds.items():
        if name not in found:
            return f"{what} has no {name}"
        if not isinstance(found[name], kind):
            return f"{name} of {what} is no {_called(kind)}"
        if kind is int and not 0 <= found[name] < _MOST:
            return f"{name} of {what} is negative, or too large"
        if name not in _FREE and isinstance(found[name], str) and _CONTROL.search(found[name]):
            return f"{name} of {what} has a character that no name has: {found[name][:_SHOWN]!r}"
    return None


def _called(kind: type | tuple[type, ...]) -> str:
    named = {
        str: "text",
        int: "whole number",
        float: "number",
        dict: "object",
        list: "list",
        _NOTHING: "null",
    }
    return ", nor ".join(named[each] for each in (kind if isinstance(kind, tuple) else (kind,)))
