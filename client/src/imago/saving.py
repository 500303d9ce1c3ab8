"""Writing many pictures at once, a few downloads at a time."""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

from imago.errors import ImagoError, NotAuthorized, Unavailable
from imago.records import Raw
from imago.visualizations import Visualization

_AT_ONCE = 8


@dataclass(frozen=True)
class Saved:
    """A picture on disk, with the server's description of it."""

    path: Path
    raw: Raw


@dataclass(frozen=True)
class Lost:
    """A picture that there should be and that the server does not give, and why."""

    picture: Visualization
    reason: str

    def __str__(self) -> str:
        return f"{self.picture.title} ({self.reason.removesuffix('.')})"


Outcome: TypeAlias = Saved | Lost


def concerns_one_picture(error: ImagoError) -> bool:
    """Whether the server's answer is about this picture alone: the next one may be had all the same.

    Not so where there is no answer, no permission, no free server, or no room on the disk.
    """
    return error.status is not None and not isinstance(error, NotAuthorized | Unavailable)


class PictureSaver:
    """Writes pictures into one folder in the background.

    What is there already is not fetched again: a file's name holds the digest.
    Without a folder it does nothing.
    """

    def __init__(self, folder: Path | None, *, view: str | None = None) -> None:
        self._folder = folder
        self._view = view
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="imago-save")
        self._running: list[Future[Outcome]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def add(self, visualization: Visualization) -> None:
        """Fetch and write this picture soon; one without a picture is passed over."""
        if self._folder is not None and visualization.state == "done":
            path = self._folder / visualization.filename(self._view)
            self._running.append(self._pool.submit(save_one, visualization, path, view=self._view))

    def ready(self) -> list[Outcome]:
        """What became of pictures since the last call. Raises what stands in the way of all of them."""
        finished: list[Future[Outcome]] = []
        running: list[Future[Outcome]] = []
        for future in self._running:
            (finished if future.done() else running).append(future)
        self._running = running
        return [future.result() for future in finished]

    def finish(self) -> list[Outcome]:
        """Wait for all that was added; those that `ready` has not told of yet."""
        running, self._running = self._running, []
        return [future.result() for future in running]


def save_one(picture: Visualization, path: Path, *, view: str | None = None, anew: bool = False) -> Outcome:
    """Write a picture to this file, unless it is there already; `anew`: over what is there.

    Raises what would concern other pictures too.
    """
    try:
        if anew or not path.exists():
            picture.save(path, view=view)
    except ImagoError as error:
        if not concerns_one_picture(error):
            raise
        return Lost(picture, str(error))
    return Saved(path, picture.raw)


def save_all(pictures: Iterable[Visualization], folder: Path, *, view: str | None = None) -> list[Outcome]:
    """Write pictures under their own names into a folder; what became of each, in the given order."""
    with PictureSaver(folder, view=view) as saver:
        for picture in pictures:
            saver.add(picture)
        return saver.finish()
