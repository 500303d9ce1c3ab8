"""Exports that the service itself writes: what comes by one address is what the client writes."""

import tarfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import imago
from tests.api.of_atlases.test_export_tar import make_exports
from tests.client.conftest import Service, picture_of
from tests.client.exports.conftest import files_of, forget


def address_of(service: Service, atlas: imago.Atlas) -> str:
    return f"{service.url}/v1/atlases/{atlas.id}/versions/1/export.tar"


def download(service: Service, atlas: imago.Atlas) -> bytes:
    key = {"Authorization": f"Bearer {service.key}"}
    asked = urllib.request.Request(address_of(service, atlas), headers=key)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        content: bytes = answer.read()
    return content


@pytest.fixture
def tar(service: Service, atlas: imago.Atlas, tmp_path: Path) -> Path:
    make_exports(service.database, service.store, service.settings)
    path = tmp_path / "export.tar"
    path.write_bytes(download(service, atlas))
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
