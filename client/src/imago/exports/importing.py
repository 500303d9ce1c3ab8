"""Send an exported atlas to a server: checked first, then some entries at a time, with their pictures.

Stopped anywhere, the same call goes on with the entries that the server lacks. Nobody sees the atlas before
the last of them is there.
"""

import base64
import os
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeAlias

from imago.errors import Conflict, ImagoError, InvalidRequest
from imago.exports.checking import all_lines, check, read_manifest
from imago.exports.files import Files, files_at
from imago.records import Raw
from imago.transport import Json, Transport, path_to

OnImport: TypeAlias = Callable[[int, int], object]
_MOST = 100
_MOST_BYTES = 700_000
"""Of the JSON of one request, which may have a MiB."""
_TRIES = 3


def import_atlas(
    transport: Transport, path: str | os.PathLike[str], on_progress: OnImport | None = None
) -> str:
    """Import an exported atlas; returns the id that it has there. on_progress: called with how many entries
    were checked, and then how many are there, of twice as many as it has.

    Raises `DamagedExport`, before anything is sent, for one that is not whole.
    """
    files = files_at(path)
    try:
        manifest = read_manifest(files)
        told = on_progress or _silent
        check(files, manifest, lambda done, total: told(done, 2 * total))
        at = transport.post(f"{path_to('atlases')}:import", dict(manifest)).body
        tries = 0
        while at["state"] != "complete":
            before = at["received"]
            try:
                at = _send_from(transport, files, at, told)
                tries = 0
            except Conflict:
                # Another import of the same export may be ahead of this one.
                at = transport.post(f"{path_to('atlases')}:import", dict(manifest)).body
                tries = tries + 1 if at["received"] == before else 0
                if tries == _TRIES:
                    raise
        return str(at["id"])
    finally:
        files.close()


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


def _silent(done: int, total: int) -> None:
    """Nobody wants to know."""


def _slices(files: Files, lines: Iterator[Raw]) -> Iterator[list[Json]]:
    """Entries with their pictures, as many as one request may have."""
    some: list[Json] = []
    length = 0
    for line in lines:
        entry = dict(line)
        if line["file_name"]:
            entry["content"] = base64.b64encode(files.read(line["file_name"])).decode()
        size = len(entry.get("content") or "") + 4_000
        if size > _MOST_BYTES:
            raise InvalidRequest(
                f"{line['file_name']} has {line['bytes']} bytes, more than one request may carry; export the "
                "atlas as webp to import it."
            )
        if some and (length + size > _MOST_BYTES or len(some) == _MOST):
            yield some
            some, length = [], 0
        some.append(entry)
        length += size
    if some:
        yield some
