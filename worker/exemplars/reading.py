"""The pictures of a scan's sources, one after the other, each with its number and the name it is known by."""

import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from imago_engine.training.data.sources import (
    RawPicture,
    SourceLimits,
    SourceUnread,
    Unread,
    open_source,
)
from services.base.settings import Settings
from worker.trainings.sources import locate_sources


class SourcesChanged(ValueError):
    """The pictures are not those that were looked at; the message is for the person who named them."""

    def __init__(self, what: str = "other ones were read the second time") -> None:
        super().__init__(f"The pictures were changed while they were scanned: {what}. Scan them again.")


@dataclass(frozen=True)
class NumberedPicture:
    """A picture as it lies in its source. `lost` names those between the one before and this one that are
    there but cannot be had, each with its reason; at the end of all sources there may be such with no picture
    behind them. `content` is None of these, and of one that an earlier pass has seen: that `is_passed_over`.

    `fingerprint` is that of all pictures up to this one.
    """

    number: int
    name: str
    content: bytes | None
    fingerprint: str
    lost: tuple[str, ...] = ()
    is_passed_over: bool = False


class Reading:
    """One pass over all pictures, in an order that depends only on what there is."""

    def __init__(self, sources: Sequence[str], settings: Settings) -> None:
        """Raises `SourceRefused` where this worker does not have one of them."""
        paths = locate_sources(sources, settings.data_root)
        self._sources = list(zip(sources, paths, strict=True))
        self._root = settings.data_root
        self._limits = SourceLimits(
            settings.largest_picture_mib * 2**20, settings.largest_archive_gib * 2**30
        )
        self._hashed = hashlib.sha256()

    @property
    def fingerprint(self) -> str:
        """Of all pictures that were passed so far: of two passes over the same ones it is the same."""
        return self._hashed.hexdigest()

    def pictures(self, after: int = 0, fingerprint: str | None = None) -> Iterator[NumberedPicture]:
        """All of them; those before number `after` were seen by an earlier pass, and are read to see that
        they are the same: `fingerprint` is what that pass has told of them, None where it is not known.

        Raises `SourceError`, `SourceRefused`, and `SourcesChanged` before the picture `after`. One that
        cannot be read now is no loss but an error, `SourceUnread`: another pass may read it, and would be of
        other pictures.
        """
        number, lost = 0, list[str]()

        def lose(name: PurePosixPath, reason: str) -> None:
            if isinstance(reason, Unread):
                raise SourceUnread(f"{name} {reason}")
            lost.append(f"{name} ({reason})")

        for source, path in self._sources:
            home = PurePosixPath(source) if path.is_dir() else PurePosixPath(source).parent
            for picture in open_source(
                path,
                root=self._root,
                limits=self._limits,
                on_loss=lambda name, reason, home=home: lose(home / name, reason),  # type: ignore[misc]
            ):
                if number == after:
                    self._compare(fingerprint)
                name = str(home / picture.name)
                self._note(name, picture)
                if number < after:
                    yield NumberedPicture(number, name, None, self.fingerprint, is_passed_over=True)
                else:
                    yield NumberedPicture(number, name, picture.content, self.fingerprint, tuple(lost))
                number, lost[:] = number + 1, []
            locate_sources([source], self._root)  # what has gone meanwhile was not read to its end
        if number < after:
            raise SourcesChanged("some are not there any more")
        if number == after:
            self._compare(fingerprint)
        if lost:
            yield NumberedPicture(number, "", None, self.fingerprint, tuple(lost))

    def _compare(self, fingerprint: str | None) -> None:
        if fingerprint not in (None, self.fingerprint):
            raise SourcesChanged()

    def _note(self, name: str, picture: RawPicture) -> None:
        facts = f"{name}\0{len(picture.content)}\0{zlib.crc32(picture.content)}\n"
        self._hashed.update(facts.encode(errors="backslashreplace"))


def without_folder(message: str, root: Path | None) -> str:
    """A message about sources as people are told it: without where the folder lies on this machine."""
    if root is None:
        return message
    for folder in {str(root.resolve()), str(root)}:
        message = re.sub(rf"(?<!\w){re.escape(folder)}/", "", message)
        message = re.sub(rf"(?<!\w){re.escape(folder)}(?!\w)", ".", message)
    return message
