"""Whether an exported atlas is whole: its manifest, and the hash of every file."""

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from imago.errors import ImagoError, NotFound
from imago.exports.files import Files, lines, pieces
from imago.exports.flaws import flaw_of_line, flaw_of_manifest
from imago.exports.layout import FORMAT, FORMAT_VERSION, MANIFEST, UNITS
from imago.records import Raw

OnCheck: TypeAlias = Callable[[int, int], object]


class DamagedExport(ImagoError):
    """An export that was cut off, or changed after it was written."""


def read_manifest(files: Files) -> Raw:
    """The manifest. Raises `DamagedExport` where there is none, `ImagoError` for that of a later release."""
    try:
        found: Any = json.loads(files.read(MANIFEST))
    except NotFound:
        raise DamagedExport(
            f"{files.where} has no {MANIFEST}: it is no exported atlas, or one that was not finished; "
            "the same `imago export` goes on with it."
        ) from None
    except (ValueError, RecursionError) as error:
        raise DamagedExport(f"{MANIFEST} of {files.where} is not JSON: {error}.") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise DamagedExport(f"{MANIFEST} of {files.where} is not that of an exported atlas.")
    if found.get("format_version") != FORMAT_VERSION:
        raise ImagoError(
            f"{files.where} has version {found.get('format_version')} of the format; this release reads "
            f"version {FORMAT_VERSION}."
        )
    if (flaw := flaw_of_manifest(found)) is not None:
        raise DamagedExport(f"{MANIFEST} of {files.where} is damaged: {flaw}.")
    return found


def check(files: Files, manifest: Raw, on_progress: OnCheck | None = None) -> None:
    """Read every file once and compare it with its hash. Raises `DamagedExport` at the first that differs."""
    check_lists(files, manifest)
    done = 0
    for line in all_lines(files):
        if line["file_name"]:
            _compare(files, line["file_name"], line)
        done += 1
        if on_progress is not None:
            on_progress(done, manifest["entries"])
    if done != manifest["entries"]:
        raise DamagedExport(f"{UNITS} of {files.where} has {done} lines of {manifest['entries']}.")


def check_lists(files: Files, manifest: Raw) -> None:
    """Compare what lists the pictures with its hashes, and read none of them. Raises `DamagedExport`."""
    for name, stated in manifest["files"].items():
        _compare(files, name, stated)


def all_lines(files: Files, offset: int = 0) -> Iterator[Raw]:
    """What units.jsonl says, from the line on that begins at `offset`. Raises `DamagedExport`."""
    return (line for _, line in placed_lines(files, offset))


def placed_lines(files: Files, offset: int = 0) -> Iterator[tuple[int, Raw]]:
    """The same, each with where it begins. Raises `DamagedExport`."""
    for begins, text in lines(files, UNITS, offset):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DamagedExport(f"{UNITS} of {files.where} is damaged at byte {begins}: {error}.") from error
        if (flaw := flaw_of_line(line)) is not None:
            raise DamagedExport(f"{UNITS} of {files.where} is damaged at byte {begins}: {flaw}.")
        yield begins, line


def _compare(files: Files, name: str, stated: Raw) -> None:
    try:
        hashed, size = hashlib.sha256(), 0
        for piece in pieces(files, name):
            hashed.update(piece)
            size += len(piece)
    except NotFound as error:
        raise DamagedExport(f"{error.message} The manifest says that it should.") from error
    if size != stated["bytes"] or hashed.hexdigest() != stated["sha256"]:
        raise DamagedExport(f"{name} of {files.where} is not what was exported: its hash differs.")
