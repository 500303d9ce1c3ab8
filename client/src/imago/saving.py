"""Writing many pictures at once, a few downloads at a time."""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from imago.records import Raw
from imago.visualizations import Visualization

_AT_ONCE = 8


@dataclass(frozen=True)
class Saved:
    """A picture on disk, with the server's description of it."""

    path: Path
    raw: Raw


class PictureSaver:
    """Writes pictures into one folder in the background.

    What is there already is not fetched again: a file's name holds the digest.
    Without a folder it does nothing.
    """

    def __init__(self, folder: Path | None, *, view: str | None = None) -> None:
        self._folder = folder
        self._view = view
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="imago-save")
        self._running: list[Future[Saved]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def add(self, visualization: Visualization) -> None:
        """Fetch and write this picture soon; one without a picture is passed over."""
        if self._folder is not None and visualization.state == "done":
            self._running.append(self._pool.submit(self._save, visualization, self._folder))

    def ready(self) -> list[Saved]:
        """The pictures written since the last call. Raises what went wrong with one."""
        finished: list[Future[Saved]] = []
        running: list[Future[Saved]] = []
        for future in self._running:
            (finished if future.done() else running).append(future)
        self._running = running
        return [future.result() for future in finished]

    def finish(self) -> list[Saved]:
        """Wait for all that was added; those that `ready` has not told of yet."""
        running, self._running = self._running, []
        return [future.result() for future in running]

    def _save(self, visualization: Visualization, folder: Path) -> Saved:
        path = folder / visualization.filename(self._view)
        if not path.exists():
            visualization.save(path, view=self._view)
        return Saved(path, visualization.raw)


def save_all(pictures: Iterable[Visualization], folder: Path, *, view: str | None = None) -> list[Saved]:
    """Write pictures under their own names into a folder, in the given order."""
    with PictureSaver(folder, view=view) as saver:
        for picture in pictures:
            saver.add(picture)
        return saver.finish()
