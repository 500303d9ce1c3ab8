"""Write a published version of an atlas into a folder or a tar.

Pictures are fetched a few at a time, and no more than some are held. Stopped anywhere, the same call goes on:
what lies there with the right hash is not fetched again. The manifest comes last, when all else is on the
disk, so that a folder that has one is whole, also after a power cut. What was damaged since is mended by the
same call.
"""

import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeAlias

from imago.errors import Conflict, ImagoError, NotFound
from imago.exports.checking import DamagedExport, check, read_manifest
from imago.exports.conversion import Conversion
from imago.exports.files import Files, files_at
from imago.exports.flaws import flaw_of_line
from imago.exports.hashes import sha256_of
from imago.exports.layout import (
    IMAGES,
    JSONL,
    MANIFEST,
    PARQUET,
    SUFFIXES,
    SUMS,
    UNITS,
    encoded,
    file_of,
    line_of,
)
from imago.exports.manifest import Contents, Export, manifest_of, to_export
from imago.exports.places import places_of
from imago.exports.tables import kind_of_table, write_table
from imago.exports.tars import is_tar, pack
from imago.files import LOCK, flush_below, held, write_whole
from imago.records import Raw
from imago.transport import Json, Transport, path_to

OnExport: TypeAlias = Callable[[int, int], object]
_AT_ONCE = 8
_AHEAD = 64
_BEGUN = ".export.json"
_LINES, _LINES_BEFORE = ".units.jsonl.part", ".units.jsonl.before"


def export(
    transport: Transport,
    id: str,
    to: str | os.PathLike[str],
    *,
    version: int | str = "latest",
    images: Conversion | None = None,
    table: str | None = None,
    on_progress: OnExport | None = None,
) -> Path:
    """Export a published version of an atlas into a folder, or into a file that ends in .tar; returns where.

    table: `parquet` or `jsonl`; a whole folder that has the other one gets it instead.
    on_progress: called with how many pictures are there, and of how many. Raises `Conflict` for a version
    that is not published, and where something else lies there, or another export writes.
    """
    path = Path(to)
    export = to_export(transport, id, version, images or Conversion())
    kind = kind_of_table(table)
    kinds = (PARQUET, JSONL) if table is None else (kind,)
    try:
        if not is_tar(path):
            with _alone(path):
                _into_folder(transport, export, path, kind, kinds, on_progress)
            return path
        folder = path.with_name(f"{path.name}.part")
        if path.exists() and folder.exists() and _is_packed(path, export, kinds, on_progress):
            # A try before was ended when all that was left to do was this.
            shutil.rmtree(folder)
            return path
        _must_be_absent(path)
        with _alone(folder):
            _must_be_absent(path)
            _into_folder(transport, export, folder, kind, kinds, on_progress)
            pack(folder, path, read_manifest(files_at(folder))["files"])
        shutil.rmtree(folder)  # only now: some file systems keep a folder in which a file is open
    except OSError as error:
        raise ImagoError(f"Cannot write the export {path}: {error.strerror or error}.") from error
    return path


def _is_packed(path: Path, export: Export, tables: Sequence[str], on_progress: OnExport | None) -> bool:
    """Whether a tar is this export, and whole."""
    with suppress(ImagoError):
        files = files_at(path)
        try:
            manifest = read_manifest(files)
            return _is_of(manifest, export) and _is_whole(files, tables, on_progress)
        finally:
            files.close()
    return False


def _is_of(there: Raw, export: Export) -> bool:
    return {key: there.get(key) for key in export.identity} == export.identity


