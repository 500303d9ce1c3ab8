"""An export as a tar: what is put together from sizes is what tarfile reads, from any byte on."""

import io
import tarfile

import pytest

from imago_engine.artifacts import ArtifactKind
from services.base.object_keys import export_key, key_of, sha256_of_key
from services.base.storage import Corrupt
from services.exports import lines
from services.exports.tar import END, ExportTar, Listing, Stored, bytes_of
from services.pictures.losses import Subject

EXPORT = Subject("export", "atl_1/1")
LONG = "blocks." + "a" * 180
PICTURES = {
    "images/conv/00000-0.png": b"",
    "images/conv/00001-0.png": b"p" * 512,
    f"images/{LONG}/00000-0.png": b"q" * 700,
}


class Store:
    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.read: list[str] = []

    def stored(self, content: bytes) -> Stored:
        key = export_key(content, "jsonl")
        self.objects[key] = content
        return Stored(key, len(content), EXPORT)

    def get(self, stored: Stored) -> bytes:
        self.read.append(stored.key)
        return self.objects[stored.key]


def listed(store: Store, names: list[str | None]) -> Listing:
    """The part of an export that lists these pictures; None stands for a unit that has none."""
    written = []
    for name in names:
        line: dict[str, object] = {"file_name": name, "digest": "d"}
        if name is not None:
            key = key_of(ArtifactKind.IMAGE, PICTURES[name])
            store.objects[key] = PICTURES[name]
            line |= {"bytes": len(PICTURES[name]), "sha256": sha256_of_key(key)}
        written.append(lines.encoded(line))
    there = [name for name in names if name is not None]
    return Listing(
        store.stored(b"".join(written)),
        store.stored(b"row\n" * len(there)) if there else None,
        store.stored(b"sum\n" * len(there)) if there else None,
        sum(bytes_of(name, len(PICTURES[name])) for name in there),
    )


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def tar(store: Store) -> ExportTar:
    first, second, third = PICTURES
    listings = [listed(store, [first, None]), listed(store, [None]), listed(store, [second, third])]
    manifest, sums = store.stored(b"{}"), store.stored(b"the end\n")
    texts = {
        "atlas.json": 2,
        "SHA256SUMS": 4 * len(PICTURES) + sums.size,
        "metadata.jsonl": 4 * len(PICTURES),
        "units.jsonl": sum(each.units.size for each in listings),
    }
    size = sum(bytes_of(name, length) for name, length in texts.items())
    size += sum(each.pictures_size for each in listings) + len(END)
    return ExportTar(manifest, sums, listings, size)


def test_it_is_a_tar_of_the_files_in_their_order(store: Store, tar: ExportTar) -> None:
    whole = b"".join(tar.read(0, tar.size, store.get))
    assert len(whole) == tar.size
    with tarfile.open(fileobj=io.BytesIO(whole), mode="r:") as opened:
        found = {each.name: opened.extractfile(each).read() for each in opened}  # type: ignore[union-attr]
    assert [*found] == ["atlas.json", "SHA256SUMS", "metadata.jsonl", "units.jsonl", *PICTURES]
    assert found["SHA256SUMS"] == b"sum\n" * 3 + b"the end\n"
    assert {name: found[name] for name in PICTURES} == PICTURES


def test_each_part_is_that_of_the_whole_and_nothing_else_is_read(store: Store, tar: ExportTar) -> None:
    whole = b"".join(tar.read(0, tar.size, store.get))
    for first in range(0, tar.size, 97):
        for length in (1, 600, 5000):
            end = min(first + length, tar.size)
            assert b"".join(tar.read(first, end, store.get)) == whole[first:end]
    store.read.clear()
    last = tar.size - len(END) - 1
    assert b"".join(tar.read(last, last + 1, store.get)) == b"\0"
    assert store.read == [tar.listings[2].units.key], "the padding behind the last picture needs no picture"


def test_an_object_of_another_size_than_is_written_down_is_not_handed_out(
    store: Store, tar: ExportTar
) -> None:
    store.objects[tar.manifest.key] = b"{ }"
    with pytest.raises(Corrupt):
        b"".join(tar.read(0, tar.size, store.get))
