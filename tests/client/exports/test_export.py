"""Atlases as files: what an export holds, and that it is whole or says that it is not."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from PIL import Image
from pyarrow import parquet

import imago
from imago.exports import exporting
from imago.transport import Transport
from tests.client.conftest import Run, Service, picture_of
from tests.client.exports.conftest import UNREACHABLE, files_of

PICTURES, ENTRIES = 98, 100


def lines(folder: Path, name: str = "units.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def test_an_export_holds_every_picture_and_what_is_known_of_it(atlas: imago.Atlas, tmp_path: Path) -> None:
    folder = atlas.export(tmp_path / "mine")
    found = lines(folder)
    assert len(found) == ENTRIES
    place = [(line["layer"], line["unit"], line["facet"]) for line in found]
    assert place == [("classifier", unit, facet) for unit in range(20) for facet in (0, 1)] + [
        ("blocks.3", unit, facet) for unit in range(30) for facet in (0, 1)
    ]
    without = [line for line in found if line["file_name"] is None]
    assert [(line["unit"], line["state"]) for line in without] == [(UNREACHABLE, "unreachable")] * 2
    goldfish = found[2]
    assert goldfish["label"] == "goldfish"
    assert goldfish["file_name"] == "images/classifier/00001-0.png"
    assert (folder / goldfish["file_name"]).read_bytes() == picture_of(1)
    assert goldfish["predictions"][0] == {"index": 1, "label": "goldfish", "probability": 0.75}
    assert not {"worker", "lease"} & goldfish["provenance"].keys()  # nobody's business
    assert goldfish["provenance"]["batch_size"] > 0
    manifest = json.loads((folder / "atlas.json").read_text())
    assert (manifest["atlas"], manifest["version"]) == (atlas.id, 1)
    assert (manifest["entries"], manifest["pictures"]) == (ENTRIES, PICTURES)
    assert manifest["recipes"].keys() == {line["recipe"] for line in found}
    assert {each["weights_sha256"] for each in manifest["generators"]} == {"b" * 64}
    assert len([path for path in folder.rglob("*") if path.name.startswith(".")]) == 0


def test_the_table_has_a_file_for_each_row_and_no_other_kind_lies_beside_it(
    atlas: imago.Atlas, tmp_path: Path
) -> None:
    folder = atlas.export(tmp_path / "mine")
    table = parquet.read_table(folder / "metadata.parquet")
    assert table.num_rows == PICTURES
    names = table.column("file_name").to_pylist()
    assert len({*names}) == PICTURES
    assert all((folder / name).is_file() for name in names)
    row = table.slice(2, 1).to_pylist()[0]
    assert (row["layer"], row["unit"], row["label"]) == ("classifier", 1, "goldfish")
    assert row["predictions"][0] == {"index": 1, "label": "goldfish", "probability": 0.75}
    assert [path.name for path in folder.rglob("metadata.*")] == ["metadata.parquet"]
    other = atlas.export(tmp_path / "lines", table="jsonl")
    assert [path.name for path in other.rglob("metadata.*")] == ["metadata.jsonl"]
    assert lines(other, "metadata.jsonl") == table.to_pylist()


def test_every_file_has_the_hash_that_is_written_down(atlas: imago.Atlas, tmp_path: Path) -> None:
    folder = atlas.export(tmp_path / "mine")
    written = [line.split("  ", 1) for line in (folder / "SHA256SUMS").read_text().splitlines()]
    sums = {name: sha256 for sha256, name in written}
    files = files_of(folder)
    assert sums.keys() == files.keys() - {"SHA256SUMS", "atlas.json"}
    for name, sha256 in sums.items():
        assert hashlib.sha256(files[name]).hexdigest() == sha256
    manifest = json.loads(files["atlas.json"])
    for name, stated in manifest["files"].items():
        assert stated == {"sha256": hashlib.sha256(files[name]).hexdigest(), "bytes": len(files[name])}


def test_exporting_again_gives_the_same_bytes(atlas: imago.Atlas, tmp_path: Path) -> None:
    first, second = (files_of(atlas.export(tmp_path / name, table="jsonl")) for name in ("a", "b"))
    assert first == second


def test_what_is_being_built_is_not_exported(atlas: imago.Atlas, tmp_path: Path) -> None:
    with pytest.raises(imago.Conflict, match="is being built"):
        atlas.export(tmp_path / "open", version="open")
    assert not (tmp_path / "open").exists()


def test_a_folder_with_something_else_is_left_alone(
    atlas: imago.Atlas, client: imago.Client, tmp_path: Path
) -> None:
    (tmp_path / "letter").write_text("dear")
    with pytest.raises(imago.Conflict, match="is not empty"):
        atlas.export(tmp_path)
    folder = atlas.export(tmp_path / "mine")
    before = files_of(folder)
    with pytest.raises(imago.Conflict, match="something else"):
        atlas.export(folder, format="webp")
    assert atlas.export(folder) == folder
    assert files_of(folder) == before


@pytest.mark.parametrize("converted", [False, True])
def test_a_broken_off_export_claims_nothing_and_goes_on_without_fetching_twice(
    atlas: imago.Atlas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, converted: bool
) -> None:
    asked: dict[str, Any] = {"format": "webp", "size": 16} if converted else {}
    whole = files_of(atlas.export(tmp_path / "whole", **asked))
    fetched: list[str] = []
    fetch = Transport.get_bytes

    def counted(self: Transport, path: str, *more: Any) -> bytes:
        fetched.append(path)
        if len(fetched) == 60 and more == ():
            raise imago.Unreachable("The line is cut.")
        return fetch(self, path, *more)

    monkeypatch.setattr(Transport, "get_bytes", counted)
    folder = tmp_path / "mine"
    with pytest.raises(imago.Unreachable):
        atlas.export(folder, **asked)
    assert not (folder / "atlas.json").exists()
    with pytest.raises(imago.DamagedExport, match="not finished"):
        imago.open(folder)
    there = sum(1 for name in files_of(folder) if name.startswith("images/"))
    kept = there if not converted else len((folder / ".units.jsonl.part").read_text().splitlines())
    fetched.clear()
    fetched.extend([""] * 60)
    atlas.export(folder, **asked)
    assert len(fetched) - 60 <= PICTURES - (kept if not converted else kept - 2)
    assert files_of(folder) == whole


@contextmanager
def cut_before_the_manifest(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Exports break off when all but the manifest is there."""

    def stop(*given: Any) -> None:
        raise imago.Unreachable("The line is cut.")

    with monkeypatch.context() as cut:
        cut.setattr(exporting, "manifest_of", stop)
        yield


