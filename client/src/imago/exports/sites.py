"""Write a published version of an atlas as a site that needs no server: pages, pictures, a search.

The server makes the pages; pictures are fetched a few at a time, and no more than some are held. Stopped
anywhere, the same call goes on: a picture that lies there is not fetched again, for its name tells its bytes.
The entrance comes last, so that a folder that has one is whole.
"""

import json
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from imago.errors import Conflict, ImagoError, Unreachable
from imago.exports.conversion import Conversion
from imago.exports.exporting import OnExport
from imago.exports.manifest import to_export
from imago.files import flush_below, write_whole
from imago.transport import Json, Transport, path_to

ENTRANCE = "index.html"
_BEGUN = ".site.json"
_PICTURES = 2
"""Raise it when files of pictures have other bytes than before under the same names: those that earlier
releases wrote are fetched anew then. 2: they have the size, the crop and the scan that pages ask for."""
_FOLDERS = ("pictures", "photographs")
_AT_ONCE, _AHEAD = 8, 64


def export_site(
    transport: Transport,
    id: str,
    to: str | os.PathLike[str],
    *,
    version: int | str = "latest",
    exemplars: bool = True,
    on_progress: OnExport | None = None,
) -> Path:
    """Write the site into a folder; returns its entrance.

    exemplars: with the photographs that excite units most, where some were scanned.
    on_progress: called with how many pictures are there, and of how many. Raises `Conflict` for a version
    that is not published, and where something else lies there.
    """
    folder = Path(to)
    export = to_export(transport, id, version, Conversion())
    identity: Json = {"atlas": export.atlas["id"], "version": export.version["number"]}
    if not exemplars:
        identity["exemplars"] = False
    path = path_to("atlases", export.atlas["id"], "versions", export.version["number"], "site")
    try:
        _begin(folder, identity)
        with _fetching(transport) as fetch:
            asked = {"exemplars": None if exemplars else "false"}
            while True:
                written = fetch.written
                try:
                    entrance = _write(
                        transport.lines(path, asked), folder, fetch, export.pictures, on_progress
                    )
                    break
                except Unreachable:
                    # The list is one answer, which a server ends where pictures keep it waiting: with what
                    # was written until then, the next one comes further.
                    fetch.wait()
                    if fetch.written == written:
                        raise
        flush_below(folder)
    except OSError as error:
        raise ImagoError(f"Cannot write the site {folder}: {error.strerror or error}.") from error
    if entrance is None:
        raise ImagoError("The server gave no entrance of the site; export it again.")
    write_whole(folder / ENTRANCE, entrance.encode(), lasting=True)
    return folder / ENTRANCE


def _begin(folder: Path, identity: Json) -> None:
    """Claim the folder for this site. Raises `Conflict`."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = {**identity, "pictures": _PICTURES}
    with suppress(FileNotFoundError, ValueError):
        there = json.loads((folder / _BEGUN).read_bytes())
        if there == stamp:
            return
        if not isinstance(there, dict) or {**there, "pictures": _PICTURES} != stamp:
            raise Conflict(f"{folder} holds the site of something else; name another folder.")
        _forget_pictures(folder)
        write_whole(folder / _BEGUN, json.dumps(stamp).encode(), lasting=True)
        return
    if any(folder.iterdir()):
        raise Conflict(f"{folder} is not empty, and holds no site that could go on; name another folder.")
    write_whole(folder / _BEGUN, json.dumps(stamp).encode(), lasting=True)


def _forget_pictures(folder: Path) -> None:
    """Those of an earlier release; without them the site is not whole, and has no entrance."""
    (folder / ENTRANCE).unlink(missing_ok=True)
    for name in _FOLDERS:
        with suppress(FileNotFoundError):
            shutil.rmtree(folder / name)


class _Fetches:
    """Pictures that are being fetched. Each call waits once there are many."""

    def __init__(self, transport: Transport, pool: ThreadPoolExecutor) -> None:
        self._transport = transport
        self._pool = pool
        self._running: deque[Future[None]] = deque()
        self.written = 0
        """How many pictures were fetched and waited for."""

    def fetch(self, source: str, file: Path) -> None:
        """Have a picture written, unless it is there: an empty one is what a power cut has left."""
        with suppress(FileNotFoundError):
            if file.stat().st_size > 0:
                return
        self.wait(_AHEAD)
        self._running.append(self._pool.submit(self._write, source, file))

    def wait(self, left: int = 0) -> None:
        """Until no more than so many are left. Raises what went wrong."""
        while len(self._running) > left:
            self._running.popleft().result()
            self.written += 1

    def _write(self, source: str, file: Path) -> None:
        write_whole(file, self._transport.get_bytes(source))


@contextmanager
def _fetching(transport: Transport) -> Iterator[_Fetches]:
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="imago-site") as pool:
        try:
            fetches = _Fetches(transport, pool)
            yield fetches
            fetches.wait()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _write(
    lines: Iterable[Json],
    folder: Path,
    fetches: _Fetches,
    pictures: int,
    on_progress: OnExport | None,
) -> str | None:
    """Everything but the entrance, whose text is returned."""
    entrance: str | None = None
    shown = -1
    for line in lines:
        if line["path"] == ENTRANCE:
            entrance = line["text"]
            continue
        file = folder / _within(line["path"])
        if line["source"] is not None:
            fetches.fetch(line["source"], file)
        else:
            _write_text(file, line["text"])
        if on_progress is not None and line["ended"] != shown:
            shown = line["ended"]
            on_progress(shown, pictures)
    return entrance


def _within(path: str) -> PurePosixPath:
    """The path of a file of the site. Raises `ImagoError` for one that would lie elsewhere."""
    found = PurePosixPath(path)
    if found.is_absolute() or ".." in found.parts or not found.parts or "\\" in path or ":" in path:
        raise ImagoError(f"The server named a file that is not of the site: {path!r}.")
    return found


def _write_text(file: Path, text: str) -> None:
    """Write it, unless it lies there already: what is put into a bucket by its time stays as it is."""
    content = text.encode()
    with suppress(FileNotFoundError):
        if file.read_bytes() == content:
            return
    write_whole(file, content)
