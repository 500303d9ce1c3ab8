"""Send an exported atlas to a server: checked first, then some entries at a time, with their pictures.

Stopped anywhere, the same call goes on with the entries that the server lacks. Nobody sees the atlas before
the last of them is there.
"""

import base64
import os
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, TypeAlias

from imago.errors import Conflict, ImagoError, InvalidRequest
from imago.exports.checking import DamagedExport, all_lines, check, check_lists, read_manifest
from imago.exports.files import Files, files_at
from imago.exports.layout import encoded
from imago.records import Raw
from imago.transport import Json, Transport, path_to

OnImport: TypeAlias = Callable[[int, int], object]
_MOST = 100
_MOST_BYTES = 1_000_000
"""Of the JSON of one request, which may have a MiB."""
_FEW_BYTES = 100
"""More than what is around the entries of a request, and around the picture of one."""
_TRIES = 3

_OF_MANIFEST = (
    "format", "format_version", "atlas", "version", "name", "network", "network_sha256", "entries",
    "pictures",
)  # fmt: skip
_OF_NETWORK = (
    "source", "architecture", "weights", "weights_sha256", "network_sha256", "classes", "labels", "stated",
)  # fmt: skip
_OF_LAYER = (
    "layer", "ordinal", "units", "unit_count", "shown_units", "facets", "technique", "parameters",
    "generator", "pictures", "unreachable", "lines",
)  # fmt: skip
_OF_INSPECTED = (
    "ordinal", "kind", "units", "height", "width", "receptive_field", "stride", "tokens", "usual_token",
    "class_token", "role", "twin_of",
)  # fmt: skip
_OF_RECIPE = ("technique", "parameters")
_OF_GENERATOR = (
    "id", "weights_sha256", "architecture", "code_shape", "image_size", "encoder", "recommended", "training",
)  # fmt: skip


def import_atlas(
    transport: Transport, path: str | os.PathLike[str], on_progress: OnImport | None = None
) -> str:
    """Import an exported atlas; returns the id that it has there. on_progress: called with how many entries
    were checked, and then how many are there, of twice as many as it has.

    Before anything is sent, raises `DamagedExport` for one that is not whole, and `InvalidRequest` for one of
    which something is larger than a request may be.
    """
    files = files_at(path)
    try:
        manifest = read_manifest(files)
        told = on_progress or _silent
        begin = manifest_to_send(manifest)
        check_lists(files, manifest)
        _must_fit(files, begin)
        check(files, manifest, lambda done, total: told(done, 2 * total))
        at = transport.post(f"{path_to('atlases')}:import", begin).body
        try:
            return _send(transport, files, begin, at, told)
        except ImagoError as error:
            kept = "What was sent is kept, and the same import goes on from there"
            error.add_note(f"{kept}. To end it instead: imago delete {at['id']}")
            raise
    finally:
        files.close()


def _send(transport: Transport, files: Files, begin: Json, at: Json, told: OnImport) -> str:
    """Send all entries that the server lacks; returns the id of the atlas."""
    tries = 0
    while at["state"] != "complete":
        before = at["received"]
        try:
            at = _send_from(transport, files, at, told)
            tries = 0
        except Conflict:
            # Another import of the same export may be ahead of this one.
            at = transport.post(f"{path_to('atlases')}:import", begin).body
            tries = tries + 1 if at["received"] == before else 0
            if tries == _TRIES:
                raise
    return str(at["id"])


def _send_from(transport: Transport, files: Files, at: Json, told: OnImport) -> Json:
    where, first = path_to("atlases", at["id"], "entries"), at["received"]
    for some in _slices(files, islice(all_lines(files), first, None)):
        at = transport.post(where, {"first": first, "entries": some}).body
        first += len(some)
        told(at["entries"] + at["received"], 2 * at["entries"])
        if at["received"] != first:
            return at
    if at["state"] != "complete":
        raise ImagoError(f"{files.where} ended before the server had all of its entries.")
    return at


def manifest_to_send(manifest: Raw) -> Json:
    """What a server reads of a manifest: the rest would only make the request longer."""
    return {
        **_some(manifest, _OF_MANIFEST),
        "network_now": _some(manifest.get("network_now"), _OF_NETWORK),
        "layers": [
            {**_some(layer, _OF_LAYER), "in_network": _some(layer.get("in_network"), _OF_INSPECTED)}
            for layer in manifest["layers"]
        ],
        "recipes": {digest: _some(recipe, _OF_RECIPE) for digest, recipe in manifest["recipes"].items()},
        "generators": _each(manifest.get("generators"), _OF_GENERATOR),
    }


def _some(found: Any, names: tuple[str, ...]) -> Any:
    """What is no object is sent as it is: the server says what is wrong with it."""
    return {name: found[name] for name in names if name in found} if isinstance(found, dict) else found


def _each(found: Any, names: tuple[str, ...]) -> Any:
    return [_some(each, names) for each in found] if isinstance(found, list) else found


def _must_fit(files: Files, begin: Json) -> None:
    """Raises `InvalidRequest` for what no request can carry, without reading a picture."""
    try:
        if (length := len(encoded(begin))) > _MOST_BYTES:
            largest = max(begin, key=lambda name: len(encoded(begin[name])))
            raise InvalidRequest(
                f"The manifest of {files.where} cannot be sent: it takes {length} bytes, mostly for its "
                f"{largest}, and a request may have {_MOST_BYTES}. Import an atlas of fewer layers."
            )
        for line in all_lines(files):
            if (length := _length_of(line)) > _MOST_BYTES:
                raise InvalidRequest(
                    f"{line['file_name'] or line['digest']} cannot be sent: it takes {length} bytes as text, "
                    f"and a request may have {_MOST_BYTES}. Export the atlas with --format webp, or smaller "
                    "with --size."
                )
    except ValueError as error:
        raise DamagedExport(f"{files.where} says what JSON cannot: {error}.") from error


def _length_of(line: Raw) -> int:
    """Bytes of an entry in a request, with its picture as base64."""
    picture = -(-line["bytes"] // 3) * 4 if line["file_name"] else 0
    return len(encoded(line)) + picture + _FEW_BYTES


def _silent(done: int, total: int) -> None:
    """Nobody wants to know."""


def _slices(files: Files, lines: Iterator[Raw]) -> Iterator[list[Json]]:
    """Entries with their pictures, as many as one request may have."""
    some: list[Json] = []
    length = _FEW_BYTES
    for line in lines:
        entry = dict(line)
        if line["file_name"]:
            entry["content"] = base64.b64encode(files.read(line["file_name"])).decode()
        size = _length_of(line)
        if some and (length + size > _MOST_BYTES or len(some) == _MOST):
            yield some
            some, length = [], _FEW_BYTES
        some.append(entry)
        length += size
    if some:
        yield some