def test_a_picture_that_was_damaged_meanwhile_is_fetched_again(
    atlas: imago.Atlas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cut_before_the_manifest(monkeypatch), pytest.raises(imago.Unreachable):
        atlas.export(tmp_path / "mine")
    (tmp_path / "mine/images/classifier/00001-0.png").write_bytes(b"half")
    folder = atlas.export(tmp_path / "mine")
    assert (folder / "images/classifier/00001-0.png").read_bytes() == picture_of(1)


EXPORTING = """
import sys, imago
client = imago.Client(sys.argv[1], sys.argv[2])
client.atlases.get(sys.argv[3]).export(sys.argv[4], on_progress=lambda done, all: print(done, flush=True))
"""


def test_killed_in_the_middle_it_goes_on_and_is_whole(
    service: Service, atlas: imago.Atlas, tmp_path: Path, command_environment: dict[str, str]
) -> None:
    folder = tmp_path / "mine"
    arguments = [sys.executable, "-c", EXPORTING, service.url, service.key, atlas.id, str(folder)]
    with subprocess.Popen(arguments, env=command_environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for said in process.stdout:
            if int(said) >= 20:
                process.send_signal(signal.SIGKILL)
                break
        process.wait()
    assert not (folder / "atlas.json").exists()
    atlas.export(folder)
    atlas.export(tmp_path / "whole")
    assert files_of(folder) == files_of(tmp_path / "whole")


FULL = f"""
import resource, signal, sys
sys.dont_write_bytecode = True  # it would be cut, too
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
{EXPORTING}
"""


def test_a_full_disk_is_an_error_and_leaves_nothing_that_claims_to_be_whole(
    service: Service, atlas: imago.Atlas, tmp_path: Path, command_environment: dict[str, str]
) -> None:
    folder = tmp_path / "mine"
    done = subprocess.run(
        [sys.executable, "-c", FULL, service.url, service.key, atlas.id, str(folder)],
        env=command_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "imago.errors.ImagoError: Cannot write" in done.stderr
    assert not (folder / "atlas.json").exists()
    assert not (folder / "units.jsonl").exists()
    atlas.export(folder)
    with imago.open(folder) as whole:
        whole.check()


def test_pictures_are_reduced_and_made_webp_where_that_is_asked_for(
    atlas: imago.Atlas, tmp_path: Path
) -> None:
    folder = atlas.export(tmp_path / "small", format="webp", size=16)
    line = lines(folder)[0]
    with Image.open(folder / line["file_name"]) as image:
        assert (image.format, image.size) == ("WEBP", (16, 16))
    assert (line["width"], line["media_type"]) == (16, "image/webp")
    assert line["source_sha256"] == hashlib.sha256(picture_of(0)).hexdigest() != line["sha256"]
    with imago.open(folder) as offline:
        offline.check()
        shown = next(offline.units("classifier")).visualization()
        assert Image.open(io.BytesIO(shown.image_bytes())).format == "PNG"
    with pytest.raises(imago.InvalidRequest):
        atlas.export(tmp_path / "other", format="gif")  # type: ignore[arg-type]


def test_a_tar_is_made_whole_and_read_as_it_lies(atlas: imago.Atlas, tmp_path: Path) -> None:
    path = atlas.export(tmp_path / "mine.tar", table="jsonl")
    assert [each.name for each in tmp_path.iterdir()] == ["mine.tar"]
    with imago.open(path) as packed:
        packed.check()
        assert packed.unit("classifier", 1).visualization().image_bytes() == picture_of(1)
    with pytest.raises(imago.Conflict, match="is there already"):
        atlas.export(path)


def test_an_export_into_a_tar_that_was_killed_at_its_very_end_ends_with_the_same_call(
    atlas: imago.Atlas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(folder: Path) -> None:
        (folder / "atlas.json").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        atlas.export(tmp_path / "mine.tar", table="jsonl")
    monkeypatch.undo()
    assert {each.name for each in tmp_path.iterdir()} == {"mine.tar", "mine.tar.part"}
    with pytest.raises(imago.Conflict, match="is there already"):
        atlas.export(tmp_path / "mine.tar", size=16)
    path = atlas.export(tmp_path / "mine.tar", table="jsonl")
    assert [each.name for each in tmp_path.iterdir()] == ["mine.tar"]
    with imago.open(path) as whole:
        whole.check()


@pytest.mark.parametrize("name", ["mine", "mine.tar"])
def test_while_one_export_writes_another_into_the_same_place_is_refused(
    atlas: imago.Atlas, tmp_path: Path, name: str
) -> None:
    refused: list[str] = []

    def meanwhile(done: int, total: int) -> None:
        with pytest.raises(imago.Conflict, match="Another export writes into") as told:
            atlas.export(tmp_path / name, table="jsonl")
        refused.append(str(told.value))

    path = atlas.export(tmp_path / name, table="jsonl", on_progress=meanwhile)
    assert len(refused) == ENTRIES
    assert [each.name for each in tmp_path.iterdir()] == [name]
    with imago.open(path) as whole:
        whole.check()
    if path.is_dir():
        assert not list(path.glob(".*"))


def test_what_was_damaged_after_it_was_written_is_mended_by_the_same_export(
    atlas: imago.Atlas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    fetch = Transport.get_bytes

    def counted(self: Transport, path: str, *more: Any) -> bytes:
        fetched.append(path)
        return fetch(self, path, *more)

    monkeypatch.setattr(Transport, "get_bytes", counted)
    folder = atlas.export(tmp_path / "mine", table="jsonl", format="webp")
    before = files_of(folder)
    units = before["units.jsonl"]
    for name, damaged, again in (
        ("units.jsonl", units[: len(units) // 2], PICTURES),
        ("units.jsonl", units.replace(b'"width": ', b'"width": 1'), PICTURES),
        ("metadata.jsonl", b"", 0),
        ("images/classifier/00001-0.webp", bytes(len(before["images/classifier/00001-0.webp"])), 1),
        ("images/classifier/00002-0.webp", b"", 1),
    ):
        (folder / name).write_bytes(damaged)
        fetched.clear()
        atlas.export(folder, table="jsonl", format="webp")
        assert files_of(folder) == before
        assert len([path for path in fetched if path.endswith("/image")]) <= again


def test_another_table_takes_the_place_of_the_one_that_is_there(
    atlas: imago.Atlas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cut_before_the_manifest(monkeypatch):
        for name in ("mine", "mine.tar"):
            with pytest.raises(imago.Unreachable):
                atlas.export(tmp_path / name, table="jsonl")
    packed = atlas.export(tmp_path / "mine.tar", table="parquet")
    with tarfile.open(packed) as tar:
        names = tar.getnames()
    wanted: tuple[tuple[Literal["parquet", "jsonl"] | None, str], ...] = (
        ("parquet", "parquet"), ("jsonl", "jsonl"), (None, "jsonl"), ("parquet", "parquet")
    )  # fmt: skip
    for asked, found in wanted:
        folder = atlas.export(tmp_path / "mine", table=asked)
        top = sorted(path.name for path in folder.iterdir())
        assert top == ["SHA256SUMS", "atlas.json", "images", f"metadata.{found}", "units.jsonl"]
        with imago.open(folder) as whole:
            whole.check()
            assert f"metadata.{found}" in whole.manifest["files"]
    assert sorted(names) == sorted(files_of(folder))


def test_everything_is_on_the_disk_before_what_vouches_for_it(
    atlas: imago.Atlas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: dict[int, str] = {}
    fsync = os.fsync

    def noted(file: int) -> None:
        flushed[os.fstat(file).st_ino] = os.readlink(f"/proc/self/fd/{file}")
        fsync(file)

    monkeypatch.setattr(os, "fsync", noted)
    folder = atlas.export(tmp_path / "mine", table="jsonl")
    assert {path.stat().st_ino for path in folder.rglob("*")} <= flushed.keys()
    written = [*flushed]
    manifest = written.index((folder / "atlas.json").stat().st_ino)
    assert manifest > max(written.index(path.stat().st_ino) for path in folder.rglob("images/*/*.png"))
    flushed.clear()
    packed = atlas.export(tmp_path / "mine.tar", table="jsonl")
    assert packed.stat().st_ino in flushed


def test_the_commands_export_and_check(run: Run, atlas: imago.Atlas, tmp_path: Path) -> None:
    said = run("export", atlas.id, "mine", "--table", "jsonl").stdout
    assert said == f"mine: {PICTURES} pictures of 2 layers of {atlas.network}, {atlas.id} version 1.\n"
    assert json.loads(run("check", "mine", "--json").stdout)["entries"] == ENTRIES
    (tmp_path / "mine/images/classifier/00003-1.png").write_bytes(picture_of(4))
    refused = run("check", "mine", expect=1).stderr
    assert "images/classifier/00003-1.png of mine is not what was exported" in refused
