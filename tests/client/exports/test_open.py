"""An exported atlas is read as one of a server."""

import json
import os
import re
import subprocess
import tarfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import imago
from tests.client.conftest import Service
from tests.client.exports.conftest import UNREACHABLE
from tests.client.exports.test_small_atlas import SMALL_ATLAS


@pytest.fixture(params=["folder", "tar", "tar of the folder"])
def path(request: pytest.FixtureRequest, atlas: imago.Atlas, tmp_path: Path) -> Path:
    file = tmp_path / "mine.tar"
    if request.param == "tar":
        return atlas.export(file, table="jsonl")
    folder = atlas.export(tmp_path / "mine", table="jsonl")
    if request.param == "folder":
        return folder
    subprocess.run(["tar", "-cf", file, "-C", folder.parent, folder.name], check=True)
    return file


def test_it_says_what_the_server_says(path: Path, atlas: imago.Atlas) -> None:
    with imago.open(path) as offline:
        assert isinstance(offline, imago.Atlas)
        for name in ("id", "name", "network", "latest_version", "finished"):
            assert getattr(offline, name) == getattr(atlas, name), name
        assert offline.pictures == atlas.pictures
        layers = [(each.name, each.units, each.unit_count, each.facets) for each in atlas.layers()]
        assert sorted((each.name, each.units, each.unit_count, each.facets) for each in offline.layers()) == (
            sorted(layers)
        )
        for layer in ("classifier", "blocks.3"):
            assert [unit.raw for unit in offline.units(layer)] == [unit.raw for unit in atlas.units(layer)]
        here, there = (
            each.visualization(1)
            for each in (
                offline.unit("classifier", 1),
                next(unit for unit in atlas.units("classifier") if unit.unit == 1),
            )
        )
        assert here.predictions == there.predictions
        assert here.image_bytes() == there.image_bytes()
        assert offline.unit("classifier", 1).image(format="webp").size == (24, 24)
        for name in ("recipe", "generator", "generator_sha256", "image", "activation"):
            assert here.detail[name] == there.detail[name], name
        assert [each["number"] for each in offline.versions()] == [1]
        assert "98 of 100 pictures" in offline._repr_html_()


def test_what_a_server_is_not_needed_for_needs_none(
    folder: Path, service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IMAGO_URL", "http://127.0.0.1:9")
    with imago.open(folder) as offline:
        unit = offline.unit("classifier", 2)
        saved = unit.save(tmp_path / "a new one" / "saved")
        assert sorted(saved) == sorted((tmp_path / "a new one" / "saved").iterdir())
        assert len(saved) == 2
        assert offline.unit("blocks.3", UNREACHABLE).visualization().state == "unreachable"


def test_pictures_are_found_by_what_the_network_says_of_them(folder: Path) -> None:
    with imago.open(folder) as offline:
        found = list(offline.search("GREAT WHITE"))
        assert [(each.unit.layer, each.unit.unit, each.facet) for each in found] == [
            ("classifier", 2, 0), ("classifier", 2, 1), ("blocks.3", 2, 0), ("blocks.3", 2, 1),
        ]  # fmt: skip
        assert [each.probability for each in found] == [None, None, 0.75, 0.75]
        assert found[1].unit.image_bytes(found[1].facet) == found[0].unit.image_bytes(1)
        assert {len(each.unit.facets) for each in found} == {2}
        assert list(offline.search("volcano")) == []
        assert {each.unit.layer for each in offline.search("goldfish", layer="blocks.3")} == {"blocks.3"}


@pytest.mark.parametrize("name", ["output", "logits", "classifier"])
def test_the_output_is_found_by_what_a_server_calls_it(name: str) -> None:
    with imago.open(SMALL_ATLAS) as offline:
        units = [unit.unit for unit in offline.units("classifier")]
        assert [unit.unit for unit in offline.units(name)] == units
        assert offline.unit(name, units[0]).layer == "classifier"
        assert {each.unit.layer for each in offline.search("a", layer=name)} == {"classifier"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"format": "gif"}, "format must be png, webp, avif or jpg; got 'gif'"),
        ({"format": "foo"}, "got 'foo'"),
        ({"size": 0}, "size must be 64, 128, 256 or 512; got '0'"),
        ({"size": 100}, "got '100'"),
        ({"view": "nonsense"}, "view must be full or crop; got 'nonsense'"),
    ],
)
def test_pictures_that_no_server_gives_are_refused(asked: dict[str, Any], said: str) -> None:
    with imago.open(SMALL_ATLAS) as offline:
        picture = next(offline.units("classifier")).visualization()
        with pytest.raises(imago.InvalidRequest, match=said):
            picture.image_bytes(**asked)
        assert picture.image(size=64, format="jpg").format == "JPEG"


