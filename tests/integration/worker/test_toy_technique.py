"""A technique is two files: what it takes and how it is computed. API, worker and client need no more."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

import imago_engine
from services.access import keys
from tests.api_process import ApiProcess
from tests.worker_processes import NETWORK, ROOT, Scene, until

WORDS = '''
"""Toy: plain pictures."""

from typing import Annotated

from pydantic import Field

from imago_engine.artifacts import ArtifactKind
from imago_engine.techniques.base import BaseParameters, Technique


class Toy(BaseParameters):
    """Toy: a picture of one grey that climbs."""

    shade: Annotated[float, Field(ge=0, le=1, description="Where it begins")] = 0.5


TECHNIQUE = Technique("toy", "1", Toy, frozenset(), (ArtifactKind.IMAGE, ArtifactKind.TRACE))
'''
COMPUTED = '''
"""Toy: a point is one number, the grey of the picture."""

import torch

from imago_engine.synthesis.climb import Climb


def prepare(context, items):
    return ToyClimb(context, items)


class ToyClimb(Climb):
    def __init__(self, context, items):
        super().__init__(context, items, context.network.device)
        self.points = torch.full((len(items), 1), self.parameters.shade)

    def picture(self, points):
        size = self.context.input_size
        return points[:, :, None, None].expand(-1, 3, size, size)

    def moved_points(self, step, group, here):
        return here.points + 0.001 * here.gradient.sign()
'''


@pytest.fixture
def with_toy(scene: Scene, tmp_path: Path) -> Mapping[str, str]:
    """The environment of processes whose engine has two files more than ours."""
    (origin,) = map(Path, imago_engine.__path__)
    engine = tmp_path / "with-toy" / "imago_engine"
    for folder, _, names in os.walk(origin):
        if "__pycache__" in folder:
            continue
        copy = engine / Path(folder).relative_to(origin)
        copy.mkdir(parents=True)
        for name in names:
            (copy / name).symlink_to(Path(folder) / name)
    (engine / "techniques" / "toy.py").write_text(WORDS)
    (engine / "synthesis" / "techniques" / "toy.py").write_text(COMPUTED)
    path = os.pathsep.join([str(engine.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, **scene.environment, "PYTHONPATH": path}


@pytest.fixture
def url(with_toy: Mapping[str, str]) -> Iterator[str]:
    api = ApiProcess(with_toy)
    try:
        api.start()
        yield api.url
    finally:
        api.kill()


def test_two_files_are_a_technique_for_api_worker_and_client(
    scene: Scene, with_toy: Mapping[str, str], url: str, tmp_path: Path
) -> None:
    with scene.database.session() as session:
        _, token = keys.create_key(session, "toy", ["read", "jobs:write"])
    client = {**with_toy, "IMAGO_URL": url, "IMAGO_API_KEY": token, "IMAGO_CONFIG_DIR": str(tmp_path)}

    def imago(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "imago", *arguments, "--json"]
        return subprocess.run(command, cwd=ROOT, env=client, capture_output=True, text=True, check=False)

    shown = imago("techniques", "toy")
    assert json.loads(shown.stdout)["values"] == {"steps": 200, "input_size": None, "shade": 0.5}

    wanted = (f"{NETWORK}/output/0-2", "--technique", "toy", "--steps", "6", "--param")
    refused = imago("submit", *wanted, "shade=2")
    assert refused.returncode
    assert "shade" in refused.stderr + refused.stdout
    submitted = imago("submit", *wanted, "shade=0.25")
    assert submitted.returncode == 0, submitted.stderr
    job = json.loads(submitted.stdout)
    assert job["request"]["recipe"]["technique"] == "toy"

    worker = scene.start_worker(**with_toy)
    until(lambda: scene.job(job["id"]).ended, "the job has ended")
    assert scene.job(job["id"]).units.done == 3, worker.tail()

    (listed, *_) = httpx.get(f"{url}/v1/jobs/{job['id']}/visualizations").json()["data"]
    made = httpx.get(f"{url}{listed['links']['self']}").json()
    assert (made["generator"], made["engine"], made["links"]["code"]) == (None, "1", None)
    assert made["provenance"]["engine"] == "1"
    assert made["recipe"]["parameters"] == {"steps": 6, "input_size": None, "shade": 0.25}
    image = np.asarray(Image.open(io.BytesIO(httpx.get(f"{url}{made['links']['image']}").content)))
    assert image.min() == image.max() != 64  # one grey, and it has climbed
