"""What cannot be read of a source at this moment, and may be at another."""

from collections.abc import Callable
from pathlib import Path

import pytest

from imago_engine.training.data.left_out import LeftOut
from imago_engine.training.data.sources import SourceError, SourceUnread, open_source

Bytes = Callable[[int], bytes]


def test_pictures_that_go_while_a_folder_is_read_are_counted(tmp_path: Path, picture_bytes: Bytes) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.png").write_bytes(picture_bytes(0))
    lost: list[str] = []
    pictures = open_source(tmp_path, on_loss=lambda name, reason: lost.append(f"{name} {reason}"))
    assert next(pictures).name == "a.png"
    (tmp_path / "b.png").unlink()
    assert [picture.name for picture in pictures] == ["c.png"]
    assert lost == ["b.png cannot be read: No such file or directory"]


UNREADABLE = Path("/proc/self/mem")
"""A file that is there and whose reading fails (EIO), as those of a share whose server is gone."""


@pytest.mark.parametrize("name", ["a.tar", "a.npz"])
def test_an_archive_that_the_operating_system_cannot_read_now_is_told_from_a_damaged_one(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).symlink_to(UNREADABLE)
    with pytest.raises(SourceUnread, match="Input/output error"):
        list(open_source(tmp_path / name))
    (tmp_path / name).unlink()
    (tmp_path / name).write_bytes(b"no archive")
    with pytest.raises(SourceError) as damaged:
        list(open_source(tmp_path / name))
    assert not isinstance(damaged.value, SourceUnread)


def test_pictures_that_may_be_read_at_another_time_are_counted_apart(
    tmp_path: Path, picture_bytes: Bytes
) -> None:
    (tmp_path / "a.png").write_bytes(picture_bytes(0))
    (tmp_path / "b.png").symlink_to(tmp_path / "nothing.png")
    (tmp_path / "c.png").symlink_to(UNREADABLE)
    left_out = LeftOut()
    got = [picture.name for picture in open_source(tmp_path, root=Path("/"), on_loss=left_out.add)]
    assert (got, left_out.count, left_out.unread) == (["a.png"], 2, 1)
    assert left_out.lines[1] == "c.png (cannot be read: Input/output error)"
