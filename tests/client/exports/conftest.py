"""A published atlas with pictures and units that have none."""

import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import text

import imago
from services.access import keys
from services.schema import Base
from tests.client.conftest import NETWORK, Service
from tests.client.test_atlases import carry_out

OF_PICTURES = ("atlas_imports", "atlas_entries", "jobs", "atlases", "artifacts", "visualizations")
OF_NETWORKS = ("generators", "layers", "networks", "learned_costs", "looks")
UNREACHABLE = 7
_UNREACHABLE = text("""
    UPDATE visualizations SET state = 'unreachable', activation = NULL, score = NULL, predictions = NULL
    WHERE layer = 'blocks.3' AND unit = :unit
""")
_COUNTED = text("""
    UPDATE jobs SET done = done - 2, unreachable = unreachable + 2 WHERE id = (SELECT max(id) FROM jobs)
""")


@pytest.fixture
def atlas(service: Service, client: imago.Client) -> imago.Atlas:
    """20 classes and 30 channels in two facets each, of which one unit has no picture; published."""
    atlas = client.atlases.create(NETWORK, layers=["output"], units="0-19", facets=2, name="Mine")
    atlas.extend(layers=["blocks.3"], units="0-29")
    carry_out(service, atlas.id)
    with service.database.session() as session:
        waiting = text("SELECT count(*) FROM visualizations WHERE state = 'queued'")
        while session.execute(waiting).scalar_one():
            service.work()
        session.execute(_UNREACHABLE, {"unit": UNREACHABLE})
        session.execute(_COUNTED)
    atlas.publish()
    return atlas.refresh()


@pytest.fixture(scope="session")
def kept_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test that asks for an export leaves it for all that follow."""
    return tmp_path_factory.mktemp("exports") / "kept"


@pytest.fixture
def folder(request: pytest.FixtureRequest, service: Service, kept_export: Path, tmp_path: Path) -> Path:
    """A folder of one's own with an export of the atlas as JSONL. The service has the network and the
    generator, and none of the pictures.
    """
    if not kept_export.exists():
        atlas: imago.Atlas = request.getfixturevalue("atlas")
        atlas.export(tmp_path / "first", table="jsonl").rename(kept_export)
        forget(service)
    return Path(shutil.copytree(kept_export, tmp_path / "theirs"))


def forget(service: Service, *more: str) -> None:
    """Make it another service, which has the network and none of the pictures."""
    with service.database.session() as session:
        for table in reversed(Base.metadata.sorted_tables):
            if table.name in (*OF_PICTURES, "atlas_versions", "atlas_layers", "job_visualizations", *more):
                session.execute(sa.delete(table))


@pytest.fixture
def admin(service: Service) -> Iterator[imago.Client]:
    with service.database.session() as session:
        _, key = keys.create_key(session, "an operator", ["read", "jobs:write", "admin"])
    with imago.Client(service.url, key) as client:
        yield client


def files_of(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def huge_png() -> bytes:
    """Some bytes that say that they are 30,000 by 30,000 pixels."""
    size = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", size), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
