"""What a client sends of an export: what a request can carry, and what the server reads."""

import io
import json
import random
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

import imago
from imago.exports.importing import manifest_to_send
from services.exports.manifest import (
    AtlasManifest,
    ExportedGenerator,
    ExportedLayer,
    ExportedNetwork,
    ExportedRecipe,
    InspectedLayer,
)
from tests.client.conftest import Service
from tests.client.exports.conftest import OF_PICTURES, forget
from tests.client.exports.test_import import count, lines_of, sent


def with_first_picture(folder: Path, content: bytes) -> None:
    """Another picture in the place of the first, with all hashes."""
    first, *others = lines_of(folder)
    (folder / first["file_name"]).write_bytes(content)
    first |= {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
    units = "".join(json.dumps(line) + "\n" for line in (first, *others)).encode()
    (folder / "units.jsonl").write_bytes(units)
    manifest = json.loads((folder / "atlas.json").read_text())
    manifest["files"]["units.jsonl"] = {"sha256": sha256(units).hexdigest(), "bytes": len(units)}
    (folder / "atlas.json").write_text(json.dumps(manifest))


def noise(side: int) -> bytes:
    """A PNG that takes as many bytes as its pixels."""
    file = io.BytesIO()
    Image.frombytes("RGB", (side, side), random.Random(0).randbytes(3 * side * side)).save(file, "PNG")
    return file.getvalue()


def test_what_no_request_can_carry_is_named_with_what_helps_before_anything_is_sent(
    service: Service, folder: Path, admin: imago.Client
) -> None:
    with_first_picture(folder, noise(480))
    assert admin.atlases.load(folder).pictures.done == 98
    forget(service)
    with_first_picture(folder, noise(512))
    with pytest.raises(imago.InvalidRequest, match=r"00000-0\.png cannot be sent.*--format webp.*--size"):
        admin.atlases.load(folder)
    manifest = json.loads((folder / "atlas.json").read_text())
    manifest["layers"][0]["units"] = "0," * 600_000
    (folder / "atlas.json").write_text(json.dumps(manifest))
    with pytest.raises(imago.InvalidRequest, match=r"manifest of .* mostly for its layers"):
        admin.atlases.load(folder)
    assert [count(service, table) for table in OF_PICTURES] == [0] * len(OF_PICTURES)


def test_of_a_manifest_all_is_sent_that_the_server_reads_and_nothing_else(folder: Path) -> None:
    manifest, _ = sent(folder)
    shown = manifest_to_send(manifest)
    read = AtlasManifest.model_validate(manifest)
    assert AtlasManifest.model_validate(shown) == read
    parts = (
        (AtlasManifest, shown), (ExportedNetwork, shown["network_now"]), (ExportedLayer, shown["layers"][0]),
        (InspectedLayer, shown["layers"][0]["in_network"]), (ExportedGenerator, shown["generators"][0]),
        (ExportedRecipe, next(iter(shown["recipes"].values()))),
    )  # fmt: skip
    for model, part in parts:
        assert part.keys() == model.model_fields.keys(), model