def test_units_and_layers_show_themselves_in_notebooks(folder: Path) -> None:
    with imago.open(folder) as offline:
        shown = offline.unit("classifier", 1)._repr_html_()
        assert shown.count("<img") == 2
        assert "classifier/1 (goldfish)" in shown
        assert "facet 1: unreachable" in offline.unit("blocks.3", UNREACHABLE)._repr_html_()
        (layer,) = (each for each in offline.layers() if each.name == "classifier")
        assert layer._repr_html_().count("<img") == 12
        assert "goldfish" in layer._repr_html_()


def test_nothing_can_be_changed(folder: Path) -> None:
    with imago.open(folder) as offline:
        for change in (offline.pause, offline.remove, offline.publish):
            with pytest.raises(imago.ImagoError, match="which nothing changes"):
                change()
        with pytest.raises(imago.NotFound, match=r"it has (classifier|blocks\.3), "):
            list(offline.units("none"))
        with pytest.raises(imago.NotFound, match="holds version 1"):
            list(offline.units("classifier", 2))
        with pytest.raises(imago.NotFound):
            offline._transport.get_bytes(f"/v1/visualizations/{'0' * 64}/image")


def test_what_is_cut_or_tampered_with_is_noticed(folder: Path) -> None:
    units = (folder / "units.jsonl").read_bytes()

    def damage(name: str, content: bytes | None) -> str:
        before = (folder / name).read_bytes()
        (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
        with pytest.raises(imago.DamagedExport) as found, imago.open(folder) as offline:
            offline.check()
        (folder / name).write_bytes(before)
        return str(found.value)

    assert "units.jsonl" in damage("units.jsonl", units[: len(units) // 2])
    assert "units.jsonl" in damage("units.jsonl", units.replace(b"goldfish", b"goldfash"))
    assert "00001-0.png" in damage("images/classifier/00001-0.png", None)
    assert "00001-0.png" in damage("images/classifier/00001-0.png", b"x")
    assert "is not JSON" in damage("atlas.json", b"{")
    assert "is not that of" in damage("atlas.json", b'{"format": "other"}')
    manifest = json.loads((folder / "atlas.json").read_text())
    for name in ("atlas", "version", "layers", "recipes", "files", "entries", "pictures", "published_at"):
        less = {key: value for key, value in manifest.items() if key != name}
        assert f"it has no {name}" in damage("atlas.json", json.dumps(less).encode())
    wrong: tuple[dict[str, Any], ...] = (
        {"entries": "100"}, {"files": {}}, {"layers": [{}]}, {"files": {"units.jsonl": 1}}, {"pictures": -1},
        {"layers": [{**manifest["layers"][0], "offset": -1}]},
        {"layers": [{**manifest["layers"][0], "lines": -1}]},
        {"layers": [{**manifest["layers"][0], "lines": 2**63}]},
    )  # fmt: skip
    for changed in wrong:
        assert "atlas.json" in damage("atlas.json", json.dumps({**manifest, **changed}).encode())
    with imago.open(folder) as offline:
        offline.check()


def test_a_cut_tar_is_refused(atlas: imago.Atlas, tmp_path: Path) -> None:
    path = atlas.export(tmp_path / "whole.tar", table="jsonl")
    cut = tmp_path / "cut.tar"
    cut.write_bytes(path.read_bytes()[:30_000])
    with pytest.raises(imago.ImagoError), imago.open(cut) as offline:
        offline.check()


def test_an_export_of_a_later_release_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "atlas.json").read_text())
    (folder / "atlas.json").write_text(json.dumps({**manifest, "format_version": 2}))
    with pytest.raises(imago.ImagoError, match="version 2 of the format"):
        imago.open(folder)


def tamper(folder: Path, change: dict[str, Any]) -> None:
    """Change what is said of the first picture, and all hashes with it."""
    first, *others = (folder / "units.jsonl").read_text().splitlines()
    changed = "\n".join([json.dumps({**json.loads(first), **change}), *others, ""]).encode()
    (folder / "units.jsonl").write_bytes(changed)
    manifest = json.loads((folder / "atlas.json").read_text())
    manifest["files"]["units.jsonl"] = {"sha256": sha256(changed).hexdigest(), "bytes": len(changed)}
    (folder / "atlas.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"file_name": "../secret"}, "has no file ../secret"),
        ({"file_name": "/etc/hostname"}, "has no file /etc/hostname"),
        ({"file_name": "link"}, "has no file link"),
        ({"file_name": "circle"}, "has no file circle"),
        ({"file_name": "pipe"}, "has no file pipe"),
        ({"file_name": "images"}, "has no file images"),
        ({"file_name": "atlas.json/0.png"}, "has no file atlas.json/0.png"),
        ({"file_name": "images/\0"}, r"has a character that no name has: 'images/\x00'"),
        ({"file_name": "images/\ud800"}, r"has a character that no name has: 'images/\ud800'"),
        ({"layer": "\x1b[31mred"}, r"layer of the line has a character that no name has: '\x1b[31mred'"),
        ({"file_name": "n" * 5000}, f"has no file {'n' * 200}…"),
        ({"file_name": 7}, "file_name of the line is no text, nor null"),
        ({"unit": "0"}, "unit of the line is no whole number"),
        ({"digest": "0"}, "digest of the line is not that of a picture"),
        ({"predictions": [{"label": "tench"}]}, "a prediction of the line has no probability"),
        ({"width": None}, "width of the line is no whole number"),
        ({"bytes": -1}, "bytes of the line is negative, or too large"),
        ({"crop_box": [0, 0, "9", 9]}, "crop_box of the line is not left, top, right, bottom"),
    ],
)
def test_what_was_tampered_with_together_with_its_hash_is_named(
    folder: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "circle").symlink_to(folder / "circle")
    os.mkfifo(folder / "pipe")
    tamper(folder, change)
    with imago.open(folder) as offline, pytest.raises(imago.DamagedExport, match=re.escape(said)):
        offline.check()