def _must_be_absent(path: Path) -> None:
    if path.exists():
        raise Conflict(f"{path} is there already.")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While it is written. Raises `Conflict` where another export does."""
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder) as is_ours:
        if not is_ours:
            raise Conflict(f"Another export writes into {folder}; wait until it has ended.")
        yield


def _into_folder(
    transport: Transport,
    export: Export,
    folder: Path,
    table: str,
    tables: Sequence[str],
    on_progress: OnExport | None,
) -> None:
    """tables: one of these is enough where there is one."""
    if not _begin(folder, export, tables, on_progress):
        return
    contents = Contents()
    lines = folder / _LINES
    _keep_longest(folder)
    sums = folder / f".{SUMS}.part"
    with (
        lines.open("wb") as units,
        sums.open("wb") as hashes,
        ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="imago-export") as pool,
    ):
        try:
            _write_lines(transport, export, folder, pool, units, hashes, contents, on_progress)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    written = folder / f".{table}.part"
    places = places_of(transport, export.atlas["id"], export.version["number"])
    write_table(lines, written, table, places)
    files = {name: _described(file) for name, file in ((UNITS, lines), (table, written))}
    with sums.open("ab") as hashes:
        hashes.writelines(f"{file['sha256']}  {name}\n".encode() for name, file in files.items())
    files[SUMS] = _described(sums)
    manifest = manifest_of(transport, export, contents, files)
    for draft, name in ((lines, UNITS), (written, table), (sums, SUMS)):
        os.replace(draft, folder / name)
    _tidy(folder, manifest)
    flush_below(folder)
    content = json.dumps(manifest, indent=1, ensure_ascii=False).encode() + b"\n"
    write_whole(folder / MANIFEST, content, lasting=True)
    _forget_try(folder)


def _begin(folder: Path, export: Export, tables: Sequence[str], on_progress: OnExport | None) -> bool:
    """Claim the folder for this export; False where it is whole already. Raises `Conflict`."""
    for name in (MANIFEST, _BEGUN):
        if (there := _json_of(folder / name)) is None:
            continue
        if not _is_of(there, export):
            raise Conflict(f"{folder} holds an export of something else; name another folder.")
        if name == MANIFEST:
            if _is_whole(files_at(folder), tables, on_progress):
                _forget_try(folder)
                return False
            _claim(folder, export)
            _forget_changed_lines(folder, there)
            (folder / MANIFEST).unlink()
        return True
    if any(each.name != LOCK for each in folder.iterdir()):
        raise Conflict(f"{folder} is not empty, and holds no export that could go on; name another folder.")
    _claim(folder, export)
    return True


def _forget_changed_lines(folder: Path, manifest: Raw) -> None:
    """What lines say of pictures that are kept is taken from earlier ones: not from such as differ from what
    was written."""
    lines, told = folder / UNITS, manifest.get("files")
    stated = told.get(UNITS) if isinstance(told, dict) else None
    if lines.exists() and stated != _described(lines):
        lines.unlink()


def _claim(folder: Path, export: Export) -> None:
    write_whole(folder / _BEGUN, json.dumps(export.identity).encode(), lasting=True)


def _is_whole(files: Files, tables: Sequence[str], on_progress: OnExport | None) -> bool:
    """Whether each file has its hash, and one of these tables is there."""
    try:
        manifest = read_manifest(files)
        if not any(table in manifest["files"] for table in tables):
            return False
        check(files, manifest, on_progress)
    except DamagedExport:
        return False
    return True


def _json_of(path: Path) -> Raw | None:
    """The object in a file, None where there is none."""
    with suppress(FileNotFoundError, ValueError, RecursionError):
        if isinstance(found := json.loads(path.read_bytes()), dict):
            return found
    return None


def _keep_longest(folder: Path) -> None:
    """Keep of all earlier tries the lines of the one that came furthest."""
    before = folder / _LINES_BEFORE
    for lines in (folder / _LINES, folder / UNITS):
        if lines.exists() and (not before.exists() or lines.stat().st_size >= before.stat().st_size):
            os.replace(lines, before)


def _tidy(folder: Path, manifest: Json) -> None:
    """Leave no draft of an earlier try, and no table beside the one that the manifest tells of."""
    for draft in (*folder.glob(".*.part"), *folder.glob(f"{IMAGES}/*/.*.part")):
        draft.unlink(missing_ok=True)
    for table in {PARQUET, JSONL} - manifest["files"].keys():
        (folder / table).unlink(missing_ok=True)


def _forget_try(folder: Path) -> None:
    """What only a folder without a manifest needs."""
    for name in (_LINES_BEFORE, _BEGUN):
        if (folder / name).exists():  # else it may lie where nothing can be written
            (folder / name).unlink()


def _write_lines(
    transport: Transport,
    export: Export,
    folder: Path,
    pool: ThreadPoolExecutor,
    units: BinaryIO,
    hashes: BinaryIO,
    contents: Contents,
    on_progress: OnExport | None,
) -> None:
    path = path_to("atlases", export.atlas["id"], "versions", export.version["number"], "entries")
    known = _known_lines(folder / _LINES_BEFORE)

    def fetch(entry: Raw) -> Callable[[], tuple[Raw, Json]]:
        before = next(known, None)
        return lambda: (entry["visualization"]["recipe"], _fetched(transport, export, folder, entry, before))

    done, offset = 0, 0
    for recipe, line in _in_order(pool, map(fetch, transport.entries(path))):
        text = encoded(line)
        contents.add(line, recipe, offset)
        units.write(text)
        offset += len(text)
        if line["file_name"]:
            hashes.write(f"{line['sha256']}  {line['file_name']}\n".encode())
        done += 1
        if on_progress is not None:
            on_progress(done, export.pictures)
    if done != export.pictures:
        raise ImagoError(
            f"The server gave {done} of {export.pictures} entries of the atlas; export it again."
        )


def _in_order(
    pool: ThreadPoolExecutor, calls: Iterable[Callable[[], tuple[Raw, Json]]]
) -> Iterator[tuple[Raw, Json]]:
    """The results in the order of the calls, of which some run ahead."""
    running: deque[Future[tuple[Raw, Json]]] = deque()
    pending = iter(calls)
    while True:
        for call in islice(pending, _AHEAD - len(running)):
            running.append(pool.submit(call))
        if not running:
            return
        yield running.popleft().result()


def _fetched(transport: Transport, export: Export, folder: Path, entry: Raw, before: Raw | None) -> Json:
    """The line of an entry whose picture is there afterwards."""
    shown, line = entry["visualization"], line_of(entry)
    if shown["state"] != "done":
        return line
    image, images = shown["image"], export.images
    if image is None or shown["links"]["image"] is None:
        raise NotFound(f"The server has no picture of {shown['digest']}, which is done.")
    suffix = SUFFIXES[f"image/{images.format}"]
    name = file_of(shown["layer"], shown["unit"], entry["facet"], suffix)
    file = folder / name
    line |= {"file_name": name, "source_sha256": image["sha256"]}
    if images.keeps:
        facts = {key: image[key] for key in ("sha256", "bytes", "width", "height")}
        if sha256_of(file) != image["sha256"]:
            write_whole(file, _picture(transport, shown))
        return {**line, **facts, "media_type": "image/png"}
    if before and before["digest"] == shown["digest"] and before.get("source_sha256") == image["sha256"]:
        kept = ("sha256", "bytes", "width", "height", "media_type", "crop_box")
        there = {key: before[key] for key in kept}
        if before["file_name"] == name and sha256_of(file) == before["sha256"]:
            return {**line, **there}
    picture = images.of(_picture(transport, shown))
    write_whole(file, picture.content)
    return {
        **line,
        "sha256": sha256(picture.content).hexdigest(),
        "bytes": len(picture.content),
        "width": picture.width,
        "height": picture.height,
        "media_type": picture.media_type,
        "crop_box": _reduced(line["crop_box"], picture.width / image["width"]),
    }


def _reduced(box: Sequence[int] | None, by: float) -> list[int] | None:
    """A crop box in pixels of the picture as it is written."""
    return None if box is None else [round(edge * by) for edge in box]


def _picture(transport: Transport, shown: Raw) -> bytes:
    content = transport.get_bytes(path_to("visualizations", shown["digest"], "image"))
    if sha256(content).hexdigest() != shown["image"]["sha256"]:
        raise ImagoError(f"The server sent other bytes of {shown['digest']} than it says that it has.")
    return content


def _known_lines(path: Path) -> Iterator[Raw]:
    """The lines of an earlier try, up to one that it did not end, or that was damaged."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        for text in file:
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                return
            if not text.endswith(b"\n") or flaw_of_line(line) is not None:
                return
            yield line


def _described(path: Path) -> Json:
    return {"sha256": sha256_of(path), "bytes": path.stat().st_size}
