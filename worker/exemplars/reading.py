"""The pictures of a scan's sources, one after the other, each with its number and the name it is known by."""

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from imago_engine.training.data.sources import RawPicture, SourceLimits, open_source
from services.base.settings import Settings
from worker.trainings.sources import locate_sources


@dataclass(frozen=True)
class NumberedPicture:
    """A picture as it lies in its source. `lost` names those between the one before and this one that are
    there but cannot be had, each with its reason; at the end of all sources there may be such with no picture
    behind them, `content` None."""

    number: int
    name: str
    content: bytes | None
    lost: tuple[str, ...] = ()


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

    def pictures(self, after: int = 0) -> Iterator[NumberedPicture]:
        """Those from number `after` on. Raises `SourceError`."""
        number, lost = 0, list[str]()
        for source, path in self._sources:
            home = PurePosixPath(source) if path.is_dir() else PurePosixPath(source).parent
            for picture in open_source(
                path,
                root=self._root,
                limits=self._limits,
                on_loss=lambda name, reason, home=home: lost.append(f"{home / name} ({reason})"),  # type: ignore[misc]
            ):
                name = str(home / picture.name)
                self._note(name, picture)
                if number >= after:
                    yield NumberedPicture(number, name, picture.content, tuple(lost))
                number, lost[:] = number + 1, []
        if lost:
            yield NumberedPicture(number, "", None, tuple(lost))

    def _note(self, name: str, picture: RawPicture) -> None:
        facts = f"{name}\0{len(picture.content)}\0{zlib.crc32(picture.content)}\n"
        self._hashed.update(facts.encode(errors="backslashreplace"))


def without_folder(message: str, root: Path | None) -> str:
    """A message about sources as people are told it: without where the folder lies on this machine."""
    return message if root is None else message.replace(f"{root.resolve()}/", "").replace(f"{root}/", "")
