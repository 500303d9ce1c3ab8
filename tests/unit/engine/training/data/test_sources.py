import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imago_engine.training.data.sources import SourceError, open_source

Bytes = Callable[[int], bytes]


def test_a_folder_yields_its_images_in_order_and_holds_out_its_validation_part(
    tmp_path: Path, picture_bytes: Bytes
) -> None:
    for i, name in enumerate(["train/cat/b.png", "train/cat/a.PNG", "val/cat/c.png", "train/notes.txt"]):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture_bytes(i))
    found = list(open_source(tmp_path))
    assert [p.name for p in found] == ["train/cat/a.PNG", "train/cat/b.png", "val/cat/c.png"]
    assert [p.held_out for p in found] == [False, False, True]
    assert found[0].content == picture_bytes(1)


def test_webdataset_tars_yield_their_images_tar_by_tar(tmp_path: Path, picture_bytes: Bytes) -> None:
    for shard in (1, 0):
        with tarfile.open(tmp_path / f"shard-{shard}.tar", "w") as archive:
            for name, content in ((f"{shard}.png", picture_bytes(shard)), (f"{shard}.cls", b"3")):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    assert [p.name for p in open_source(tmp_path)] == ["shard-0.tar/0.png", "shard-1.tar/1.png"]
    assert [p.content for p in open_source(tmp_path / "shard-1.tar")] == [picture_bytes(1)]


def test_a_packed_set_yields_its_images_with_its_split(tmp_path: Path, picture_bytes: Bytes) -> None:
    contents = [picture_bytes(i) for i in range(3)]
    offsets = np.cumsum([0, *map(len, contents)])
    blob = np.frombuffer(b"".join(contents), np.uint8)
    np.savez(tmp_path / "set.npz", blob=blob, offsets=offsets, split=np.array([0, 1, 0], np.uint8))
    found = list(open_source(tmp_path / "set.npz"))
    assert [p.content for p in found] == contents
    assert [p.held_out for p in found] == [False, True, False]


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "tar"])
def test_what_can_be_decoded_is_taken_and_what_cannot_is_named(tmp_path: Path, packed: bool) -> None:
    read = [
        "a.JPG",
        "b.tif",
        "c.tiff",
        "d.gif",
        "e.avif",
        "f.jp2",
        "g.pgm",
        "h.ppm",
        "i.jfif",
        "j.jpe",
        "k.bmp",
    ]
    names = [*read, "l.heic", "m.jxl", "n.DNG", "a.cr2", "o.txt"]  # `a` is there as JPEG as well
    folder = tmp_path / "set"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"content")
    source = folder
    if packed:
        source = tmp_path / "set.tar"
        with tarfile.open(source, "w") as archive:
            for name in sorted(names, key=str.lower):
                archive.add(folder / name, name)
    lost: dict[str, str] = {}
    got = [picture.name for picture in open_source(source, on_loss=lost.__setitem__)]
    before = "set.tar/" if packed else ""
    assert got == [before + name for name in read]
    assert sorted(lost) == [before + name for name in ("l.heic", "m.jxl", "n.DNG")]
    assert lost[f"{before}l.heic"] == "its format is not read (.heic)"


def test_of_a_folder_with_tars_the_loose_pictures_are_read_too(tmp_path: Path, picture_bytes: Bytes) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "1.png").write_bytes(picture_bytes(1))
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "p" / "1.png", "2.png")
    assert [picture.name for picture in open_source(tmp_path)] == ["a.tar/2.png", "p/1.png"]
    (tmp_path / "b.tar.zst").write_bytes(b"content")
    with pytest.raises(
        SourceError, match=r"b\.tar\.zst is of a compression that is not read; expected \.tar,"
    ):
        open_source(tmp_path)


def test_a_source_that_cannot_be_read_is_refused_with_what_would_be_accepted(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist; expected an image folder"):
        open_source(tmp_path / "absent")
    (tmp_path / "data.csv").write_text("a,b")
    with pytest.raises(SourceError, match=r"neither a folder nor a \.tar nor a \.npz"):
        open_source(tmp_path / "data.csv")
    (tmp_path / "broken.tar").write_text("no tar at all")
    with pytest.raises(SourceError, match="not a readable tar"):
        list(open_source(tmp_path / "broken.tar"))
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(SourceError, match=r"lacks the arrays \['blob', 'offsets'\]"):
        list(open_source(tmp_path / "other.npz"))
