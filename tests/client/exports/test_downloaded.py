"""Exports that the service itself writes: what comes by one address is what the client writes."""

import json
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import imago
from tests.api.of_atlases.test_export_tar import make_exports
from tests.client.conftest import LABELS, NETWORK, Service, picture_of
from tests.client.exports.conftest import OF_NETWORKS, files_of, forget
from tests.client.test_atlases import carry_out


def address_of(service: Service, atlas: imago.Atlas) -> str:
    return f"{service.url}/v1/atlases/{atlas.id}/versions/1/export.tar"


def download(service: Service, atlas: imago.Atlas, key: str) -> bytes:
    headers = {"Authorization": f"Bearer {key}"}
    asked = urllib.request.Request(address_of(service, atlas), headers=headers)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        content: bytes = answer.read()
    return content


@pytest.fixture
def tar(service: Service, atlas: imago.Atlas, tmp_path: Path) -> Path:
    make_exports(service.database, service.store, service.settings)
    path = tmp_path / "export.tar"
    path.write_bytes(download(service, atlas, service.key))
    return path


def test_it_is_byte_for_byte_what_the_client_writes(tar: Path, atlas: imago.Atlas, tmp_path: Path) -> None:
    with tarfile.open(tar) as opened:
        opened.extractall(tmp_path / "theirs", filter="data")
        assert {(each.mode, each.mtime, each.uid, each.uname) for each in opened} == {(0o644, 0, 0, "")}
    theirs, ours = files_of(tmp_path / "theirs"), files_of(atlas.export(tmp_path / "ours", table="jsonl"))
    assert theirs.keys() == ours.keys()
    for name in ("units.jsonl", "metadata.jsonl", "SHA256SUMS", "atlas.json"):
        assert theirs[name].decode() == ours[name].decode()
    assert theirs == ours


def test_it_is_opened_and_checked_as_it_lies_and_imported_elsewhere(
    service: Service, tar: Path, admin: imago.Client
) -> None:
    with imago.open(tar) as opened:
        opened.check()
        assert opened.unit("classifier", 1).visualization().image_bytes() == picture_of(1)
    forget(service)
    atlas = admin.atlases.load(tar)
    assert (atlas.state, atlas.pictures.done, atlas.pictures.unreachable) == ("complete", 98, 2)


def test_what_was_cut_is_no_export(tar: Path, tmp_path: Path) -> None:
    whole = tar.read_bytes()
    cut = tmp_path / "cut.tar"
    for length in (len(whole) // 2, len(whole) - 1500):
        cut.write_bytes(whole[:length])
        with pytest.raises(imago.ImagoError), imago.open(cut) as opened:
            opened.check()


def test_nobody_else_gets_a_private_one(service: Service, atlas: imago.Atlas, tar: Path) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(address_of(service, atlas), timeout=60)
    assert refused.value.code == 404
    refused.value.close()


def test_an_imported_atlas_of_a_network_that_nobody_inspected_is_exported_alike_and_imported_again(
    service: Service, folder: Path, admin: imago.Client, tmp_path: Path
) -> None:
    forget(service, *OF_NETWORKS)
    imported = admin.atlases.load(folder)
    assert {unit.label for unit in imported.units("classifier")} >= {"tench", "goldfish"}
    ours = imported.export(tmp_path / "ours", table="jsonl")
    make_exports(service.database, service.store, service.settings)
    theirs = tmp_path / "theirs.tar"
    theirs.write_bytes(download(service, imported, str(admin._transport.key)))
    with tarfile.open(theirs) as opened:
        opened.extractall(tmp_path / "unpacked", filter="data")
    assert files_of(tmp_path / "unpacked") == files_of(ours)
    before, after = (json.loads((each / "atlas.json").read_bytes()) for each in (folder, ours))
    assert [layer["in_network"] for layer in after["layers"]] == [
        layer["in_network"] for layer in before["layers"]
    ]
    assert after["network_now"]["labels"] == before["network_now"]["labels"]
    labels = [
        {line["digest"]: line["label"] for line in map(json.loads, text.splitlines())}
        for text in ((each / "units.jsonl").read_text() for each in (folder, ours))
    ]
    assert labels[0] == labels[1]
    forget(service, *OF_NETWORKS)
    assert admin.atlases.load(theirs).pictures.settled == 100


def test_what_was_stated_of_a_network_comes_along_with_its_pictures(
    service: Service, client: imago.Client, admin: imago.Client, tmp_path: Path
) -> None:
    forget(service, "layers", "networks", "learned_costs", "looks")
    stated: dict[str, Any] = {"labels": LABELS, "mean": [0.5, 0.25, 1.0], "std": [0.1, 0.2, 0.3]}
    stated |= {"input_size": 224, "channels": "bgr"}
    client.add_network(NETWORK, **stated)
    service.inspect(NETWORK)
    atlas = client.atlases.create(NETWORK, layers=["output"], units="0-3")
    carry_out(service, atlas.id)
    service.work()
    carry_out(service, atlas.id)
    atlas.publish()
    ours = atlas.export(tmp_path / "ours", table="jsonl")
    make_exports(service.database, service.store, service.settings)
    theirs = tmp_path / "theirs.tar"
    theirs.write_bytes(download(service, atlas, service.key))
    with tarfile.open(theirs) as opened:
        opened.extractall(tmp_path / "unpacked", filter="data")
    assert files_of(tmp_path / "unpacked") == files_of(ours)
    forget(service, *OF_NETWORKS)
    imported = admin.atlases.load(theirs)
    assert admin.add_network(NETWORK, **stated).state == "pending"
    service.inspect(NETWORK)
    assert imported.refresh().raw["outdated"] is False