def test_names_of_a_manifest_that_a_terminal_would_obey_or_that_cannot_be_written_are_refused(
    folder: Path,
) -> None:
    whole = json.loads((folder / "atlas.json").read_text())
    for change in ({"network": "\x1b[2J"}, {"name": "\ud800"}, {"files": {**whole["files"], "a\0": {}}}):
        (folder / "atlas.json").write_text(json.dumps({**whole, **change}))
        with pytest.raises(imago.DamagedExport, match="has a character that no name has") as refused:
            imago.open(folder)
        assert str(refused.value).isprintable()


def test_a_tar_whose_member_is_said_to_be_larger_than_any_file_is_no_tar(tmp_path: Path) -> None:
    member = tarfile.TarInfo("atlas.json")
    member.size = 2**62
    (tmp_path / "huge.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + b"{}")
    with pytest.raises(imago.ImagoError, match="no uncompressed tar, or was cut off"):
        imago.open(tmp_path / "huge.tar")


def test_of_a_tar_only_files_are_read_and_nothing_is_written(folder: Path, tmp_path: Path) -> None:
    name = "images/classifier/00000-0.png"
    path = tmp_path / "below" / "theirs.tar"
    path.parent.mkdir()
    with tarfile.open(path, "w") as tar:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and file != folder / name:
                tar.add(file, file.relative_to(folder).as_posix())
        for kind, member, target in (
            (tarfile.SYMTYPE, name, "/etc/hostname"),
            (tarfile.LNKTYPE, name, "images/classifier/00001-0.png"),
            (tarfile.REGTYPE, "../escaped", ""),
            (tarfile.REGTYPE, "/escaped", ""),
        ):
            info = tarfile.TarInfo(member)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    with imago.open(path) as offline, pytest.raises(imago.DamagedExport, match=f"has no file {name}"):
        offline.check()
    assert [each.name for each in path.parent.iterdir()] == ["theirs.tar"]
    assert not (tmp_path / "escaped").exists()


def test_a_name_that_leads_out_of_the_folder_is_not_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    text = (folder / "units.jsonl").read_text()
    (folder / "units.jsonl").write_text(text.replace("images/classifier/00000-0.png", "../secret"))
    with imago.open(folder) as offline, pytest.raises(imago.NotFound, match="has no file"):
        next(offline.units("classifier")).visualization().image_bytes()
